#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/control_internal.h"

#define REQUEST_MS 10000
#define QUEUE_MAX  (4 * 1024 * 1024)
#define CHUNK      65536
#define BACKLOG    16

struct write_op {
    uv_write_t req; /* first */
    char text[];
};

static void conn_closed_cb(uv_handle_t *handle)
{
    struct control_conn *conn = handle->data;

    if (--conn->handles > 0)
        return;
    buf_release(&conn->in);
    free(conn);
}

static void conn_close(struct control_conn *conn)
{
    struct control *c = conn->c;

    if (conn->closing)
        return;
    conn->closing = true;
    control_forget(conn);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        c->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    c->n_conns--;
    uv_close((uv_handle_t *)&conn->pipe, conn_closed_cb);
    uv_close((uv_handle_t *)&conn->timer, conn_closed_cb);
}

static void write_cb(uv_write_t *req, int status)
{
    (void)status;
    free(req);
}

void control_send(struct control_conn *conn, struct json_object *obj)
{
    cleanup_json struct json_object *owned = obj;
    const char *text = json_to_text(owned);
    size_t len = strlen(text);
    struct write_op *op;
    uv_buf_t buf;

    if (conn->closing)
        return;
    op = malloc(sizeof(*op) + len + 1);
    if (!op || conn->pipe.write_queue_size > QUEUE_MAX) {
        free(op);
        conn_close(conn);
        return;
    }
    memcpy(op->text, text, len);
    op->text[len] = '\n';
    buf = uv_buf_init(op->text, (unsigned)len + 1);
    if (uv_write(&op->req, (uv_stream_t *)&conn->pipe, &buf, 1, write_cb) < 0) {
        free(op);
        conn_close(conn);
    }
}

void control_send_error(struct control_conn *conn, const char *code,
                        const char *text)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "error", text);
    json_put_str(obj, "code", code);
    control_send(conn, obj);
}

static void shutdown_cb(uv_shutdown_t *req, int status)
{
    struct control_conn *conn = req->data;

    (void)status;
    free(req);
    conn_close(conn);
}

void control_finish(struct control_conn *conn)
{
    uv_shutdown_t *req;

    if (conn->closing || conn->finishing)
        return;
    conn->finishing = true;
    uv_read_stop((uv_stream_t *)&conn->pipe);
    uv_timer_stop(&conn->timer);
    control_forget(conn);
    req = malloc(sizeof(*req));
    if (req)
        req->data = conn;
    if (!req || uv_shutdown(req, (uv_stream_t *)&conn->pipe, shutdown_cb) < 0) {
        free(req);
        conn_close(conn);
    }
}

static void got_line(struct control_conn *conn, const char *text, size_t len)
{
    struct tp_error err = {0};
    cleanup_json struct json_object *obj = json_parse_text(text, len, &err);

    if (!obj || !json_object_is_type(obj, json_type_object)) {
        control_send_error(conn, "invalid", "the request is no JSON object");
        control_finish(conn);
    } else if (conn->asked) {
        control_more(conn, obj);
    } else {
        conn->asked = true;
        uv_timer_stop(&conn->timer);
        control_request(conn, obj);
    }
}

/* Works on whole lines. `from` is where unsearched bytes begin. */
static void got_bytes(struct control_conn *conn, size_t from)
{
    while (!conn->closing && !conn->finishing) {
        uint8_t *head = buf_head(&conn->in), *end = NULL;
        size_t len = buf_used(&conn->in) - from;

        if (len > 0)
            end = memchr(head + from, '\n', len);
        if (!end)
            return;
        len = (size_t)(end - head);
        got_line(conn, (char *)head, len);
        explicit_bzero(head, len); /* it may have held secrets */
        if (conn->closing)
            return;
        buf_consume(&conn->in, len + 1);
        from = 0;
    }
}

