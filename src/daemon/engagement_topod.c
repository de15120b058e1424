/*
 * engagement_topod.c - --to-pod: ports of the pod's localhost, here
 *
 * Listens on 127.0.0.1:PORT of the shared namespace (nothing but this namespace
 * reaches it) and opens a stream by the engagement's id; the manager asks one
 * of the workload's agents to connect to its own localhost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "net/listen.h"
#include "net/socket.h"
#include "tunnel/relay.h"
#include "tunnel/udp.h"

#define BACKLOG   128
#define FLOWS_MAX 256
#define DATAGRAM  65535

struct topod {
    LIST_ENTRY(topod) entry;
    struct engagement *eng;
    uint16_t port;
    struct listener *listener; /* TCP */
    uv_poll_t *poll;           /* UDP */
    int fd;
    LIST_HEAD(, flow) flows;
    unsigned flow_count;
};

/* ---- TCP ---- */

/* A connection until the pod's end has answered. */
struct waiting {
    uv_loop_t *loop;
    struct tunnel_stream *stream;
    int fd;
    bool eof;
};

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)arg;
    (void)bytes_in;
    (void)bytes_out;
}

static void opened_cb(void *arg, int status)
{
    struct waiting *w = arg;

    if (status < 0)
        return; /* closed_cb() follows */
    if (w->eof)
        shutdown(w->fd, SHUT_WR);
    relay_create(w->loop, w->fd, w->stream, relay_ended_cb, NULL);
    free(w);
}

static void eof_cb(void *arg)
{
    struct waiting *w = arg;

    w->eof = true;
}

static void closed_cb(void *arg, int status)
{
    struct waiting *w = arg;

    (void)status;
    socket_abort(w->fd);
    free(w);
}

static const struct tunnel_stream_ops waiting_ops = {
    .opened_cb = opened_cb,
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

static void accepted_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct topod *l = arg;
    struct engagements *e = l->eng->e;
    struct waiting *w = e->tunnel ? calloc(1, sizeof(*w)) : NULL;

    (void)peer;
    if (!w) {
        socket_abort(fd);
        return;
    }
    w->loop = e->loop;
    w->fd = fd;
    w->stream =
        tunnel_open_tcp_name(e->tunnel, l->eng->id, l->port, &waiting_ops, w);
    if (!w->stream) {
        socket_abort(fd);
        free(w);
    }
}

/* ---- UDP ---- */

/* One local program's datagrams. */
struct flow {
    LIST_ENTRY(flow) entry;
    struct topod *l;
    union sockaddr_any peer;
    struct tunnel_udp *udp;
};

static void flow_free(struct flow *f)
{
    LIST_REMOVE(f, entry);
    f->l->flow_count--;
    free(f);
}

static void datagram_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    /* As a network, this may lose one. */
    sendto(f->l->fd, data, len, MSG_DONTWAIT, &f->peer.sa,
           sockaddr_len(&f->peer));
}

static void flow_opened_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static void flow_closed_cb(void *arg, int status)
{
    (void)status;
    flow_free(arg);
}

static const struct tunnel_udp_ops flow_ops = {
    .opened_cb = flow_opened_cb,
    .datagram_cb = datagram_cb,
    .closed_cb = flow_closed_cb,
};

static struct flow *flow_of(struct topod *l, const union sockaddr_any *peer)
{
    struct engagements *e = l->eng->e;
    struct flow *f;

    LIST_FOREACH(f, &l->flows, entry)
    {
        if (sockaddr_equal(&f->peer, peer))
            return f;
    }
    if (!e->tunnel || l->flow_count >= FLOWS_MAX)
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->l = l;
    f->peer = *peer;
    f->udp =
        tunnel_udp_open_name(e->tunnel, l->eng->id, l->port, 0, &flow_ops, f);
    if (!f->udp) {
        free(f);
        return NULL;
    }
    LIST_INSERT_HEAD(&l->flows, f, entry);
    l->flow_count++;
    return f;
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct topod *l = poll->data;
    char data[DATAGRAM];

    (void)events;
    for (int i = 0; status == 0 && i < 64; i++) {
        union sockaddr_any peer;
        socklen_t len = sizeof(peer);
        ssize_t n =
            recvfrom(l->fd, data, sizeof(data), MSG_DONTWAIT, &peer.sa, &len);
        struct flow *f;

        if (n < 0)
            return;
        f = flow_of(l, &peer);
        if (f)
            tunnel_udp_send(f->udp, data, (size_t)n);
    }
}

static int listen_udp(struct topod *l, const union sockaddr_any *addr)
{
    l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return -errno;
    if (bind(l->fd, &addr->sa, sockaddr_len(addr)) < 0)
        return -errno;
    l->poll = malloc(sizeof(*l->poll));
    if (!l->poll)
        return -ENOMEM;
    if (uv_poll_init(l->eng->e->loop, l->poll, l->fd) < 0) {
        free(l->poll);
        l->poll = NULL;
        return -EIO;
    }
    l->poll->data = l;
    return uv_poll_start(l->poll, UV_READABLE, poll_cb);
}

/* ---- life ---- */

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static void destroy(struct topod *l)
{
    struct flow *f;

    while ((f = LIST_FIRST(&l->flows))) {
        tunnel_udp_close(f->udp);
        flow_free(f);
    }
    listener_close(l->listener);
    if (l->poll)
        uv_close((uv_handle_t *)l->poll, free_handle_cb);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

static int start_one(struct engagement *eng, const struct eng_topod *port,
                     struct tp_error *err)
{
    struct topod *l = calloc(1, sizeof(*l));
    union sockaddr_any addr;
    int rc = 0;

    if (!l)
        return tp_error_errno(err, -ENOMEM, "--to-pod");
    l->eng = eng;
    l->port = port->port;
    l->fd = -1;
    sockaddr_parse(&addr, "127.0.0.1", port->port);
    if (port->udp) {
        rc = listen_udp(l, &addr);
        if (rc < 0)
            tp_error_errno(err, rc, "127.0.0.1:%u/udp", port->port);
    } else {
        l->listener =
            listener_create(eng->e->loop, &addr, BACKLOG, accepted_cb, l, err);
        rc = l->listener ? 0 : err->code;
    }
    if (rc < 0) {
        destroy(l);
        return tp_error_wrap(err, "--to-pod %u", port->port);
    }
    LIST_INSERT_HEAD(&eng->listeners, l, entry);
    return 0;
}

int engagement_topod_start(struct engagement *eng, struct tp_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < eng->spec.to_pod_count; i++)
        rc = start_one(eng, &eng->spec.to_pod[i], err);
    return rc;
}

void engagement_topod_stop(struct engagement *eng)
{
    struct topod *l;

    while ((l = LIST_FIRST(&eng->listeners))) {
        LIST_REMOVE(l, entry);
        destroy(l);
    }
}
