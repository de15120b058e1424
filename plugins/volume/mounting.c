#include "mounting_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/log.h"

#define MOUNT_MS 18000 /* Docker waits two minutes; people do not */
#define NUDGE_MS 3000  /* then tp-mount is told that it is unmounted */
#define DRAIN_MS 50000 /* Docker waits a minute; it goes on after that */
#define IDS_MAX  256
#define OPS_MAX  256

struct mounting_id {
    LIST_ENTRY(mounting_id) entry;
    char text[];
};

struct mounting_op {
    TAILQ_ENTRY(mounting_op) entry;
    bool mount; /* else unmount */
    mounting_cb *cb;
    void *arg;
    char id[];
};

static void next(struct mounting *m);

/* ---- ids and requests ---------------------------------------------------- */

static struct mounting_id *find_id(const struct mounting *m, const char *id)
{
    struct mounting_id *i;

    LIST_FOREACH(i, &m->ids, entry)
    if (!strcmp(i->text, id))
        return i;
    return NULL;
}

static int add_id(struct mounting *m, const char *id)
{
    size_t len = strlen(id) + 1;
    struct mounting_id *i;

    if (find_id(m, id))
        return 0;
    i = m->n_ids < IDS_MAX ? malloc(sizeof(*i) + len) : NULL;
    if (!i)
        return -ENOSPC;
    memcpy(i->text, id, len);
    LIST_INSERT_HEAD(&m->ids, i, entry);
    m->n_ids++;
    return 0;
}

static void drop_id(struct mounting *m, const char *id)
{
    struct mounting_id *i = find_id(m, id);

    if (!i)
        return;
    LIST_REMOVE(i, entry);
    m->n_ids--;
    free(i);
}

/* The first request is done. */
static void finish(struct mounting *m, const char *error)
{
    struct mounting_op *op = TAILQ_FIRST(&m->ops);

    TAILQ_REMOVE(&m->ops, op, entry);
    m->n_ops--;
    m->done++;
    op->cb(op->arg, error);
    free(op);
}

/* What all that wait for a mount get now. */
static void fail_mounts(struct mounting *m, const char *error)
{
    while (!TAILQ_EMPTY(&m->ops) && TAILQ_FIRST(&m->ops)->mount)
        finish(m, error);
}

static void enqueue(struct mounting *m, bool mount, const char *id,
                    mounting_cb *cb, void *arg)
{
    size_t len = strlen(id) + 1;
    struct mounting_op *op =
        m->n_ops < OPS_MAX ? malloc(sizeof(*op) + len) : NULL;

    if (!op) {
        cb(arg, "too many requests for this volume");
        return;
    }
    op->mount = mount;
    op->cb = cb;
    op->arg = arg;
    memcpy(op->id, id, len);
    TAILQ_INSERT_TAIL(&m->ops, op, entry);
    if (m->n_ops++ == 0)
        next(m);
}

/* ---- the way up ---------------------------------------------------------- */

void mounting_set_error(struct mounting *m, const char *text)
{
    if (!*m->error)
        snprintf(m->error, sizeof(m->error), "%s", text);
}

void mounting_settle(struct mounting *m)
{
    cleanup_free char *path = NULL;
    enum mounting_state was = m->state;

    if (m->broker || m->mount || was == DOWN)
        return;
    path = volume_path(m->v);
    if (path)
        mounting_clean(path);
    uv_timer_stop(m->timer);
    uv_timer_stop(m->again);
    mounting_close_ends(m);
    m->state = DOWN;
    if (was == LOOKING || was == STARTING)
        fail_mounts(m, *m->error ? m->error : "tp-mount ended");
    else if (was == DRAINING && !TAILQ_EMPTY(&m->ops) &&
             !TAILQ_FIRST(&m->ops)->mount)
        finish(m, *m->error ? m->error : NULL);
    next(m);
}

void mounting_is_ready(struct mounting *m)
{
    uv_timer_stop(m->timer);
    m->state = UP;
    log_info("volume %s is mounted", m->v->name);
    next(m);
}

static void late_cb(uv_timer_t *timer);

static void start(struct mounting *m)
{
    struct tp_error err = {0};
    cleanup_free char *dir =
        volumes_control_dir(m->v->all, m->v->o.daemon, &err);
    int rc;

    *m->error = '\0';
    if (!dir) {
        fail_mounts(m, err.text);
        return;
    }
    m->state = LOOKING;
    uv_timer_start(m->timer, late_cb, MOUNT_MS, 0);
    rc = mounting_start(m, dir);
    if (rc == 0)
        return;
    tp_error_errno(&err, rc, "broker");
    mounting_set_error(m, err.text);
    mounting_settle(m);
}

/* ---- the way down -------------------------------------------------------- */

