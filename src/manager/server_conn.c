/* server_conn.c - one connection: its life, and reading requests */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "manager/server_internal.h"
#include "net/tls.h"

#define HANDSHAKE_MS     10000
#define DROPPED_BODY_MAX (1024 * 1024)
#define BODIES_TOGETHER  4 /* of the largest, of all connections */
#define READ_SIZE        16384

/* ---- life ---------------------------------------------------------------- */

struct server_request *server_conn_create(struct server *s,
                                          const union sockaddr_any *peer)
{
    struct server_request *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->server = s;
    c->peer = *peer;
    buf_init(&c->in, HTTP1_MAX_HEAD);
    buf_init(&c->out, SERVER_ANSWER_MAX);
    TAILQ_INSERT_TAIL(&s->conns, c, entry);
    s->count++;
    return c;
}

void server_conn_release_request(struct server_request *c)
{
    if (c->head) {
        http1_release(c->head);
        free(c->head);
        c->head = NULL;
    }
    c->server->body_bytes -= c->body_counted;
    c->body_counted = 0;
    server_body_release(&c->body);
}

void server_conn_free(struct server_request *c)
{
    struct server *s = c->server;

    server_conn_release_request(c);
    buf_release(&c->in);
    buf_release(&c->out);
    TAILQ_REMOVE(&s->conns, c, entry);
    s->count--;
    free(c);
    server_free_if_done(s);
}

static void closed_cb(void *arg)
{
    server_conn_free(arg);
}

void server_conn_close(struct server_request *c)
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

void server_conn_set_state(struct server_request *c,
                           enum server_conn_state state, unsigned timeout_ms,
                           unsigned events)
{
    c->state = state;
    c->deadline = timeout_ms ? uv_now(c->server->loop) + timeout_ms : 0;
    stream_want(c->stream, events);
}

/* ---- reading ------------------------------------------------------------- */

static void refuse(struct server_request *c, int status, const char *text)
{
    server_conn_release_request(c);
    c->state = BUSY;
    server_respond(c, status, "text/plain", NULL, text);
}

static void refuse_head(struct server_request *c, int error)
{
    if (error == -EMSGSIZE)
        refuse(c, 431, "headers too large\n");
    else
        refuse(c, 400, "malformed request\n");
}

static void refuse_body(struct server_request *c, int error)
{
    if (error == -EMSGSIZE)
        refuse(c, 413, "body too large\n");
    else if (error == -EBADMSG)
        refuse(c, 400, "malformed body\n");
    else
        refuse(c, 503, "too many bodies\n");
}

static void dispatch(struct server_request *c)
{
    server_conn_set_state(c, BUSY, 0, 0);
    if (c->server->closing)
        server_respond(c, 503, "text/plain", NULL, "closing\n");
    else
        c->server->cb(c->server->arg, c);
}

/* What connections keep of bodies is bounded in all, not only for each. */
static int count_body(struct server_request *c)
{
    struct server *s = c->server;
    size_t now = buf_used(&c->body.data);

    s->body_bytes += now - c->body_counted;
    c->body_counted = now;
    return s->body_bytes > BODIES_TOGETHER * (s->limits.body_max + 1) ? -ENOBUFS
                                                                      : 0;
}

static void read_body(struct server_request *c)
{
    ssize_t n = 0;
    int rc;

    if (buf_used(&c->in) > 0)
        n = server_body_feed(&c->body, buf_head(&c->in), buf_used(&c->in));
    rc = n < 0 ? (int)n : count_body(c);
    if (rc < 0) {
        refuse_body(c, rc);
        return;
    }
    buf_consume(&c->in, (size_t)n);
    if (c->body.state == BODY_DONE)
        dispatch(c);
}

static void head_complete(struct server_request *c, size_t len)
{
    size_t keep = c->server->limits.body_max;
    int rc;

    buf_consume(&c->in, len);
    rc = server_body_init(&c->body, c->head, keep ? keep : DROPPED_BODY_MAX,
                          keep > 0);
    if (rc < 0) {
        refuse_body(c, rc);
        return;
    }
    server_conn_set_state(c, BODY, SERVER_HEAD_MS, STREAM_READABLE);
    read_body(c);
}

void server_conn_read_head(struct server_request *c)
{
    int n;

    if (buf_used(&c->in) == 0)
        return;
    c->head = calloc(1, sizeof(*c->head));
    if (!c->head) {
        server_conn_close(c);
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

    if (room > READ_SIZE)
        room = READ_SIZE;
    data = buf_reserve(&c->in, room);
    n = data ? stream_read(c->stream, data, room) : -ENOMEM;
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        server_conn_close(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    if (c->state == HEAD && used == 0)
        c->deadline = uv_now(c->server->loop) + SERVER_HEAD_MS;
    if (c->state == HEAD)
        server_conn_read_head(c);
    else
        read_body(c);
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
        server_conn_write(c);
        break;
    case HANDSHAKE:
    case BUSY:
    case CLOSING:
        break;
    }
}

/* ---- the beginning ------------------------------------------------------- */

static void conn_open(struct server_request *c)
{
    stream_set_callback(c->stream, event_cb, c);
    server_conn_set_state(c, HEAD, SERVER_HEAD_MS, STREAM_READABLE);
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
        server_conn_close(c);
        return;
    }
    conn_open(c);
}

bool server_conn_start(struct server_request *c, int fd)
{
    struct server *s = c->server;

    c->state = HANDSHAKE;
    c->stream = stream_create_fd(s->loop, fd);
    if (c->stream && s->use_tls)
        c->stream =
            tls_accept(s->tls, c->stream, HANDSHAKE_MS, handshake_cb, c);
    else if (c->stream)
        conn_open(c);
    if (c->stream)
        return true;
    server_conn_free(c);
    return false;
}

/* ---- what its handler may ask -------------------------------------------- */

const struct http1_head *server_request_head(const struct server_request *c)
{
    return c->head;
}

const char *server_request_body(const struct server_request *c, size_t *len)
{
    *len = buf_used(&c->body.data);
    if (*len == 0)
        return "";
    (*len)--;
    return (const char *)buf_head(&c->body.data);
}

const union sockaddr_any *server_request_peer(const struct server_request *c)
{
    return &c->peer;
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
