/*
 * udp_flow.c - one UDP conversation of a client with a port
 *
 *   engaged:   OFFERED -> ENGAGED
 *                 | refused, link gone, no answer in time: the next one
 *                 v          | ended by an error
 *   otherwise: APP <---------'
 *
 * What comes while an offer is not answered is sent by the stream and kept, so
 * that the app can have it after all. A flow that had to fall back to the app
 * ends soon, and the client's next datagram is offered again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/path_internal.h"
#include "agent/udp_copy.h"
#include "base/buf.h"
#include "net/pktinfo.h"
#include "tunnel/udp.h"

#define RECEIVE_BATCH 64
#define RETRY_MS      10000 /* of a flow that fell back */

enum flow_state {
    FLOW_OFFERED, /* a tunnel flow that is not answered; has a deadline */
    FLOW_ENGAGED, /* a tunnel flow */
    FLOW_APP,     /* a socket that is connected to the app */
    FLOW_NOBODY,  /* neither: datagrams are lost */
};

struct flow {
    struct flow_node node; /* first: found by it */
    TAILQ_ENTRY(flow) entry;
    struct receiver *receiver;
    enum flow_state state;
    union sockaddr_any client, local;
    struct tunnel_udp *tunnel; /* OFFERED, ENGAGED */
    const struct tunnel *link; /* whose; only compared */
    char id[AGENT_ID_SIZE];
    struct buf held; /* OFFERED: each with its length before it */
    uv_poll_t poll;  /* APP */
    int fd;
    struct udp_copies copies;
    unsigned attempts;
    uint64_t last_ms, deadline, bytes;
};

static struct agent_path *flow_path(const struct flow *f)
{
    return f->receiver->port->path;
}

/* ---- the end
 * ----------------------------------------------------------------- */

static void drop_held(struct flow *f)
{
    flow_path(f)->held -= buf_used(&f->held);
    buf_release(&f->held);
}

static void flow_closed_cb(uv_handle_t *handle)
{
    struct flow *f = handle->data;
    struct agent_path *p = flow_path(f);

    free(f);
    path_unhold(p);
}

/* The tunnel's flow is gone already, if there was one. */
static void flow_free(struct flow *f)
{
    struct agent_path *p = flow_path(f);

    flow_table_remove(&p->flow_table, &f->node);
    TAILQ_REMOVE(&p->flows, f, entry);
    p->stats.running--;
    f->receiver->port->bytes += f->bytes;
    udp_copies_end(&f->copies);
    drop_held(f);
    if (f->fd >= 0) {
        uv_close((uv_handle_t *)&f->poll, flow_closed_cb);
        close(f->fd);
    } else {
        free(f);
        path_unhold(p);
    }
}

static void flow_end(struct flow *f)
{
    if (f->tunnel)
        tunnel_udp_close(f->tunnel);
    f->tunnel = NULL;
    flow_free(f);
}

static void answer(struct flow *f, const void *data, size_t len)
{
    f->bytes += len;
    f->last_ms = uv_now(flow_path(f)->loop);
    (void)pktinfo_send(f->receiver->fd, data, len, &f->local, &f->client);
}

/* ---- the app
 * ------------------------------------------------------------------ */

/* An ICMP error of an earlier datagram stands in the way once. */
static void app_send(struct flow *f, const void *data, size_t len)
{
    if (send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno == ECONNREFUSED)
        (void)send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void app_cb(uv_poll_t *poll, int status, int events)
{
    struct flow *f = poll->data;
    uint8_t *data = flow_path(f)->pipes.scratch;

    (void)events;
    if (status < 0) /* an ICMP error; libuv has stopped */
        uv_poll_start(poll, UV_READABLE, app_cb);
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        ssize_t n = recv(f->fd, data, PIPES_SCRATCH, MSG_DONTWAIT);

        if (n >= 0)
            answer(f, data, (size_t)n);
        else if (errno != ECONNREFUSED && errno != EINTR)
            return;
    }
}

