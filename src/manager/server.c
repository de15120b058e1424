/*
 * server.c - one state machine for each connection
 *
 *   HANDSHAKE -> HEAD -> BODY -> BUSY -> WRITE -> HEAD ...
 *                                             \-> handed over (upgrade)
 *
 * HANDSHAKE  TLS only
 * HEAD       reading a head; without any byte of it the connection is idle
 * BODY       dropping the request's body
 * BUSY       the request is with its handler; nothing is read or written, so
 *            that the handler's pointer stays good
 * WRITE      writing the answer
 *
 * A sweep each second ends what is late; it runs while there are connections.
 */
#include "manager/server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "net/listen.h"
#include "net/tls.h"

#define CONNECTIONS_MAX  256
#define UNTRUSTED_MAX    32 /* of one address */
#define HANDSHAKE_MS     10000
#define HEAD_MS          10000
#define WRITE_MS         30000
#define IDLE_MS          120000
#define SWEEP_MS         1000
#define DROPPED_BODY_MAX (1024 * 1024)
#define ANSWER_MAX       (4 * 1024 * 1024)

enum conn_state { HANDSHAKE, HEAD, BODY, BUSY, WRITE, CLOSING };

/* The request's handler sees a connection as its request. */
struct server_request {
    struct server *server;
    TAILQ_ENTRY(server_request) entry;
    enum conn_state state;
    union sockaddr_any peer;
    struct stream *stream;
    uint64_t deadline; /* uv_now(); 0: none */
    bool trusted;
    bool close_after; /* the answer that is being written */
    struct buf in, out;
    struct http1_head *head; /* of the request that is being answered */
    size_t body_left;
    server_upgrade_cb *upgrade_cb;
    void *upgrade_arg;
};

struct server {
    uv_loop_t *loop;
    struct listener *listener;
    uv_timer_t sweep;
    bool use_tls, closing, sweep_closed;
    struct tls_ctx *tls;
    server_request_cb *cb;
    void *arg;
    TAILQ_HEAD(, server_request) conns;
    size_t count;
};

static void event_cb(void *arg, unsigned events);
static void read_head(struct server_request *c);

/* ---- life of a connection ----------------------------------------------- */

static void server_free_if_done(struct server *s)
{
    if (s->closing && s->sweep_closed && s->count == 0)
        free(s);
}

static void conn_release_head(struct server_request *c)
{
    if (c->head) {
        http1_release(c->head);
        free(c->head);
        c->head = NULL;
    }
}

static void conn_free(struct server_request *c)
{
    struct server *s = c->server;

    conn_release_head(c);
    buf_release(&c->in);
    buf_release(&c->out);
    TAILQ_REMOVE(&s->conns, c, entry);
    s->count--;
    free(c);
    server_free_if_done(s);
}

static void closed_cb(void *arg)
{
    conn_free(arg);
}

static void conn_close(struct server_request *c)
{
    assert(c->state != BUSY);
    if (c->state == CLOSING)
        return;
    c->state = CLOSING;
    c->deadline = 0;
    if (c->upgrade_cb) {
        server_upgrade_cb *cb = c->upgrade_cb;

        c->upgrade_cb = NULL;
        cb(c->upgrade_arg, NULL);
    }
    stream_close(c->stream, closed_cb, c);
}

static void conn_set_state(struct server_request *c, enum conn_state state,
                           unsigned timeout_ms, unsigned events)
{
    c->state = state;
    c->deadline = timeout_ms ? uv_now(c->server->loop) + timeout_ms : 0;
    stream_want(c->stream, events);
}

static void sweep_cb(uv_timer_t *timer)
{
    struct server *s = timer->data;
    struct server_request *c, *next;

    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->deadline && uv_now(s->loop) >= c->deadline)
            conn_close(c);
    }
    if (s->count == 0)
        uv_timer_stop(timer);
}

/* ---- writing --------------------------------------------------------------
 */

static void hand_over(struct server_request *c)
{
    server_upgrade_cb *cb = c->upgrade_cb;
    void *arg = c->upgrade_arg;
    struct stream *stream = c->stream;

    stream_want(stream, 0);
    stream_set_callback(stream, NULL, NULL);
    conn_free(c);
    cb(arg, stream);
}

static void answer_written(struct server_request *c)
{
    if (c->upgrade_cb) {
        hand_over(c);
        return;
    }
    conn_release_head(c);
    if (c->close_after || c->server->closing) {
        (void)stream_shutdown(c->stream);
        conn_close(c);
        return;
    }
    conn_set_state(c, HEAD, buf_used(&c->in) ? HEAD_MS : IDLE_MS,
                   STREAM_READABLE);
    read_head(c);
}

