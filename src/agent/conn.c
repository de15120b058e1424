/*
 * conn.c - one TCP connection of a client of the app
 *
 *   engaged:   OFFERED -> RELAYED
 *                 | refused, link gone, no answer in time: the next one
 *                 v
 *   otherwise: DIALLING -> FORWARDED
 *
 * Until it is joined nothing is read from the client, so it may go to the app
 * after all. Copies begin when it is joined.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/path_internal.h"
#include "net/dial.h"
#include "net/forward.h"
#include "net/socket.h"
#include "tunnel/relay.h"

enum conn_state {
    CONN_OFFERED,   /* a stream that is not answered; has a deadline */
    CONN_DIALLING,  /* the app is; has its time-out */
    CONN_FORWARDED, /* joined with the app */
    CONN_RELAYED,   /* joined with a stream */
};

struct conn {
    LIST_ENTRY(conn) entry;
    struct port *port;
    enum conn_state state;
    int fd; /* -1: somebody else's */
    union sockaddr_any app;
    struct tunnel_stream *stream; /* OFFERED */
    struct connect_op *op;        /* DIALLING */
    struct forward *forward;
    struct relay *relay;
    struct tap tap;
    unsigned attempts;
    uint64_t deadline;
};

static void conn_free(struct conn *c)
{
    struct agent_path *p = c->port->path;

    if (c->fd >= 0)
        socket_abort(c->fd);
    tap_end(&c->tap, true, uv_now(p->loop));
    if (!LIST_EMPTY(&p->tees.list))
        path_wake(p);
    LIST_REMOVE(c, entry);
    p->stats.running--;
    free(c);
    path_unhold(p);
}

static void conn_refuse(struct conn *c)
{
    c->port->path->stats.refused++;
    conn_free(c);
}

static void add_copies(struct conn *c)
{
    const struct agent_engagement *e;

    for (unsigned i = 0; (e = path_mirror(c->port, i)); i++)
        tap_add(&c->tap, e->tunnel, e->id, c->port->config.port);
}

/* ---- to the app ------------------------------------------------------------
 */

static void forward_ended_cb(void *arg, uint64_t bytes)
{
    struct conn *c = arg;

    c->port->bytes += bytes;
    conn_free(c);
}

static void copy_cb(void *arg, const void *data, size_t len)
{
    struct conn *c = arg;

    tap_write(&c->tap, data, len);
}

static void copy_end_cb(void *arg, bool reset)
{
    struct conn *c = arg;

    tap_end(&c->tap, reset, uv_now(c->port->path->loop));
}

static void dialled_cb(void *arg, int status, int fd)
{
    static const int on = 1;
    struct conn *c = arg;
    struct agent_path *p = c->port->path;
    const struct forward_tap copies = {copy_cb, copy_end_cb, c};
    int client = c->fd;

    c->op = NULL;
    if (status < 0) {
        conn_refuse(c);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
    c->state = CONN_FORWARDED;
    c->fd = -1;
    add_copies(c);
    c->forward = forward_create(p->loop, &p->pipes, client, fd,
                                tap_is_empty(&c->tap) ? NULL : &copies,
                                forward_ended_cb, c);
    if (!c->forward)
        conn_refuse(c);
}

static void dial_app(struct conn *c)
{
    int family = c->app.sa.sa_family;

    c->state = CONN_DIALLING;
    if (family != AF_UNSPEC)
        c->op = connect_start_fd(c->port->path->loop,
                                 path_app_socket(family, SOCK_STREAM), &c->app,
                                 PATH_DIAL_MS, dialled_cb, c);
    if (!c->op)
        conn_refuse(c);
}

/* ---- to a workstation -------------------------------------------------------
 */

static void offer_next(struct conn *c);

static void relay_ended_cb(void *arg, uint64_t in, uint64_t out)
{
    struct conn *c = arg;

    c->port->bytes += in + out;
    conn_free(c);
}

/* What the client sent; no bytes: its end. */
static void sent_cb(void *arg, const void *data, size_t len)
{
    struct conn *c = arg;

    if (len > 0)
        tap_write(&c->tap, data, len);
    else
        tap_end(&c->tap, false, uv_now(c->port->path->loop));
}

static void opened_cb(void *arg, int status)
{
    struct conn *c = arg;
    struct agent_path *p = c->port->path;
    struct tunnel_stream *stream = c->stream;
    int fd = c->fd;

    if (status < 0)
        return; /* closed_cb() follows */
    c->state = CONN_RELAYED;
    c->stream = NULL;
    c->fd = -1;
    c->relay = relay_create(p->loop, fd, stream, relay_ended_cb, c);
    if (!c->relay) {
        conn_refuse(c);
        return;
    }
    p->stats.engaged++;
    add_copies(c);
    if (!tap_is_empty(&c->tap))
        relay_set_tap(c->relay, sent_cb, c);
}

static void eof_cb(void *arg)
{
    (void)arg;
}

static void closed_cb(void *arg, int status)
{
    struct conn *c = arg;

    (void)status;
    c->stream = NULL;
    if (c->port->path->closing)
        conn_free(c);
    else
        offer_next(c);
}

static const struct tunnel_stream_ops offer_ops = {
    opened_cb, tunnel_hold_pull, tunnel_hold_push, eof_cb, closed_cb};

/* To the next engagement that wants it and is reachable, or to the app. */
static void offer_next(struct conn *c)
{
    struct agent_path *p = c->port->path;
    const struct agent_engagement *e = NULL;

    c->state = CONN_OFFERED;
    while (uv_now(p->loop) < c->deadline &&
           (e = path_engaged(c->port, c->attempts))) {
        c->attempts++;
        c->stream = tunnel_open_tcp_name(e->tunnel, e->id, c->port->config.port,
                                         &offer_ops, c);
        if (c->stream) {
            path_wake(p);
            return;
        }
    }
    if (c->attempts > 0)
        p->stats.failed_open++;
    dial_app(c);
}

/* ---- all of them ------------------------------------------------------------
 */

void conn_start(struct port *port, int fd, const union sockaddr_any *app)
{
    struct agent_path *p = port->path;
    struct conn *c = calloc(1, sizeof(*c));

    if (!c) {
        p->stats.refused++;
        socket_abort(fd);
        return;
    }
    c->port = port;
    c->fd = fd;
    c->app = *app;
    c->deadline = uv_now(p->loop) + PATH_OFFER_MS;
    tap_init(&c->tap, &p->tees);
    LIST_INSERT_HEAD(&p->conns, c, entry);
    p->stats.running++;
    path_hold(p);
    offer_next(c);
}

bool conns_sweep(struct agent_path *p, uint64_t now)
{
    struct conn *next;
    bool left = false;

    for (struct conn *c = LIST_FIRST(&p->conns); c; c = next) {
        next = LIST_NEXT(c, entry);
        if (c->state != CONN_OFFERED)
            continue;
        if (c->deadline <= now)
            tunnel_stream_reset(c->stream, -ETIMEDOUT);
        else
            left = true;
    }
    return left;
}

void conns_release(struct agent_path *p)
{
    struct conn *c;

    while ((c = LIST_FIRST(&p->conns))) {
        switch (c->state) {
        case CONN_OFFERED:
            tunnel_stream_reset(c->stream, -ECONNABORTED);
            break;
        case CONN_DIALLING:
            connect_cancel(c->op);
            conn_free(c);
            break;
        case CONN_FORWARDED:
            forward_abort(c->forward);
            break;
        case CONN_RELAYED:
            relay_abort(c->relay);
            break;
        }
    }
}
