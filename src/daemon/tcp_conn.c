/* tcp_conn.c - one captured connection, from its SYN to its relay */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/tcp_capture_internal.h"
#include "net/socket.h"
#include "tunnel/relay.h"

#define GRACE_MS  5000  /* for a new link */
#define DIAL_MS   30000 /* then the SYN is dropped; a retransmit dials anew */
#define ACCEPT_MS 30000 /* for the local socket after the verdict */
#define RETAIN_MS 3000  /* refusals by ICMP, which a busy socket may miss */

static void conn_free(struct tcp_conn *c)
{
    struct tcp_capture *tc = c->tc;

    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        tc->conns = c->next;
    free(c);
    tc->users--;
    tcp_capture_free_if_done(tc);
}

/* Gives the verdict on the packet that waits, if one does. */
static void conn_decide(struct tcp_conn *c, enum hold_verdict verdict)
{
    if (c->held && c->tc->queue)
        hold_queue_verdict(c->tc->queue, c->packet, verdict);
    c->held = false;
}

void tcp_conn_end(struct tcp_conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    conn_decide(c, HOLD_DROP);
    flow_table_remove(&c->tc->table, &c->node);
    c->tc->stats.pending--;
    if (c->fd >= 0)
        socket_abort(c->fd);
    c->fd = -1;
    tcp_local_end(c);
    c->state = CONN_DEAD;
    if (!c->stream)
        conn_free(c);
    else if (!c->failed) /* conn_closed_cb() frees it */
        tunnel_stream_reset(c->stream, -ECONNABORTED);
}

static void conn_refuse(struct tcp_conn *c, int error)
{
    struct tcp_capture *tc = c->tc;
    enum hold_verdict verdict = hold_verdict_of(error);

    tc->stats.refused++;
    /* An ICMP error is lost if connect() still holds the socket's lock: then
     * the retransmit gets the same answer again. */
    if (!c->held || verdict == HOLD_DROP || verdict == HOLD_RESET) {
        conn_decide(c, verdict);
        tcp_conn_end(c);
        return;
    }
    conn_decide(c, verdict);
    c->state = CONN_DONE;
    c->verdict = verdict;
    c->deadline = uv_now(tc->loop) + RETAIN_MS;
}

/* The grace is counted from the link's end: once it is over, connections are
 * refused at once. */
static void conn_wait_for_link(struct tcp_conn *c)
{
    const struct tcp_capture *tc = c->tc;

    if (c->state == CONN_WAITING)
        return;
    c->state = CONN_WAITING;
    c->deadline = tc->tunnel ? uv_now(tc->loop) : tc->lost_at;
    c->deadline += GRACE_MS;
}

void tcp_conn_opened(struct tcp_conn *c)
{
    int fd = c->fd;

    if (fd >= 0) {
        c->fd = -1;
        tcp_conn_join(c, fd);
        return;
    }
    c->state = CONN_OPEN;
    c->deadline = uv_now(c->tc->loop) + ACCEPT_MS;
    conn_decide(c, HOLD_ACCEPT);
}

static void conn_opened_cb(void *arg, int status)
{
    struct tcp_conn *c = arg;

    c->failed = status < 0;
    if (c->state != CONN_DIALLING || status == -EPIPE)
        return; /* given up, or the link ended: closed_cb() follows */
    if (status < 0)
        conn_refuse(c, status);
    else
        tcp_conn_opened(c);
}

/* Only of a far end that says nothing at all: bytes would not be taken. */
static void conn_eof_cb(void *arg)
{
    struct tcp_conn *c = arg;

    c->eof = true;
}

static void conn_closed_cb(void *arg, int status)
{
    struct tcp_conn *c = arg;

    c->stream = NULL;
    switch (c->state) {
    case CONN_DEAD:
        conn_free(c);
        break;
    case CONN_DIALLING:
        if (status == -EPIPE || status == 0)
            conn_wait_for_link(c);
        else
            conn_refuse(c, status == -ECONNRESET ? -ECONNREFUSED : status);
        break;
    case CONN_OPEN: /* the socket will be reset when it comes */
    case CONN_DONE:
    case CONN_WAITING:
        break;
    }
}

static const struct tunnel_stream_ops conn_ops = {
    .opened_cb = conn_opened_cb,
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = conn_eof_cb,
    .closed_cb = conn_closed_cb,
};

