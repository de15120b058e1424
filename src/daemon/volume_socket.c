/*
 * A connection: HANDSHAKE -> one request line -> ASKING (the manager) -> the
 * answer goes out -> closed. One timer bounds all of it. The listener and each
 * connection hold the socket's object, which goes with the last of them.
 */
#include "daemon/volume_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement.h"
#include "daemon/session.h"
#include "net/listen.h"
#include "net/tls.h"

#define REQUEST_MAX 4096
#define ANSWER_MAX  (256 * 1024)
#define CONNS_MAX   32
#define BACKLOG     16
#define CONN_MS     15000
#define NAME_SIZE   254

struct volume_conn {
    LIST_ENTRY(volume_conn) entry;
    struct volume_socket *v; /* NULL once the socket is gone */
    struct stream *stream;
    struct tls_ctx *tls;
    uv_timer_t timer;
    struct buf in, out;
    char name[NAME_SIZE]; /* of the engagement that is asked for */
    bool asking;          /* the manager; its answer comes in any case */
    bool closing;
    unsigned holds; /* stream, timer and the manager's answer */
};

struct volume_socket {
    uv_loop_t *loop;
    struct session *session;
    struct engagements *engagements;
    struct listener *listener;
    char *path;
    LIST_HEAD(, volume_conn) conns;
    unsigned count;
};

static void let_go(struct volume_conn *c)
{
    if (--c->holds > 0)
        return;
    tls_ctx_destroy(c->tls);
    buf_release(&c->in);
    if (c->out.data)
        explicit_bzero(c->out.data, c->out.size); /* it may hold a key */
    buf_release(&c->out);
    free(c);
}