/* Users or not: what is left is written, then it ends. */
static void nudge(struct mounting *m)
{
    m->nudged = true;
    program_kill(m->mount, SIGTERM);
    uv_timer_start(m->timer, late_cb, DRAIN_MS - NUDGE_MS, 0);
}

static void start_drain(struct mounting *m)
{
    cleanup_free char *path = volume_path(m->v);

    *m->error = '\0';
    m->state = DRAINING;
    m->nudged = false;
    uv_timer_start(m->timer, late_cb, NUDGE_MS, 0);
    /* The last user is gone: the kernel lets go of it at once, tp-mount writes
     * what is left and ends. */
    if (path && umount2(path, MNT_DETACH) < 0)
        log_warn("%s: %s", path, strerror(errno));
    if (m->ending)
        nudge(m); /* there are users, and no time */
}

/* Neither Docker nor its user waits for ever. */
static void late_cb(uv_timer_t *timer)
{
    struct mounting *m = timer->data;

    if (m->state == LOOKING || m->state == STARTING) {
        mounting_set_error(
            m, "tp-daemon or the cluster does not answer: see tp status");
        mounting_give_up(m);
    } else if (m->state == DRAINING && !m->nudged) {
        nudge(m);
    } else if (m->state == DRAINING && !TAILQ_EMPTY(&m->ops) &&
               !TAILQ_FIRST(&m->ops)->mount) {
        finish(m, "what was written is not with the cluster yet; it goes on "
                  "until the mount's timeout");
    }
}

static void do_mount(struct mounting *m, struct mounting_op *op)
{
    if (m->ending)
        finish(m, "the volume plugin is being disabled");
    else if (m->state == UP)
        finish(m, add_id(m, op->id) < 0 ? "too many containers use it" : NULL);
    else if (m->state == DOWN)
        start(m);
}

static void do_unmount(struct mounting *m, struct mounting_op *op)
{
    drop_id(m, op->id);
    if (m->state == UP && m->n_ids == 0)
        start_drain(m);
    else
        finish(m, NULL);
}

/* Does what can be done now. A mount that comes while it drains waits. */
static void next(struct mounting *m)
{
    struct mounting_op *op;

    while ((op = TAILQ_FIRST(&m->ops))) {
        unsigned done = m->done;

        if (m->state == LOOKING || m->state == STARTING ||
            (m->state == DRAINING && op->mount))
            return;
        if (op->mount)
            do_mount(m, op);
        else
            do_unmount(m, op);
        if (done == m->done)
            return; /* it takes time */
    }
    if (m->ending && m->state == UP)
        start_drain(m);
}

/* ---- from outside -------------------------------------------------------- */

void mounting_mount(struct mounting *m, const char *id, mounting_cb *cb,
                    void *arg)
{
    enqueue(m, true, id, cb, arg);
}

void mounting_unmount(struct mounting *m, const char *id, mounting_cb *cb,
                      void *arg)
{
    enqueue(m, false, id, cb, arg);
}

void mounting_end(struct mounting *m)
{
    m->ending = true;
    if (m->state == LOOKING || m->state == STARTING)
        mounting_give_up(m);
    else if (m->state == UP)
        start_drain(m);
}

bool mounting_is_up(const struct mounting *m)
{
    return m->state == UP;
}

bool mounting_has_ended(const struct mounting *m)
{
    return m->state == DOWN;
}

bool mounting_is_idle(const struct mounting *m)
{
    return m->state == DOWN && m->n_ids == 0 && m->n_ops == 0;
}

void mounting_clean(const char *path)
{
    for (int i = 0; i < 64 && umount2(path, MNT_DETACH) == 0; i++)
        ;
}

struct mounting *mounting_create(struct volume *v)
{
    struct mounting *m = calloc(1, sizeof(*m));

    if (m) {
        m->timer = malloc(sizeof(*m->timer));
        m->again = malloc(sizeof(*m->again));
    }
    if (!m || !m->timer || !m->again) {
        if (m) {
            free(m->timer);
            free(m->again);
        }
        free(m);
        return NULL;
    }
    m->v = v;
    m->mount_end = m->broker_end = -1;
    LIST_INIT(&m->ids);
    TAILQ_INIT(&m->ops);
    uv_timer_init(v->all->loop, m->timer);
    uv_timer_init(v->all->loop, m->again);
    m->timer->data = m->again->data = m;
    return m;
}

static void timer_closed_cb(uv_handle_t *handle)
{
    free(handle);
}

void mounting_destroy(struct mounting *m)
{
    struct mounting_id *i;

    if (!m)
        return;
    while ((i = LIST_FIRST(&m->ids)))
        drop_id(m, i->text);
    mounting_close_ends(m);
    uv_close((uv_handle_t *)m->timer, timer_closed_cb);
    uv_close((uv_handle_t *)m->again, timer_closed_cb);
    free(m);
}