union sockaddr_any tcp_conn_far(const struct tcp_conn *c)
{
    union sockaddr_any far = c->dst;

    vnat_to_real(c->tc->vnat, &far);
    return far;
}

void tcp_conn_dial(struct tcp_conn *c)
{
    union sockaddr_any far = tcp_conn_far(c);
    bool local = tcp_local_dial(c);

    if (!local && !c->tc->tunnel) {
        conn_wait_for_link(c);
        return;
    }
    c->state = CONN_DIALLING;
    c->failed = false;
    c->deadline = uv_now(c->tc->loop) + DIAL_MS;
    if (local)
        return;
    c->stream = tunnel_open_tcp(c->tc->tunnel, &far, &conn_ops, c);
    if (c->stream)
        return;
    if (errno == ESHUTDOWN) /* it is drained, and the next one is being made */
        conn_wait_for_link(c);
    else
        tcp_conn_end(c); /* it is full: the client's retransmit retries */
}

struct tcp_conn *tcp_conn_create(struct tcp_capture *tc,
                                 const union sockaddr_any *src,
                                 const union sockaddr_any *dst)
{
    struct tcp_conn *c;

    if (tc->stats.pending >= TCP_CAPTURE_PENDING_MAX)
        return NULL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->tc = tc;
    c->dst = *dst;
    c->fd = c->local = -1;
    c->state = CONN_DIALLING;
    flow_key_set(&c->node.key, src, dst);
    flow_table_insert(&tc->table, &c->node);
    c->next = tc->conns;
    if (c->next)
        c->next->prev = c;
    tc->conns = c;
    tc->users++;
    tc->stats.pending++;
    if (!uv_is_active((uv_handle_t *)&tc->sweep))
        uv_timer_again(&tc->sweep);
    return c;
}

struct tcp_conn *tcp_conn_find(struct tcp_capture *tc,
                               const union sockaddr_any *src,
                               const union sockaddr_any *dst)
{
    struct flow_key key;

    flow_key_set(&key, src, dst);
    return (struct tcp_conn *)(void *)flow_table_find(&tc->table, &key);
}

void tcp_conn_expire(struct tcp_conn *c)
{
    switch (c->state) {
    case CONN_WAITING:
        c->state = CONN_DIALLING; /* of nobody */
        conn_refuse(c, -EHOSTUNREACH);
        break;
    case CONN_DIALLING:
    case CONN_OPEN:
    case CONN_DONE:
        tcp_conn_end(c);
        break;
    case CONN_DEAD:
        break;
    }
}

void tcp_relay_ended(struct tcp_relay *r)
{
    struct tcp_capture *tc = r->tc;

    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        tc->relays = r->next;
    free(r);
    tc->stats.relays--;
    tc->users--;
    tcp_capture_free_if_done(tc);
}

struct tcp_relay *tcp_relay_add(struct tcp_capture *tc,
                                const union sockaddr_any *dst)
{
    struct tcp_relay *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->tc = tc;
    r->dst = *dst;
    r->next = tc->relays;
    if (r->next)
        r->next->prev = r;
    tc->relays = r;
    tc->users++;
    tc->stats.relays++;
    return r;
}

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)bytes_in;
    (void)bytes_out;
    tcp_relay_ended(arg);
}

static void relay_start(struct tcp_capture *tc, int fd,
                        struct tunnel_stream *stream,
                        const union sockaddr_any *dst)
{
    struct tcp_relay *r = tcp_relay_add(tc, dst);

    if (!r) {
        tunnel_stream_reset(stream, -ENOMEM);
        socket_abort(fd);
        return;
    }
    tc->stats.opened++;
    r->relay = relay_create(tc->loop, fd, stream, relay_ended_cb, r);
    if (!r->relay)
        tcp_relay_ended(r);
}

void tcp_conn_join(struct tcp_conn *c, int fd)
{
    struct tunnel_stream *stream = c->stream;
    struct tcp_capture *tc = c->tc;

    c->stream = NULL; /* the relay's */
    tc->users++;
    if (c->eof) /* which the relay will not be told again */
        shutdown(fd, SHUT_WR);
    if (c->local >= 0)
        tcp_local_join(c, fd);
    else if (stream)
        relay_start(tc, fd, stream, &c->dst);
    else
        socket_abort(fd);
    tcp_conn_end(c);
    tc->users--;
    tcp_capture_free_if_done(tc);
}
