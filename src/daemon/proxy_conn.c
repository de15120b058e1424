/*
 * proxy_conn.c - a client's connection to the proxy
 *
 * Until the server is connected its bytes are read into `in`, which is bounded,
 * and one timer bounds the conversation; then both sockets go to a forward
 * (net/forward.h), with what was read too far.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/proxy_internal.h"
#include "daemon/proxy_pac.h"
#include "net/socket.h"
#include "net/socks5.h"

#define HANDSHAKE_MS 15000
#define DIAL_MS      60000 /* the dial's own limits come first */
#define LINGER_MS    2000  /* for the client's end after our answer */
#define OUT_MAX      (PROXY_PAC_MAX + 4096)
#define UP_MAX       (2 * HTTP1_MAX_HEAD)

static void poll_cb(uv_poll_t *poll, int status, int events);

static void closed_cb(uv_handle_t *handle)
{
    struct proxy_conn *c = handle->data;
    struct proxy *p = c->p;

    if (--c->handles > 0)
        return;
    buf_release(&c->in);
    buf_release(&c->out);
    buf_release(&c->up);
    free(c);
    p->handles--;
    proxy_let_go(p);
}

/* Returns the socket, which is the caller's now. */
static int conn_close(struct proxy_conn *c)
{
    int fd = c->fd;

    c->closing = true;
    c->fd = -1;
    if (c->dial)
        proxy_dial_cancel(c->dial);
    if (c->assoc)
        proxy_assoc_destroy(c->assoc);
    c->dial = NULL;
    c->assoc = NULL;
    LIST_REMOVE(c, entry);
    c->p->count--;
    uv_close((uv_handle_t *)&c->poll, closed_cb);
    uv_close((uv_handle_t *)&c->timer, closed_cb);
    return fd;
}

void proxy_conn_abort(struct proxy_conn *c)
{
    if (!c->closing)
        socket_abort(conn_close(c));
}

static void timer_cb(uv_timer_t *timer)
{
    proxy_conn_abort(timer->data);
}

static void watch(struct proxy_conn *c)
{
    bool reads = c->state != PROXY_DIALLING;
    int events =
        (reads ? UV_READABLE : 0) | (buf_used(&c->out) > 0 ? UV_WRITABLE : 0);

    if (events)
        uv_poll_start(&c->poll, events, poll_cb);
    else
        uv_poll_stop(&c->poll);
}

/* ---- to the client ---- */

