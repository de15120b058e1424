#include "daemon/tcp_capture.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/tcp_accept.h"
#include "daemon/tcp_capture_internal.h"
#include "net/forward.h"
#include "net/socket.h"
#include "tunnel/relay.h"

#define SWEEP_MS 500

void tcp_capture_free_if_done(struct tcp_capture *tc)
{
    if (!tc->closing || !tc->sweep_closed || tc->users)
        return;
    flow_table_release(&tc->table);
    pipes_release(&tc->pipes);
    free(tc);
}

static void on_sweep(uv_timer_t *timer)
{
    struct tcp_capture *tc = timer->data;
    uint64_t now = uv_now(tc->loop);
    struct tcp_conn *next;

    tc->users++; /* nothing is freed below our feet */
    for (struct tcp_conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (c->deadline <= now)
            tcp_conn_expire(c);
    }
    tc->users--;
    if (!tc->conns)
        uv_timer_stop(timer);
    tcp_capture_free_if_done(tc);
}

static bool is_dns(const struct tcp_capture *tc, const union sockaddr_any *dst)
{
    return tc->dns && tc->dns_addr.sa.sa_family &&
           sockaddr_equal(&tc->dns_addr, dst);
}

/* Whoever connects to the listener itself, or marks packets for addresses
 * that are not captured, is not served. */
static bool is_captured(const struct tcp_capture *tc,
                        const union sockaddr_any *dst)
{
    return tc->set && capture_set_contains(tc->set, dst);
}

static void on_connection_cb(void *arg, int fd, const union sockaddr_any *src,
                             const union sockaddr_any *dst)
{
    struct tcp_capture *tc = arg;
    struct tcp_conn *c;

    if (is_dns(tc, dst)) {
        dns_serve_tcp(tc->dns, fd);
        return;
    }
    if (!is_captured(tc, dst)) {
        socket_abort(fd);
        return;
    }
    c = tcp_conn_find(tc, src, dst);
    if (c && c->state == CONN_OPEN && c->fd < 0) {
        tcp_conn_join(c, fd);
        return;
    }
    if (c)
        tcp_conn_end(c);
    c = tcp_conn_create(tc, src, dst);
    if (!c) {
        socket_abort(fd);
        return;
    }
    c->fd = fd;
    tcp_conn_dial(c);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    struct tcp_capture *tc = handle->data;

    tc->sweep_closed = true;
    tcp_capture_free_if_done(tc);
}

struct tcp_capture *tcp_capture_create(uv_loop_t *loop, struct dns *dns,
                                       struct tp_error *err)
{
    struct tcp_capture *tc = calloc(1, sizeof(*tc));

    if (!tc || flow_table_init(&tc->table) < 0) {
        free(tc);
        tp_error_errno(err, -ENOMEM, "TCP capture");
        return NULL;
    }
    tc->loop = loop;
    tc->dns = dns;
    tc->lost_at = uv_now(loop);
    uv_timer_init(loop, &tc->sweep);
    tc->sweep.data = tc;
    uv_timer_start(&tc->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    tc->accept = tcp_accept_create(loop, on_connection_cb, tc, err);
    if (!tc->accept) {
        tcp_capture_destroy(tc);
        return NULL;
    }
    return tc;
}

/* Ends what goes to addresses that are not in the set (NULL: everything). */
static void reset_others(struct tcp_capture *tc, const struct capture_set *set)
{
    struct tcp_relay *after;
    struct tcp_conn *next;

    tc->users++; /* nothing is freed below our feet */
    for (struct tcp_conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (!set || !capture_set_contains(set, &c->dst))
            tcp_conn_end(c);
    }
    for (struct tcp_relay *r = tc->relays; r; r = after) {
        after = r->next;
        if (set && capture_set_contains(set, &r->dst))
            continue;
        if (r->forward)
            forward_abort(r->forward);
        else
            relay_abort(r->relay);
    }
    tc->users--;
}

void tcp_capture_destroy(struct tcp_capture *tc)
{
    if (!tc)
        return;
    tc->tunnel = NULL;
    reset_others(tc, NULL);
    tc->queue = NULL;
    tc->closing = true;
    tcp_accept_close(tc->accept);
    uv_close((uv_handle_t *)&tc->sweep, on_sweep_closed);
}

uint16_t tcp_capture_port(const struct tcp_capture *tc, int family)
{
    return tcp_accept_port(tc->accept, family);
}

void tcp_capture_set_routes(struct tcp_capture *tc,
                            const struct capture_set *set,
                            const struct vnat *vnat,
                            const union sockaddr_any *dns)
{
    tc->set = set;
    tc->vnat = vnat;
    tc->dns_addr = *dns;
    reset_others(tc, set);
}

void tcp_capture_set_tunnel(struct tcp_capture *tc, struct tunnel *t)
{
    struct tcp_conn *next;

    if (tc->tunnel && !t)
        tc->lost_at = uv_now(tc->loop);
    tc->tunnel = t;
    if (!t)
        return;
    tc->users++;
    for (struct tcp_conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (c->state == CONN_WAITING && !c->stream)
            tcp_conn_dial(c);
    }
    tc->users--;
}

void tcp_capture_set_shortcuts(struct tcp_capture *tc,
                               const struct shortcuts *shortcuts)
{
    tc->shortcuts = *shortcuts;
}

void tcp_capture_set_queue(struct tcp_capture *tc, struct hold_queue *q)
{
    tc->queue = q;
}

/* A SYN whose addresses are known already. True if that settled it. */
static bool is_retransmit(struct tcp_conn *c, uint32_t id,
                          const struct packet_syn *syn)
{
    struct hold_queue *q = c->tc->queue;

    if (c->seq != syn->seq || c->fd >= 0) {
        tcp_conn_end(c); /* the client began anew */
        return false;
    }
    if (c->state == CONN_OPEN)
        hold_queue_verdict(q, id, HOLD_ACCEPT);
    else if (c->state == CONN_DONE)
        hold_queue_verdict(q, id, c->verdict);
    else
        hold_queue_verdict(q, id, HOLD_DROP);
    return true;
}

void tcp_capture_syn(void *arg, uint32_t id, const struct packet_syn *syn)
{
    struct tcp_capture *tc = arg;
    struct tcp_conn *c;

    if (is_dns(tc, &syn->dst)) {
        hold_queue_verdict(tc->queue, id, HOLD_ACCEPT);
        return;
    }
    c = tcp_conn_find(tc, &syn->src, &syn->dst);
    if (c && is_retransmit(c, id, syn))
        return;
    c = tcp_conn_create(tc, &syn->src, &syn->dst);
    if (!c) {
        hold_queue_verdict(tc->queue, id, HOLD_DROP);
        return;
    }
    c->seq = syn->seq;
    c->packet = id;
    c->held = true;
    tcp_conn_dial(c);
}

void tcp_capture_get_stats(const struct tcp_capture *tc,
                           struct tcp_capture_stats *stats)
{
    *stats = tc->stats;
}
