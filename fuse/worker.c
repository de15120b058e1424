#include "fuse/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/memory.h"
#include "fuse/confine.h"
#include "fuse/directory.h"
#include "fuse/helper.h"
#include "fuse/journal.h"
#include "fuse/memory.h"
#include "fuse/ops.h"
#include "fuse/prefetch.h"
#include "fuse/write.h"

#define BURST      64 /* requests of the kernel's between looks at the server */
#define SWEEP_MS   1000
#define HEAP_BYTES (16 * 1024 * 1024) /* free memory that is kept */

enum worker_state {
    WORKER_CONNECTING, /* the first connection is not there yet */
    WORKER_LOOKING,    /* for the directory */
    WORKER_SERVING,
    WORKER_DRAINING, /* the kernel is gone; calls are not */
    WORKER_ENDED,
};

struct worker {
    struct mount m;
    uv_loop_t loop;
    int sock;
    enum worker_state state;
    struct carrier *carrier;
    struct ssh_identity *identity;
    struct tp_error *err; /* of the start */
    uv_poll_t device, control;
    uv_prepare_t before;
    uv_timer_t sweep;
    uv_signal_t signals[3];
    void *buf; /* one request of the kernel's */
    bool paused;
    uint64_t drain_from; /* ms */
    size_t drain_left;
};

static void end(struct worker *w)
{
    w->state = WORKER_ENDED;
    uv_stop(&w->loop);
}

static void fail_start(struct worker *w, int err, const char *what)
{
    if (err)
        tp_error_errno(w->err, err, "%s", what);
    else
        tp_error_set(w->err, -EIO, "%s", what);
    end(w);
}

/* The kernel is gone: what was accepted goes out, then the process ends. */
static void start_drain(struct worker *w)
{
    if (w->state >= WORKER_DRAINING)
        return;
    log_debug("unmounted; %zu bytes to write", w->m.write_bytes);
    w->state = WORKER_DRAINING;
    w->drain_from = uv_now(&w->loop);
    w->drain_left = w->m.write_bytes;
    uv_poll_stop(&w->device);
    fuse_session_exit(w->m.se);
}

static unsigned calls_left(const struct worker *w)
{
    unsigned left = 0;

    for (unsigned i = 0; i < w->m.n_conns; i++)
        left += conn_calls(w->m.conns[i]);
    return left;
}

/* As long as there is progress it goes on. */
static void check_drain(struct worker *w)
{
    uint64_t now = uv_now(&w->loop);

    if (w->m.write_bytes == 0 && calls_left(w) == 0) {
        end(w);
    } else if (w->m.write_bytes != w->drain_left) {
        w->drain_left = w->m.write_bytes;
        w->drain_from = now;
    } else if (now - w->drain_from > 2000ull * w->m.o->timeout) {
        log_error("%zu bytes could not be written and are lost",
                  w->m.write_bytes);
        w->m.lost++;
        end(w);
    }
}

static bool is_full(const struct worker *w)
{
    return write_is_full(&w->m) || conn_calls(w->m.conns[META]) > CALLS_SOFT ||
           conn_calls(w->m.conns[BULK]) > CALLS_SOFT;
}

static void device_cb(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    struct fuse_buf buf = {.mem = NULL};

    (void)status;
    (void)events;
    for (int i = 0; i < BURST && w->state == WORKER_SERVING; i++) {
        int n;

        if (is_full(w)) {
            w->paused = true;
            uv_poll_stop(&w->device);
            break;
        }
        buf.mem = w->buf;
        n = fuse_session_receive_buf(w->m.se, &buf);
        w->buf = buf.mem;
        if (n == -EAGAIN || n == -EINTR)
            break;
        if (n <= 0 || fuse_session_exited(w->m.se)) {
            start_drain(w);
            break;
        }
        fuse_session_process_buf(w->m.se, &buf);
    }
}

static void before_cb(uv_prepare_t *before)
{
    struct worker *w = before->data;

    if (w->paused && !is_full(w) && w->state == WORKER_SERVING) {
        w->paused = false;
        uv_poll_start(&w->device, UV_READABLE, device_cb);
    }
    if (w->state == WORKER_DRAINING)
        check_drain(w);
}

static void sweep_cb(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    content_sweep(&w->m);
    directory_sweep(&w->m);
    if (w->state == WORKER_CONNECTING && conn_attempts(w->m.conns[META]) > 0 &&
        !carrier_redials(w->carrier))
        fail_start(w, 0, conn_failure(w->m.conns[META])->text);
}

static void signal_cb(uv_signal_t *handle, int number)
{
    struct worker *w = handle->data;

    (void)number;
    if (w->state < WORKER_SERVING)
        fail_start(w, -EINTR, "interrupted");
    else if (helper_send(w->sock, HELPER_UNMOUNT, NULL, -1) < 0)
        start_drain(w); /* nobody can unmount */
}

static void control_cb(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    struct helper_message message;
    int rc;

    (void)status;
    (void)events;
    rc = helper_receive(w->sock, &message, NULL);
    if (rc == 0 && message.kind == HELPER_END)
        start_drain(w);
    else if (rc < 0 && rc != -EAGAIN)
        uv_poll_stop(poll); /* the helper is gone; the mount is not */
}

static int serve_device(struct worker *w, int fd)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char path[32];

    fuse_opt_add_arg(&args, "tp-mount");
    w->m.se = fuse_session_new(&args, &mount_ops, sizeof(mount_ops), &w->m);
    fuse_opt_free_args(&args);
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    if (!w->m.se || fuse_session_mount(w->m.se, path) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -EIO;
    uv_poll_init(&w->loop, &w->device, fd);
    w->device.data = w;
    uv_poll_start(&w->device, UV_READABLE, device_cb);
    fcntl(w->sock, F_SETFL, O_NONBLOCK);
    uv_poll_init(&w->loop, &w->control, w->sock);
    w->control.data = w;
    uv_poll_start(&w->control, UV_READABLE, control_cb);
    w->state = WORKER_SERVING;
    return 0;
}