static void write_answer(struct server_request *c)
{
    while (buf_used(&c->out) > 0) {
        ssize_t n =
            stream_write(c->stream, buf_head(&c->out), buf_used(&c->out));

        if (n == -EAGAIN) {
            stream_want(c->stream, STREAM_WRITABLE);
            return;
        }
        if (n <= 0) {
            conn_close(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    answer_written(c);
}

static const char *status_text(int status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

static bool put_answer(struct server_request *c, int status,
                       const char *content_type, const char *headers,
                       const char *body)
{
    bool no_body = c->head && !strcmp(c->head->method, "HEAD");
    size_t len = strlen(body);
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
                     "Content-Length: %zu\r\n%s%s\r\n",
                     status, status_text(status), content_type, len,
                     headers ? headers : "",
                     c->close_after ? "Connection: close\r\n" : "");

    return n > 0 && (size_t)n < sizeof(head) &&
           buf_append(&c->out, head, (size_t)n) == 0 &&
           (no_body || buf_append(&c->out, body, len) == 0);
}

void server_respond(struct server_request *c, int status,
                    const char *content_type, const char *headers,
                    const char *body)
{
    bool reusable = c->head && c->head->keep_alive && !c->head->chunked;

    assert(c->state == BUSY);
    c->close_after = !reusable || (status >= 400 && !c->trusted);
    conn_set_state(c, WRITE, WRITE_MS, 0);
    if (!put_answer(c, status, content_type, headers, body))
        conn_close(c);
    else
        write_answer(c);
}

void server_upgrade(struct server_request *c, const char *headers,
                    server_upgrade_cb *cb, void *arg)
{
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\n%s\r\n",
                     status_text(101), headers);

    assert(c->state == BUSY);
    c->upgrade_cb = cb;
    c->upgrade_arg = arg;
    conn_set_state(c, WRITE, WRITE_MS, 0);
    if (c->server->closing || n <= 0 || (size_t)n >= sizeof(head) ||
        buf_append(&c->out, head, (size_t)n) < 0)
        conn_close(c);
    else
        write_answer(c);
}

/* ---- reading --------------------------------------------------------------
 */

static void refuse_head(struct server_request *c, int error)
{
    conn_release_head(c);
    c->state = BUSY;
    if (error == -EMSGSIZE)
        server_respond(c, 431, "text/plain", NULL, "headers too large\n");
    else
        server_respond(c, 400, "text/plain", NULL, "malformed request\n");
}

static void dispatch(struct server_request *c)
{
    conn_set_state(c, BUSY, 0, 0);
    if (c->server->closing)
        server_respond(c, 503, "text/plain", NULL, "closing\n");
    else
        c->server->cb(c->server->arg, c);
}

static void drop_body(struct server_request *c)
{
    size_t n = buf_used(&c->in);

    if (n > c->body_left)
        n = c->body_left;
    buf_consume(&c->in, n);
    c->body_left -= n;
    if (c->body_left == 0)
        dispatch(c);
}

static void head_complete(struct server_request *c, size_t len)
{
    int64_t body = c->head->content_length;

    buf_consume(&c->in, len);
    if (body > DROPPED_BODY_MAX) {
        refuse_head(c, -EBADMSG);
        return;
    }
    c->body_left = body > 0 ? (size_t)body : 0;
    conn_set_state(c, BODY, HEAD_MS, STREAM_READABLE);
    drop_body(c);
}

static void read_head(struct server_request *c)
{
    int n;

    if (buf_used(&c->in) == 0)
        return;
    c->head = calloc(1, sizeof(*c->head));
    if (!c->head) {
        conn_close(c);
        return;
    }
    n = http1_parse(c->head, HTTP1_REQUEST, buf_head(&c->in), buf_used(&c->in));
    if (n > 0) {
        head_complete(c, (size_t)n);
        return;
    }
    free(c->head);
    c->head = NULL;
    if (n < 0 || buf_room(&c->in) == 0)
        refuse_head(c, n < 0 ? n : -EMSGSIZE);
}

static void read_some(struct server_request *c)
{
    size_t room = buf_room(&c->in), used = buf_used(&c->in);
    uint8_t *data;
    ssize_t n;

    if (room > 4096)
        room = 4096;
    data = buf_reserve(&c->in, room);
    n = data ? stream_read(c->stream, data, room) : -ENOMEM;
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    if (c->state == HEAD && used == 0)
        c->deadline = uv_now(c->server->loop) + HEAD_MS;
    if (c->state == HEAD)
        read_head(c);
    else
        drop_body(c);
}

static void event_cb(void *arg, unsigned events)
{
    struct server_request *c = arg;

    (void)events;
    switch (c->state) {
    case HEAD:
    case BODY:
        read_some(c);
        break;
    case WRITE:
        write_answer(c);
        break;
    case HANDSHAKE:
    case BUSY:
    case CLOSING:
        break;
    }
}

/* ---- accepting ------------------------------------------------------------
 */

static void conn_start(struct server_request *c)
{
    stream_set_callback(c->stream, event_cb, c);
    conn_set_state(c, HEAD, HEAD_MS, STREAM_READABLE);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    struct server_request *c = arg;
    char peer[SOCKADDR_TEXT];

    if (c->state != HANDSHAKE)
        return;
    if (status < 0) {
        log_debug("TLS with %s: %s", sockaddr_format(&c->peer, peer),
                  text ? text : "failed");
        conn_close(c);
        return;
    }
    conn_start(c);
}

static bool same_host(const union sockaddr_any *a, const union sockaddr_any *b)
{
    union sockaddr_any x = *a, y = *b;

    sockaddr_set_port(&x, 0);
    sockaddr_set_port(&y, 0);
    return sockaddr_equal(&x, &y);
}

static bool has_room(const struct server *s, const union sockaddr_any *peer)
{
    const struct server_request *c;
    size_t untrusted = 0;

    TAILQ_FOREACH(c, &s->conns, entry)
    {
        if (!c->trusted && same_host(&c->peer, peer))
            untrusted++;
    }
    return s->count < CONNECTIONS_MAX && untrusted < UNTRUSTED_MAX;
}

static struct server_request *conn_create(struct server *s,
                                          const union sockaddr_any *peer)
{
    struct server_request *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->server = s;
    c->peer = *peer;
    buf_init(&c->in, HTTP1_MAX_HEAD);
    buf_init(&c->out, ANSWER_MAX);
    TAILQ_INSERT_TAIL(&s->conns, c, entry);
    s->count++;
    return c;
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct server *s = arg;
    struct server_request *c = NULL;

    if ((!s->use_tls || s->tls) && has_room(s, peer))
        c = conn_create(s, peer);
    if (!c) {
        close(fd);
        return;
    }
    c->stream = stream_create_fd(s->loop, fd);
    c->state = HANDSHAKE;
    if (c->stream && s->use_tls)
        c->stream =
            tls_accept(s->tls, c->stream, HANDSHAKE_MS, handshake_cb, c);
    else if (c->stream)
        conn_start(c);
    if (!c->stream)
        conn_free(c);
    else if (!uv_is_active((uv_handle_t *)&s->sweep))
        uv_timer_start(&s->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
}

/* ---- the server ------------------------------------------------------------
 */

struct server *server_create(uv_loop_t *loop, const union sockaddr_any *listen,
                             bool tls, server_request_cb *cb, void *arg,
                             struct tp_error *err)
{
    struct server *s = calloc(1, sizeof(*s));

    if (!s) {
        tp_error_errno(err, -ENOMEM, "server");
        return NULL;
    }
    s->loop = loop;
    s->use_tls = tls;
    s->cb = cb;
    s->arg = arg;
    TAILQ_INIT(&s->conns);
    s->listener = listener_create(loop, listen, 128, accept_cb, s, err);
    if (!s->listener) {
        free(s);
        return NULL;
    }
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    return s;
}

static void close_idle(struct server *s)
{
    struct server_request *c, *next;

    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->state == HANDSHAKE || c->state == HEAD)
            conn_close(c);
    }
}

void server_set_tls(struct server *s, struct tls_ctx *tls, bool drop_idle)
{
    s->tls = tls;
    if (drop_idle)
        close_idle(s);
}

void server_get_addr(const struct server *s, union sockaddr_any *addr)
{
    listener_get_addr(s->listener, addr);
}

static void sweep_closed_cb(uv_handle_t *handle)
{
    struct server *s = handle->data;

    s->sweep_closed = true;
    server_free_if_done(s);
}

void server_close(struct server *s)
{
    struct server_request *c, *next;

    if (!s)
        return;
    s->closing = true;
    listener_close(s->listener);
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->state != BUSY)
            conn_close(c);
    }
    uv_close((uv_handle_t *)&s->sweep, sweep_closed_cb);
}

const struct http1_head *server_request_head(const struct server_request *c)
{
    return c->head;
}

int server_request_peer_name(const struct server_request *c, char *name,
                             size_t size)
{
    return c->server->use_tls ? tls_peer_common_name(c->stream, name, size)
                              : -ENOENT;
}

void server_request_trust(struct server_request *c)
{
    c->trusted = true;
}
