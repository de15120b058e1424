#include "mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "program.h"
#include "served.h"
#include "volumes.h"

#define MOUNT_MS 18000 /* Docker waits two minutes; people do not */
#define NUDGE_MS 3000  /* then tp-mount is told that it is unmounted */
#define DRAIN_MS 50000 /* Docker waits a minute; it goes on after that */
#define IDS_MAX  256
#define OPS_MAX  256

enum mounting_state { DOWN, LOOKING, STARTING, UP, DRAINING };

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

struct mounting {
    struct volume *v;
    enum mounting_state state;
    LIST_HEAD(, mounting_id) ids;
    unsigned n_ids, n_ops, done;   /* done: how many requests were, ever */
    TAILQ_HEAD(, mounting_op) ops; /* the first one is being done */
    struct program *broker, *mount;
    int pair; /* tp-mount's end of what it shares with the broker; -1 */
    uv_timer_t *timer;
    bool nudged, ending;
    char error[512]; /* of this try */
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

static void set_error(struct mounting *m, const char *text)
{
    if (!*m->error)
        snprintf(m->error, sizeof(m->error), "%s", text);
}

static void close_pair(struct mounting *m)
{
    if (m->pair >= 0)
        close(m->pair);
    m->pair = -1;
}

/* Both processes go; settle() is called at their ends. */
static void give_up(struct mounting *m)
{
    program_kill(m->mount, SIGKILL);
    program_kill(m->broker, SIGKILL);
    close_pair(m);
}

/* Whenever a process has ended: DOWN once both have. */
static void settle(struct mounting *m)
{
    cleanup_free char *path = NULL;
    enum mounting_state was = m->state;

    if (m->broker || m->mount || was == DOWN)
        return;
    path = volume_path(m->v);
    if (path)
        mounting_clean(path);
    uv_timer_stop(m->timer);
    m->state = DOWN;
    if (was == LOOKING || was == STARTING)
        fail_mounts(m, *m->error ? m->error : "tp-mount ended");
    else if (was == DRAINING && !TAILQ_EMPTY(&m->ops) &&
             !TAILQ_FIRST(&m->ops)->mount)
        finish(m, *m->error ? m->error : NULL);
    next(m);
}

static void mount_line_cb(void *arg, const char *line)
{
    struct mounting *m = arg;
    const char *text = strncmp(line, "tp-mount: ", 10) ? line : line + 10;

    log_info("volume %s: %s", m->v->name, text);
    if (m->state == STARTING)
        snprintf(m->error, sizeof(m->error), "%s", text);
}

/* A zero byte, which is an empty line; another byte says that it failed. */
static void mount_ready_cb(void *arg, const char *line)
{
    struct mounting *m = arg;

    if (m->state != STARTING || *line)
        return;
    uv_timer_stop(m->timer);
    m->state = UP;
    log_info("volume %s is mounted", m->v->name);
    next(m);
}

static void mount_ended_cb(void *arg, int status)
{
    struct mounting *m = arg;

    m->mount = NULL;
    if (m->state == DRAINING && status != 0)
        set_error(m, "what was written last could not be written to the "
                     "cluster, see the log of Docker");
    if (m->state == UP) {
        log_error("volume %s: tp-mount ended (status %d)", m->v->name, status);
        m->state = DRAINING; /* users see it; the next one mounts anew */
    }
    program_kill(m->broker, SIGKILL);
    settle(m);
}

static void put_option(FILE *out, bool given, const char *name)
{
    if (given)
        fprintf(out, ",%s", name);
}

/* The options of tp-mount; owned. */
static char *mount_options(const struct mounting *m, bool read_only)
{
    const struct volume_options *o = &m->v->o;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    fprintf(out, "broker_fd=%d,ready_fd=%d,no_unmount,follow_outside,fsname=%s",
            PROGRAM_SHARED_FD, PROGRAM_LINES_FD, m->v->name);
    put_option(out, read_only, "ro");
    put_option(out, o->strict, "strict");
    put_option(out, o->async_names, "async_names");
    put_option(out, o->default_permissions, "default_permissions");
    if (o->timeout)
        fprintf(out, ",timeout=%u", o->timeout);
    if (o->attr_timeout)
        fprintf(out, ",attr_timeout=%u", o->attr_timeout);
    return fclose(out) == 0 ? text : NULL;
}

static int start_mount(struct mounting *m, const struct served *s)
{
    cleanup_free char *options = mount_options(m, s->read_only), *source = NULL;
    cleanup_free char *point = volume_path(m->v);
    struct program_config config = {.loop = m->v->all->loop,
                                    .shared_fd = m->pair,
                                    .said_cb = mount_line_cb,
                                    .line_cb = mount_ready_cb,
                                    .ended_cb = mount_ended_cb,
                                    .arg = m};

    if (asprintf(&source, "tp:%s", s->path) < 0)
        source = NULL;
    if (!options || !point || !source)
        return -ENOMEM;
    config.argv = (const char *const[]){
        m->v->all->mount_program, "-f", "-o", options, source, point, NULL};
    m->mount = program_start(&config);
    return m->mount ? 0 : -EIO;
}

/* The broker's one line: what is served, or why nothing is. */
static void broker_line_cb(void *arg, const char *line)
{
    struct mounting *m = arg;
    cleanup_json struct json_object *files =
        json_parse_text(line, strlen(line), NULL);
    struct tp_error err = {0};
    struct served served;
    int rc;

    if (m->state != LOOKING)
        return;
    rc = served_choose(&served, &m->v->o, m->v->name, files, &err);
    if (rc == 0) {
        m->state = STARTING;
        rc = start_mount(m, &served);
        if (rc < 0)
            tp_error_errno(&err, rc, "tp-mount");
        served_release(&served);
    }
    close_pair(m);
    if (rc == 0)
        return;
    set_error(m, err.text);
    give_up(m);
}

static void broker_said_cb(void *arg, const char *line)
{
    struct mounting *m = arg;

    log_info("volume %s: %s", m->v->name, line);
}

static void broker_ended_cb(void *arg, int status)
{
    struct mounting *m = arg;

    m->broker = NULL;
    if (m->state == LOOKING)
        set_error(m, "the broker ended");
    else if (m->state == UP && status != 0)
        log_error("volume %s: the broker ended (status %d)", m->v->name,
                  status);
    if (m->state == STARTING)
        program_kill(m->mount, SIGKILL);
    settle(m);
}

static int start_broker(struct mounting *m, const char *dir)
{
    struct program_config config = {.loop = m->v->all->loop,
                                    .said_cb = broker_said_cb,
                                    .line_cb = broker_line_cb,
                                    .ended_cb = broker_ended_cb,
                                    .arg = m};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    m->pair = pair[0];
    config.shared_fd = pair[1];
    config.argv = (const char *const[]){m->v->all->broker_program, "broker",
                                        dir, m->v->o.engagement, NULL};
    m->broker = program_start(&config);
    close(pair[1]);
    return m->broker ? 0 : -EIO;
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
    rc = start_broker(m, dir);
    if (rc == 0)
        return;
    tp_error_errno(&err, rc, "broker");
    set_error(m, err.text);
    close_pair(m);
    settle(m);
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
        set_error(m, "tp-daemon or the cluster does not answer: see tp status");
        give_up(m);
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
        give_up(m);
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

    if (m)
        m->timer = malloc(sizeof(*m->timer));
    if (!m || !m->timer) {
        free(m);
        return NULL;
    }
    m->v = v;
    m->pair = -1;
    LIST_INIT(&m->ids);
    TAILQ_INIT(&m->ops);
    uv_timer_init(v->all->loop, m->timer);
    m->timer->data = m;
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
    close_pair(m);
    uv_close((uv_handle_t *)m->timer, timer_closed_cb);
    free(m);
}