static void stream_closed_cb(void *arg)
{
    let_go(arg);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void conn_close(struct volume_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    LIST_REMOVE(c, entry);
    c->v->count--;
    c->v = NULL;
    stream_close(c->stream, stream_closed_cb, c);
    uv_close((uv_handle_t *)&c->timer, timer_closed_cb);
}

static void timeout_cb(uv_timer_t *timer)
{
    conn_close(timer->data);
}

/* ---- the answer ---------------------------------------------------------- */

static void send_out(struct volume_conn *c)
{
    while (buf_used(&c->out) > 0) {
        ssize_t n =
            stream_write(c->stream, buf_head(&c->out), buf_used(&c->out));

        if (n == -EAGAIN) {
            stream_want(c->stream, STREAM_WRITABLE);
            return;
        }
        if (n < 0) {
            conn_close(c);
            return;
        }
        explicit_bzero(buf_head(&c->out), (size_t)n);
        buf_consume(&c->out, (size_t)n);
    }
    if (stream_shutdown(c->stream) == -EAGAIN)
        stream_want(c->stream, STREAM_WRITABLE);
    else
        conn_close(c);
}

static void answer(struct volume_conn *c, struct json_object *obj)
{
    const char *text = json_to_text(obj);

    if (buf_append(&c->out, text, strlen(text)) < 0 ||
        buf_append(&c->out, "\n", 1) < 0)
        conn_close(c);
    else
        send_out(c);
}

static void refuse(struct volume_conn *c, const char *code, const char *text)
{
    cleanup_json struct json_object *obj = json_object_new_object();

    json_put_str(obj, "error", text);
    json_put_str(obj, "code", code);
    answer(c, obj);
}

/* FILES with what only the plugin gets. */
static void answered_cb(void *arg, int status, const char *body, size_t len)
{
    struct volume_conn *c = arg;
    cleanup_json struct json_object *obj =
        status > 0 ? json_parse_text(body, len, NULL) : NULL;
    struct engagement *eng =
        c->closing ? NULL : engagements_find(c->v->engagements, c->name);

    c->asking = false;
    if (c->closing) {
        let_go(c);
        return;
    }
    c->holds--;
    if (!obj || !eng) {
        refuse(c, "unreachable", "the manager does not answer");
        return;
    }
    if (status == 200) {
        json_put_str(obj, "id", engagement_id(eng));
        json_put_str(obj, "key", engagement_files_key(eng));
    }
    answer(c, obj);
}

/* ---- the request --------------------------------------------------------- */

static void request_files(struct volume_conn *c, struct json_object *request)
{
    const char *name = json_get_str(request, "name", "");
    struct engagement *eng = engagements_find(c->v->engagements, name);
    int rc;

    if (session_state(c->v->session) == SESSION_IDLE) {
        refuse(c, "not-connected", "not connected: run tp connect");
        return;
    }
    if (!eng || strlen(name) >= sizeof(c->name)) {
        refuse(c, "no-engagement", "there is no such engagement");
        return;
    }
    strcpy(c->name, name);
    c->asking = true;
    c->holds++;
    rc = engagement_files_ask(eng, answered_cb, c);
    if (rc == 0)
        return;
    c->asking = false;
    c->holds--;
    refuse(c, "not-connected", "there is no link to the cluster now");
}

static void got_line(struct volume_conn *c, const char *text, size_t len)
{
    cleanup_json struct json_object *obj = json_parse_text(text, len, NULL);

    stream_want(c->stream, 0);
    if (!strcmp(json_get_str(obj, "op", ""), "files"))
        request_files(c, obj);
    else
        refuse(c, "invalid", "this tp-daemon knows no such request");
}

static void read_line(struct volume_conn *c)
{
    uint8_t *to = buf_reserve(&c->in, buf_room(&c->in)), *end;
    ssize_t n = to ? stream_read(c->stream, to, buf_room(&c->in)) : -ENOBUFS;

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    end = memchr(buf_head(&c->in), '\n', buf_used(&c->in));
    if (end)
        got_line(c, (char *)buf_head(&c->in), (size_t)(end - buf_head(&c->in)));
    else if (buf_room(&c->in) == 0)
        conn_close(c);
}

static void event_cb(void *arg, unsigned events)
{
    struct volume_conn *c = arg;

    if (events & STREAM_WRITABLE)
        send_out(c);
    else if (events & STREAM_READABLE)
        read_line(c);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    struct volume_conn *c = arg;

    if (status < 0) {
        log_warn("volume socket: %s", text);
        conn_close(c);
        return;
    }
    stream_want(c->stream, STREAM_READABLE);
}

/* ---- connections --------------------------------------------------------- */

/* The keys of the session as it is now: there may be none yet. */
static struct tls_ctx *make_tls(struct volume_socket *v)
{
    struct json_object *keys = session_volume_keys(v->session);
    struct tls_server_config config = {
        .cert_pem = json_get_str(keys, "cert", NULL),
        .key_pem = json_get_str(keys, "key", NULL),
        .client_ca_pem = json_get_str(keys, "peer", NULL),
        .client_required = true,
        .newest_only = true,
    };
    struct tp_error err = {0};
    struct tls_ctx *tls;

    if (!config.cert_pem || !config.key_pem || !config.client_ca_pem)
        return NULL;
    tls = tls_ctx_create_server(&config, &err);
    if (!tls)
        log_warn("volume socket: %s", err.text);
    return tls;
}

static struct volume_conn *conn_create(struct volume_socket *v)
{
    struct volume_conn *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->tls = make_tls(v);
    if (!c->tls) {
        free(c);
        return NULL;
    }
    c->v = v;
    buf_init(&c->in, REQUEST_MAX);
    buf_init(&c->out, ANSWER_MAX);
    return c;
}

static void accepted_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct volume_socket *v = arg;
    struct volume_conn *c = v->count < CONNS_MAX ? conn_create(v) : NULL;
    struct stream *below;

    (void)peer;
    if (!c) {
        close(fd);
        return;
    }
    below = stream_create_fd(v->loop, fd);
    c->stream =
        below ? tls_accept(c->tls, below, CONN_MS, handshake_cb, c) : NULL;
    if (!c->stream) {
        c->holds = 1;
        let_go(c);
        return;
    }
    stream_set_callback(c->stream, event_cb, c);
    uv_timer_init(v->loop, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, timeout_cb, CONN_MS, 0);
    c->holds = 2;
    LIST_INSERT_HEAD(&v->conns, c, entry);
    v->count++;
}

struct volume_socket *volume_socket_create(uv_loop_t *loop,
                                           struct session *session,
                                           struct engagements *engagements,
                                           const char *path,
                                           struct tp_error *err)
{
    struct volume_socket *v = calloc(1, sizeof(*v));
    int fd;

    if (v)
        v->path = strdup(path);
    if (!v || !v->path) {
        tp_error_errno(err, -ENOMEM, "%s", path);
        free(v);
        return NULL;
    }
    v->loop = loop;
    v->session = session;
    v->engagements = engagements;
    LIST_INIT(&v->conns);
    fd = listener_bind_unix(path, BACKLOG, err);
    if (fd >= 0)
        v->listener = listener_create_fd(loop, fd, accepted_cb, v, err);
    if (v->listener)
        return v;
    volume_socket_destroy(v);
    return NULL;
}

void volume_socket_destroy(struct volume_socket *v)
{
    struct volume_conn *c;

    if (!v)
        return;
    while ((c = LIST_FIRST(&v->conns)))
        conn_close(c);
    if (v->listener) {
        listener_close(v->listener);
        unlink(v->path);
    }
    free(v->path);
    free(v);
}