/* The directory is there: now the helper mounts. */
static void ask_device(struct worker *w)
{
    struct helper_message message;
    int fd = -1;

    if (helper_send(w->sock, HELPER_READY, NULL, -1) < 0 ||
        helper_receive(w->sock, &message, &fd) < 0 || fd < 0 ||
        serve_device(w, fd) < 0)
        end(w); /* the helper has said why */
}

static void looked_cb(void *arg, int err)
{
    struct worker *w = arg;

    if (err)
        fail_start(w, err == -ESTALE ? -ENOTDIR : err, w->m.base);
    else
        ask_device(w);
}

static void real_cb(void *arg, const struct reply *reply)
{
    struct worker *w = arg;
    struct sftp_reader body = reply->body;
    struct sftp_name name;
    uint32_t left;

    if (reply->err) {
        fail_start(w, reply->err, w->m.o->path);
        return;
    }
    if (sftp_decode_names(&body, &left) < 0 || left != 1 ||
        sftp_next_name(&body, &left, &name) != 1 || name.name.len == 0 ||
        name.name.len >= sizeof(w->m.base) ||
        memchr(name.name.data, '\0', name.name.len)) {
        fail_start(w, -EPROTO, "the server does not know its directory");
        return;
    }
    memcpy(w->m.base, name.name.data, name.name.len);
    w->m.base[name.name.len] = '\0';
    attributes_ask(&w->m, node_root(w->m.nodes), looked_cb, w);
}

static void look(struct worker *w)
{
    struct conn_call_args call = {.request = {.type = SFTP_REALPATH},
                                  .expect = SFTP_NAME,
                                  .flags = CONN_REPEAT,
                                  .cb = real_cb,
                                  .arg = w};

    w->state = WORKER_LOOKING;
    call.request.path = text_of(w->m.o->path);
    conn_call(w->m.conns[META], &call);
}

static void up_cb(void *arg, struct conn *c)
{
    struct worker *w = arg;

    if (c == w->m.conns[META] && w->state == WORKER_CONNECTING)
        look(w);
}

static void lost_cb(void *arg, struct conn *c)
{
    struct worker *w = arg;

    if (w->state == WORKER_CONNECTING && c == w->m.conns[META] &&
        conn_attempts(c) >= carrier_addresses(w->carrier))
        fail_start(w, 0, conn_failure(c)->text);
}

static void start_loop(struct worker *w)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    uv_loop_init(&w->loop);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uv_signal_init(&w->loop, &w->signals[i]);
        w->signals[i].data = w;
        uv_signal_start(&w->signals[i], signal_cb, numbers[i]);
    }
    uv_prepare_init(&w->loop, &w->before);
    w->before.data = w;
    uv_prepare_start(&w->before, before_cb);
    uv_timer_init(&w->loop, &w->sweep);
    w->sweep.data = w;
    uv_timer_start(&w->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
}

static void start_mount(struct worker *w, const struct mount_options *o)
{
    struct mount *m = &w->m;

    m->o = o;
    m->loop = &w->loop;
    m->ttl = o->strict ? 0 : 1000ull * o->attr_timeout;
    m->nodes = node_table_create();
    TAILQ_INIT(&m->listings);
    TAILQ_INIT(&m->contents);
    TAILQ_INIT(&m->held);
}

static void start_conns(struct worker *w)
{
    struct conn_config config = {.loop = &w->loop,
                                 .carrier = w->carrier,
                                 .identity = w->identity,
                                 .timeout = w->m.o->timeout,
                                 .name = "connection",
                                 .lost_cb = lost_cb,
                                 .up_cb = up_cb,
                                 .arg = w};

    w->m.conns[META] = w->m.conns[BULK] = conn_create(&config);
    config.name = "bulk connection";
    config.threaded = true;
    if (carrier_count(w->carrier) > 1)
        w->m.conns[BULK] = conn_create(&config);
    w->m.n_conns = 2;
    w->m.lane_config = config;
}

/* In this order: files are read, rights are dropped, then comes the network. */
static int start(struct worker *w, const struct mount_options *o)
{
    int rc;

    memory_tune(1, HEAP_BYTES);
    start_loop(w);
    start_mount(w, o);
    if (!o->foreground)
        journal_open();
    if (!o->raw) {
        w->identity = ssh_identity_create(o, w->err);
        if (!w->identity)
            return w->err->code;
        libssh2_init(0);
    }
    rc = confine_drop_capabilities(w->err);
    if (rc == 0)
        rc = confine_calls(w->err);
    if (rc < 0)
        return rc;
    w->carrier = carrier_create(o, w->err);
    if (!w->carrier)
        return w->err->code;
    rc = confine_files(w->err);
    if (rc == 0)
        start_conns(w);
    return rc;
}

int worker_run(const struct mount_options *o, int sock)
{
    struct worker *w = mem_alloc(sizeof(*w));
    struct tp_error err = {0};

    log_set_level(o->debug ? LOG_DEBUG : LOG_INFO);
    w->sock = sock;
    w->err = &err;
    if (start(w, o) == 0)
        uv_run(&w->loop, UV_RUN_DEFAULT);
    if (err.code) {
        helper_send(sock, HELPER_FAILED, err.text, -1);
        return 1;
    }
    if (w->m.lost)
        log_error("%u changes were lost", w->m.lost);
    return w->m.lost ? 1 : 0;
}