static void flush(struct proxy_conn *c)
{
    while (buf_used(&c->out) > 0) {
        ssize_t n = send(c->fd, buf_head(&c->out), buf_used(&c->out),
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            proxy_conn_abort(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (c->state == PROXY_ENDING && buf_used(&c->out) == 0) {
        shutdown(c->fd, SHUT_WR);
        uv_timer_start(&c->timer, timer_cb, LINGER_MS, 0);
    }
    watch(c);
}

int proxy_conn_say(struct proxy_conn *c, const void *data, size_t len)
{
    int rc = c->closing ? -ECANCELED : buf_append(&c->out, data, len);

    if (rc < 0)
        proxy_conn_abort(c);
    else
        flush(c);
    return c->closing ? -ECANCELED : 0;
}

void proxy_conn_end(struct proxy_conn *c)
{
    if (c->closing)
        return;
    c->state = PROXY_ENDING;
    flush(c);
}

/* ---- the server ---- */

static void relay_ended_cb(void *arg, uint64_t bytes)
{
    struct proxy_relay *r = arg;
    struct proxy *p = r->p;

    (void)bytes;
    LIST_REMOVE(r, entry);
    free(r);
    p->count--;
    p->handles--;
    proxy_let_go(p);
}

/* The chunks say where the body ends; no byte behind it passes. */
static ssize_t chunks_cb(void *arg, const void *data, size_t len, bool *last)
{
    struct proxy_relay *r = arg;
    ssize_t n = http1_chunks_take(&r->chunks, data, len);

    *last = r->chunks.done;
    return n;
}

/* Both sockets are owned. */
static void join(struct proxy_conn *c, int client, int server)
{
    struct proxy_relay *r = calloc(1, sizeof(*r));
    struct proxy *p = c->p;

    if (!r) {
        socket_abort(client);
        socket_abort(server);
        return;
    }
    r->p = p;
    r->chunks = c->chunks;
    r->forward = forward_create(p->env.loop, &p->pipes, client, server, NULL,
                                relay_ended_cb, r);
    if (!r->forward) {
        free(r);
        return;
    }
    LIST_INSERT_HEAD(&p->relays, r, entry);
    p->count++;
    p->handles++;
    if (forward_begin(r->forward, buf_head(&c->up), buf_used(&c->up),
                      c->limit) < 0)
        forward_abort(r->forward);
    else if (c->chunked && !c->chunks.done)
        forward_bind(r->forward, chunks_cb, r);
}

/* Of the bytes that were read behind the head, those of the chunked body. */
static int bound_rest(struct proxy_conn *c)
{
    ssize_t n =
        http1_chunks_take(&c->chunks, buf_head(&c->in), buf_used(&c->in));

    if (n >= 0 && c->chunks.done)
        c->limit = (uint64_t)n;
    return n < 0 ? (int)n : 0;
}

/* What the client has sent already goes to the server: of a request with a body
 * no more than that. */
static int keep_rest(struct proxy_conn *c)
{
    size_t n = buf_used(&c->in);
    int rc = c->chunked ? bound_rest(c) : 0;

    if (rc < 0)
        return rc;
    if (n > c->limit)
        n = (size_t)c->limit;
    rc = n ? buf_append(&c->up, buf_head(&c->in), n) : 0;
    if (c->limit != UINT64_MAX)
        c->limit -= n;
    return rc;
}

static void dialled_cb(void *arg, int status, int fd)
{
    struct proxy_conn *c = arg;
    int rc;

    c->dial = NULL;
    if (status < 0) {
        uv_timer_start(&c->timer, timer_cb, HANDSHAKE_MS, 0);
        if (c->http)
            proxy_http_failed(c, status);
        else
            proxy_socks_failed(c, status);
        return;
    }
    rc = c->http ? proxy_http_connected(c) : proxy_socks_connected(c, fd);
    /* Nothing was said before, so this much goes out at once. */
    if (rc == 0 && (buf_used(&c->out) > 0 || keep_rest(c) < 0)) {
        proxy_conn_abort(c);
        rc = -ECANCELED;
    }
    if (rc < 0)
        socket_abort(fd);
    else
        join(c, conn_close(c), fd);
}

void proxy_conn_dial(struct proxy_conn *c, const char *host, uint16_t port)
{
    c->state = PROXY_DIALLING;
    uv_timer_start(&c->timer, timer_cb, DIAL_MS, 0);
    watch(c);
    c->dial = proxy_dial_start(c->p, host, port, dialled_cb, c);
    if (!c->dial)
        proxy_conn_abort(c);
}

/* ---- from the client ---- */

static int first_byte(struct proxy_conn *c)
{
    if (buf_used(&c->in) == 0)
        return 0;
    c->http = *buf_head(&c->in) != SOCKS5_VERSION;
    c->state = c->http ? PROXY_HEAD : PROXY_METHODS;
    return 1;
}

/* 1: a message was taken. */
static int input(struct proxy_conn *c)
{
    switch (c->state) {
    case PROXY_FIRST:
        return first_byte(c);
    case PROXY_METHODS:
    case PROXY_PASSWORD:
    case PROXY_REQUEST:
        return proxy_socks_input(c);
    case PROXY_HEAD:
        return proxy_http_input(c);
    case PROXY_ASSOCIATED:
    case PROXY_ENDING:
        buf_consume(&c->in, buf_used(&c->in));
        return 0;
    case PROXY_DIALLING:
        return 0;
    }
    return 0;
}

static void read_some(struct proxy_conn *c)
{
    size_t room = buf_room(&c->in) < 4096 ? buf_room(&c->in) : 4096;
    uint8_t *to = room ? buf_reserve(&c->in, room) : NULL;
    ssize_t n = to ? recv(c->fd, to, room, MSG_DONTWAIT) : -1;
    int rc = 1;

    if (to && n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        /* What is refused has its answer already. */
        if (n == 0 && c->state == PROXY_ENDING && buf_used(&c->out) == 0)
            close(conn_close(c));
        else
            proxy_conn_abort(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    while (rc > 0 && !c->closing)
        rc = input(c);
    if (rc < 0)
        proxy_conn_abort(c);
    else if (!c->closing)
        watch(c);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct proxy_conn *c = poll->data;

    if (status < 0) {
        proxy_conn_abort(c);
        return;
    }
    if (events & UV_WRITABLE)
        flush(c);
    if (events & UV_READABLE && !c->closing && c->state != PROXY_DIALLING)
        read_some(c);
}

void proxy_conn_create(struct proxy *p, int fd, const union sockaddr_any *peer,
                       bool trusted, bool local)
{
    struct proxy_conn *c = calloc(1, sizeof(*c));

    if (!c || uv_poll_init(p->env.loop, &c->poll, fd) < 0) {
        free(c);
        socket_abort(fd);
        return;
    }
    c->p = p;
    c->fd = fd;
    c->peer = *peer;
    c->trusted = trusted;
    c->local = local;
    c->limit = UINT64_MAX;
    buf_init(&c->in, HTTP1_MAX_HEAD);
    buf_init(&c->out, OUT_MAX);
    buf_init(&c->up, UP_MAX);
    c->poll.data = c->timer.data = c;
    uv_timer_init(p->env.loop, &c->timer);
    c->handles = 2;
    p->handles++;
    p->count++;
    LIST_INSERT_HEAD(&p->conns, c, entry);
    uv_timer_start(&c->timer, timer_cb, HANDSHAKE_MS, 0);
    watch(c);
}
