/*
 * server.c - accepting, limits, and the end
 *
 * A sweep each second ends what is late; it runs while there are connections.
 */
#include "manager/server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "manager/server_internal.h"
#include "net/listen.h"

#define CONNECTIONS_MAX 256
#define UNTRUSTED_MAX   32 /* of one address */
#define SWEEP_MS        1000

void server_free_if_done(struct server *s)
{
    if (s->closing && s->sweep_closed && s->count == 0)
        free(s);
}

static void sweep_cb(uv_timer_t *timer)
{
    struct server *s = timer->data;
    struct server_request *c, *next;

    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->deadline && uv_now(s->loop) >= c->deadline)
            server_conn_close(c);
    }
    if (s->count == 0)
        uv_timer_stop(timer);
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
    return s->count < s->limits.connections && untrusted < s->limits.untrusted;
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct server *s = arg;
    struct server_request *c = NULL;

    if ((!s->use_tls || s->tls) && has_room(s, peer))
        c = server_conn_create(s, peer);
    if (!c) {
        close(fd);
        return;
    }
    if (server_conn_start(c, fd) && !uv_is_active((uv_handle_t *)&s->sweep))
        uv_timer_start(&s->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
}

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
    s->limits.connections = CONNECTIONS_MAX;
    s->limits.untrusted = UNTRUSTED_MAX;
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

void server_set_limits(struct server *s, const struct server_limits *limits)
{
    s->limits = *limits;
    if (s->limits.connections == 0)
        s->limits.connections = CONNECTIONS_MAX;
    if (s->limits.untrusted == 0)
        s->limits.untrusted = UNTRUSTED_MAX;
}

static void close_idle(struct server *s)
{
    struct server_request *c, *next;

    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->state == HANDSHAKE || c->state == HEAD)
            server_conn_close(c);
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
            server_conn_close(c);
    }
    uv_close((uv_handle_t *)&s->sweep, sweep_closed_cb);
}