static void got_eof(struct control_conn *conn)
{
    conn->ended = true;
    if (!conn->asked || control_client_ended(conn))
        conn_close(conn);
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct control_conn *conn = handle->data;
    size_t room = buf_room(&conn->in) < CHUNK ? buf_room(&conn->in) : CHUNK;
    uint8_t *data = room ? buf_reserve(&conn->in, room) : NULL;

    (void)suggested;
    *buf = uv_buf_init((char *)data, data ? (unsigned)room : 0);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct control_conn *conn = stream->data;
    size_t before = buf_used(&conn->in);

    (void)buf;
    if (n > 0) {
        buf_commit(&conn->in, (size_t)n);
        got_bytes(conn, before);
    } else if (n == UV_ENOBUFS) {
        control_send_error(conn, "invalid", "the request is too long");
        control_finish(conn);
    } else if (n == UV_EOF) {
        got_eof(conn);
    } else if (n < 0) {
        conn_close(conn);
    }
}

static void request_timeout_cb(uv_timer_t *timer)
{
    conn_close(timer->data);
}

/* Only root and our own user; files in the way keep others out anyway. */
static bool peer_is_trusted(struct control_conn *conn)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&conn->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static struct control_conn *conn_create(struct control *c)
{
    struct control_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return NULL;
    conn->c = c;
    buf_init(&conn->in, CONTROL_LINE_MAX + 1);
    uv_pipe_init(c->loop, &conn->pipe, 0);
    uv_timer_init(c->loop, &conn->timer);
    conn->pipe.data = conn->timer.data = conn;
    conn->handles = 2;
    conn->next = c->conns;
    if (c->conns)
        c->conns->prev = conn;
    c->conns = conn;
    c->n_conns++;
    return conn;
}

static void connection_cb(uv_stream_t *listener, int status)
{
    struct control *c = listener->data;
    struct control_conn *conn = status < 0 ? NULL : conn_create(c);

    if (!conn)
        return;
    if (uv_accept(listener, (uv_stream_t *)&conn->pipe) < 0 ||
        !peer_is_trusted(conn)) {
        conn_close(conn);
        return;
    }
    if (c->n_conns > CONTROL_CONNS_MAX) {
        control_send_error(conn, "busy", "too many control connections");
        control_finish(conn);
        return;
    }
    uv_timer_start(&conn->timer, request_timeout_cb, REQUEST_MS, 0);
    uv_read_start((uv_stream_t *)&conn->pipe, alloc_cb, read_cb);
}

static int make_directory(const char *path)
{
    cleanup_free char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (!slash || slash == dir)
        return slash ? 0 : -EINVAL;
    *slash = '\0';
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    return chmod(dir, 0700) < 0 ? -errno : 0;
}

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static int listen_at(struct control *c)
{
    mode_t mask;
    int rc;

    c->listener = malloc(sizeof(*c->listener));
    if (!c->listener)
        return -ENOMEM;
    uv_pipe_init(c->loop, c->listener, 0);
    c->listener->data = c;
    rc = make_directory(c->path);
    if (rc < 0)
        return rc;
    unlink(c->path); /* of a daemon that was killed */
    mask = umask(0177);
    rc = uv_pipe_bind(c->listener, c->path);
    umask(mask);
    return rc < 0
               ? rc
               : uv_listen((uv_stream_t *)c->listener, BACKLOG, connection_cb);
}

struct control *control_create(uv_loop_t *loop, struct session *session,
                               struct engagements *engagements,
                               const char *path, struct tp_error *err)
{
    struct control *c = calloc(1, sizeof(*c));
    int rc = -ENOMEM;

    if (c) {
        c->loop = loop;
        c->session = session;
        c->engagements = engagements;
        c->path = strdup(path);
    }
    if (c && c->path)
        rc = listen_at(c);
    if (rc == 0)
        return c;
    tp_error_errno(err, rc, "control socket %s", path);
    control_destroy(c);
    return NULL;
}

void control_destroy(struct control *c)
{
    if (!c)
        return;
    while (c->conns)
        conn_close(c->conns);
    if (c->listener)
        uv_close((uv_handle_t *)c->listener, free_handle_cb);
    if (c->path)
        unlink(c->path);
    free(c->path);
    free(c);
}
