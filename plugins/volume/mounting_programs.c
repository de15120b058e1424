#include "mounting_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "served.h"

#define WAIT_FIRST 100   /* ms, before a broker takes the place of another */
#define WAIT_LAST  5000  /* doubled up to this */
#define LIVED_MS   60000 /* who lived that long has not failed in a row */

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void mounting_close_ends(struct mounting *m)
{
    close_end(&m->mount_end);
    close_end(&m->broker_end);
}

void mounting_give_up(struct mounting *m)
{
    program_kill(m->mount, SIGKILL);
    program_kill(m->broker, SIGKILL);
    mounting_close_ends(m);
}

/* ---- tp-mount -------------------------------------------------------------
 */

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

    if (m->state == STARTING && !*line)
        mounting_is_ready(m);
}

static void mount_ended_cb(void *arg, int status)
{
    struct mounting *m = arg;

    m->mount = NULL;
    if (m->state == DRAINING && status != 0)
        mounting_set_error(m, "what was written last could not be written to "
                              "the cluster, see the log of Docker");
    if (m->state == UP) {
        log_error("volume %s: tp-mount ended (status %d)", m->v->name, status);
        m->state = DRAINING; /* users see it; the next one mounts anew */
    }
    program_kill(m->broker, SIGKILL);
    mounting_settle(m);
}

static void put_option(FILE *out, bool given, const char *name)
{
    if (given)
        fprintf(out, ",%s", name);
}

/* The options of tp-mount; owned. no_setid: nosuid is a flag of one mount, and
 * Docker's :ro makes one without it. */
static char *mount_options(const struct mounting *m, bool read_only)
{
    const struct volume_options *o = &m->v->o;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    fprintf(out,
            "broker_fd=%d,ready_fd=%d,no_unmount,no_setid,follow_outside,"
            "fsname=%s",
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
                                    .shared_fd = m->mount_end,
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
    close_end(&m->mount_end);
    return m->mount ? 0 : -EIO;
}

/* ---- the broker ------------------------------------------------------------
 */

/* Its one line: what is served, or why nothing is. */
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
    if (rc == 0)
        return;
    mounting_set_error(m, err.text);
    mounting_give_up(m);
}

static void broker_said_cb(void *arg, const char *line)
{
    struct mounting *m = arg;

    log_info("volume %s: %s", m->v->name, line);
}

/* tp-mount's request waits in the socket for the next one. */
static void start_again_later(struct mounting *m)
{
    uint64_t now = uv_now(m->v->all->loop);

    if (m->broker_wait == 0 || now - m->broker_at > LIVED_MS)
        m->broker_wait = WAIT_FIRST;
    else if (m->broker_wait < WAIT_LAST)
        m->broker_wait *= 2;
    uv_timer_start(m->again, mounting_again_cb, m->broker_wait, 0);
}

static void broker_ended_cb(void *arg, int status)
{
    struct mounting *m = arg;

    m->broker = NULL;
    if (m->state == LOOKING || m->state == STARTING) {
        mounting_set_error(m, "the broker ended");
        program_kill(m->mount, SIGKILL);
    } else if (m->mount) {
        if (status != 0)
            log_error("volume %s: the broker ended (status %d)", m->v->name,
                      status);
        start_again_later(m);
    }
    mounting_settle(m);
}

static int start_broker(struct mounting *m, const char *dir, const char *again)
{
    struct program_config config = {.loop = m->v->all->loop,
                                    .shared_fd = m->broker_end,
                                    .said_cb = broker_said_cb,
                                    .line_cb = broker_line_cb,
                                    .ended_cb = broker_ended_cb,
                                    .arg = m};

    config.argv =
        (const char *const[]){m->v->all->broker_program, "broker", dir,
                              m->v->o.engagement,        again,    NULL};
    m->broker = program_start(&config);
    m->broker_at = uv_now(m->v->all->loop);
    return m->broker ? 0 : -EIO;
}

void mounting_again_cb(uv_timer_t *timer)
{
    struct mounting *m = timer->data;
    struct tp_error err = {0};
    cleanup_free char *dir =
        volumes_control_dir(m->v->all, m->v->o.daemon, &err);

    if (!m->mount || m->broker)
        return;
    if (dir && start_broker(m, dir, "again") == 0)
        return;
    log_error("volume %s: no broker: %s", m->v->name, err.text);
    start_again_later(m);
}

int mounting_start(struct mounting *m, const char *dir)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    m->mount_end = pair[0];
    m->broker_end = pair[1];
    m->broker_wait = 0;
    return start_broker(m, dir, NULL);
}