/* A connected socket, or a negative errno. */
static int app_socket(const struct flow *f)
{
    const struct port *port = f->receiver->port;
    union sockaddr_any app = f->local;
    int fd, rc;

    sockaddr_set_port(&app, port->config.port);
    if (port->config.mode != PORT_REDIRECT &&
        !path_app_address(port, f->client.sa.sa_family, &app))
        return -ECONNREFUSED;
    fd = path_app_socket(app.sa.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    if (connect(fd, &app.sa, sockaddr_len(&app)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static void send_held(struct flow *f)
{
    uint16_t len;

    while (buf_used(&f->held) >= sizeof(len)) {
        memcpy(&len, buf_head(&f->held), sizeof(len));
        if (f->state == FLOW_APP)
            app_send(f, buf_head(&f->held) + sizeof(len), len);
        buf_consume(&f->held, sizeof(len) + len);
        flow_path(f)->held -= sizeof(len) + len;
    }
    drop_held(f);
}

static void flow_to_app(struct flow *f)
{
    struct agent_path *p = flow_path(f);
    int fd = app_socket(f);

    f->state = FLOW_NOBODY;
    if (fd < 0)
        p->stats.refused++;
    else if (uv_poll_init(p->loop, &f->poll, fd) < 0)
        close(fd);
    else
        f->state = FLOW_APP;
    if (f->state == FLOW_APP) {
        f->fd = fd;
        f->poll.data = f;
        uv_poll_start(&f->poll, UV_READABLE, app_cb);
    }
    f->deadline = 0;
    if (f->attempts > 0) {
        p->stats.failed_open++;
        f->deadline = uv_now(p->loop) + RETRY_MS;
    }
    send_held(f);
}

/* ---- a workstation
 * -------------------------------------------------------------- */

static void flow_route(struct flow *f);

static void tunnel_opened_cb(void *arg, int status)
{
    struct flow *f = arg;

    if (status < 0)
        return; /* closed_cb follows */
    f->state = FLOW_ENGAGED;
    f->deadline = 0;
    flow_path(f)->stats.engaged++;
    drop_held(f);
}

static void tunnel_datagram_cb(void *arg, const void *data, size_t len)
{
    answer(arg, data, len);
}

static void tunnel_closed_cb(void *arg, int status)
{
    struct flow *f = arg;

    f->tunnel = NULL;
    if (flow_path(f)->closing || (f->state == FLOW_ENGAGED && status == 0))
        flow_free(f);
    else if (f->state == FLOW_ENGAGED)
        flow_to_app(f);
    else
        flow_route(f);
}

static const struct tunnel_udp_ops tunnel_ops = {
    .opened_cb = tunnel_opened_cb,
    .datagram_cb = tunnel_datagram_cb,
    .closed_cb = tunnel_closed_cb,
};

static bool flow_offer(struct flow *f, const struct agent_engagement *e)
{
    f->tunnel =
        tunnel_udp_open_name(e->tunnel, e->id, f->receiver->port->config.port,
                             PATH_FLOW_IDLE_MS, &tunnel_ops, f);
    if (!f->tunnel)
        return false;
    f->state = FLOW_OFFERED;
    f->link = e->tunnel;
    f->deadline = uv_now(flow_path(f)->loop) + PATH_OFFER_MS;
    snprintf(f->id, sizeof(f->id), "%s", e->id);
    for (size_t off = 0; off < buf_used(&f->held);) {
        const uint8_t *at = buf_head(&f->held) + off;
        uint16_t len;

        memcpy(&len, at, sizeof(len));
        tunnel_udp_send(f->tunnel, at + sizeof(len), len);
        off += sizeof(len) + len;
    }
    return true;
}

static void flow_route(struct flow *f)
{
    const struct agent_engagement *e;

    while ((e = path_engaged(f->receiver->port, f->attempts))) {
        f->attempts++;
        if (flow_offer(f, e))
            return;
    }
    flow_to_app(f);
}

/* A datagram that does not fit is only lost to the app, should it come to that.
 */
static void hold(struct flow *f, const void *data, size_t len)
{
    struct agent_path *p = flow_path(f);
    uint16_t prefix = (uint16_t)len;

    if (p->held + sizeof(prefix) + len > PATH_HELD_ALL ||
        buf_room(&f->held) < sizeof(prefix) + len ||
        !buf_reserve(&f->held, sizeof(prefix) + len))
        return;
    buf_append(&f->held, &prefix, sizeof(prefix));
    buf_append(&f->held, data, len);
    p->held += sizeof(prefix) + len;
}

/* ---- datagrams of clients
 * --------------------------------------------------------- */

static void flow_send(struct flow *f, const void *data, size_t len)
{
    f->bytes += len;
    udp_copies_send(&f->copies, data, len);
    switch (f->state) {
    case FLOW_OFFERED:
        hold(f, data, len);
        tunnel_udp_send(f->tunnel, data, len);
        break;
    case FLOW_ENGAGED:
        tunnel_udp_send(f->tunnel, data, len);
        break;
    case FLOW_APP:
        app_send(f, data, len);
        break;
    case FLOW_NOBODY:
        break;
    }
}

static void sync_copies(struct flow *f)
{
    const struct port *port = f->receiver->port;
    const struct agent_engagement *e;

    udp_copies_filter(&f->copies, port);
    for (unsigned i = 0; (e = path_mirror(port, i)); i++)
        udp_copies_add(&f->copies, e, port->config.port);
}

static struct flow *flow_create(struct receiver *r, const struct flow_key *key,
                                const union sockaddr_any *client,
                                const union sockaddr_any *local)
{
    struct agent_path *p = r->port->path;
    struct flow *f;

    if (p->flow_table.count >= PATH_FLOWS_MAX)
        flow_end(TAILQ_LAST(&p->flows, flow_list));
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->receiver = r;
    f->node.key = *key;
    f->client = *client;
    f->local = *local;
    f->fd = -1;
    buf_init(&f->held, PATH_HELD_MAX);
    udp_copies_init(&f->copies, p);
    flow_table_insert(&p->flow_table, &f->node);
    TAILQ_INSERT_HEAD(&p->flows, f, entry);
    p->stats.running++;
    r->port->conns++;
    path_hold(p);
    path_wake(p);
    sync_copies(f);
    flow_route(f);
    return f;
}

void flow_datagram(struct receiver *r, size_t len,
                   const union sockaddr_any *client,
                   const union sockaddr_any *local)
{
    struct agent_path *p = r->port->path;
    union sockaddr_any to = *local;
    struct flow_key key;
    struct flow *f;

    if (to.sa.sa_family != client->sa.sa_family)
        return; /* no local address: nobody to answer */
    sockaddr_set_port(&to, r->port->config.listen);
    flow_key_set(&key, client, &to);
    f = (struct flow *)(void *)flow_table_find(&p->flow_table, &key);
    if (!f)
        f = flow_create(r, &key, client, local);
    if (!f)
        return;
    f->last_ms = uv_now(p->loop);
    TAILQ_REMOVE(&p->flows, f, entry);
    TAILQ_INSERT_HEAD(&p->flows, f, entry);
    flow_send(f, p->pipes.scratch, len);
}

/* ---- all of them
 * -------------------------------------------------------------------- */

static bool goes_right(const struct flow *f)
{
    const struct agent_engagement *e;

    if (f->state == FLOW_APP || f->state == FLOW_NOBODY)
        return !path_engaged(f->receiver->port, 0);
    for (unsigned i = 0; (e = path_engaged(f->receiver->port, i)); i++) {
        if (e->tunnel == f->link && !strcmp(e->id, f->id))
            return true;
    }
    return false;
}

void flows_follow(struct agent_path *p)
{
    struct flow *next;

    for (struct flow *f = TAILQ_FIRST(&p->flows); f; f = next) {
        next = TAILQ_NEXT(f, entry);
        if (goes_right(f))
            sync_copies(f);
        else
            flow_end(f);
    }
}

bool flows_sweep(struct agent_path *p, uint64_t now)
{
    struct flow *next;

    for (struct flow *f = TAILQ_FIRST(&p->flows); f; f = next) {
        next = TAILQ_NEXT(f, entry);
        if (f->last_ms + PATH_FLOW_IDLE_MS <= now) {
            flow_end(f);
        } else if (f->deadline && f->deadline <= now) {
            if (f->state != FLOW_OFFERED) {
                flow_end(f);
                continue;
            }
            tunnel_udp_close(f->tunnel);
            f->tunnel = NULL;
            flow_to_app(f);
        }
    }
    return !TAILQ_EMPTY(&p->flows);
}

void flows_release(struct agent_path *p)
{
    while (!TAILQ_EMPTY(&p->flows))
        flow_end(TAILQ_FIRST(&p->flows));
}
