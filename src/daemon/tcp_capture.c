#include "daemon/tcp_capture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/flow_table.h"
#include "daemon/transparent.h"
#include "tunnel/relay.h"

/*
 * With a queue, a connection begins with its held SYN: the far end is dialled,
 * the verdict says what it said, and when the kernel then gives us the local
 * socket, it is joined with the stream that waits under the same addresses.
 * Without a queue (or if the two do not find each other) it begins with the
 * local socket, which is reset if the far end refuses.
 *
 * A SYN with the same addresses and the same sequence number is a retransmit;
 * with another number the client has given up and begun anew.
 */
enum conn_state {
    CONN_WAITING,  /* no link; until one comes or the grace ends */
    CONN_DIALLING, /* stream opened, the far end has not answered */
    CONN_OPEN,     /* far end open, SYN let through, socket to come */
    CONN_DONE,     /* refused; kept for the SYN's retransmits */
    CONN_DEAD,     /* only waits for its stream's closed_cb */
};

#define GRACE_MS  5000  /* for a new link */
#define DIAL_MS   30000 /* then the SYN is dropped; a retransmit dials anew */
#define ACCEPT_MS 30000 /* for the local socket after the verdict */
#define RETAIN_MS 3000  /* refusals by ICMP, which a busy socket may miss */
#define SWEEP_MS  500

#define ACCEPT_BATCH    64
#define ACCEPT_PAUSE_MS 100 /* when descriptors run out */

struct conn {
    struct flow_node node; /* first: found by it */
    struct conn *next, *prev;
    struct tcp_capture *tc;
    enum conn_state state;
    struct tunnel_stream *stream;
    union sockaddr_any dst;
    uint64_t deadline; /* uv_now() */
    uint32_t seq;
    uint32_t packet;
    bool held;                 /* packet waits for a verdict */
    bool failed;               /* the stream ends by itself: no reset */
    bool eof;                  /* the far end has nothing to say */
    int fd;                    /* the local socket if it came first, else -1 */
    enum hold_verdict verdict; /* of CONN_DONE */
};

struct relay_ref {
    struct relay_ref *next, *prev;
    struct tcp_capture *tc;
    struct relay *relay;
    union sockaddr_any dst;
};

struct listener {
    struct tcp_capture *tc;
    uv_poll_t poll;
    int fd; /* -1: this family is not there */
    uint16_t port;
};

struct tcp_capture {
    uv_loop_t *loop;
    struct dns *dns;
    struct tunnel *tunnel;
    struct hold_queue *queue;
    const struct capture_set *set;
    union sockaddr_any dns_addr;
    struct listener v4, v6;
    uv_timer_t sweep, pause;
    struct flow_table table;
    struct conn *conns; /* all, also CONN_DEAD */
    struct relay_ref *relays;
    struct tcp_capture_stats stats;
    unsigned handles; /* to be closed */
    unsigned users;   /* conns and relays whose end has not been told */
    bool closing;
};

static void maybe_free(struct tcp_capture *tc)
{
    if (!tc->closing || tc->handles || tc->users)
        return;
    flow_table_release(&tc->table);
    free(tc);
}

static void reset_socket(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* --- one connection before its relay ----------------------------------- */

static void conn_free(struct conn *c)
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
    maybe_free(tc);
}

/* Gives the verdict on the packet that waits, if one does. */
static void conn_decide(struct conn *c, enum hold_verdict verdict)
{
    if (c->held && c->tc->queue)
        hold_queue_verdict(c->tc->queue, c->packet, verdict);
    c->held = false;
}

/* Takes the connection out of the table; it is freed now, or when its stream
 * has ended. */
static void conn_end(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    conn_decide(c, HOLD_DROP);
    flow_table_remove(&c->tc->table, &c->node);
    c->tc->stats.pending--;
    if (c->fd >= 0)
        reset_socket(c->fd);
    c->fd = -1;
    c->state = CONN_DEAD;
    if (!c->stream)
        conn_free(c);
    else if (!c->failed) /* conn_closed_cb() frees it */
        tunnel_stream_reset(c->stream, -ECONNABORTED);
}

static void conn_refuse(struct conn *c, int error)
{
    struct tcp_capture *tc = c->tc;
    enum hold_verdict verdict = hold_verdict_of(error);

    tc->stats.refused++;
    /* An ICMP error is lost if connect() still holds the socket's lock: then
     * the retransmit gets the same answer again. */
    if (!c->held || verdict == HOLD_DROP || verdict == HOLD_RESET) {
        conn_decide(c, verdict);
        conn_end(c);
        return;
    }
    conn_decide(c, verdict);
    c->state = CONN_DONE;
    c->verdict = verdict;
    c->deadline = uv_now(tc->loop) + RETAIN_MS;
}

static void conn_wait_for_link(struct conn *c)
{
    if (c->state == CONN_WAITING)
        return;
    c->state = CONN_WAITING;
    c->deadline = uv_now(c->tc->loop) + GRACE_MS;
}

static void conn_join(struct conn *c, int fd);

static void conn_opened_cb(void *arg, int status)
{
    struct conn *c = arg;

    c->failed = status < 0;
    if (c->state != CONN_DIALLING || status == -EPIPE)
        return; /* given up, or the link ended: closed_cb() follows */
    if (status < 0) {
        conn_refuse(c, status);
    } else if (c->fd >= 0) {
        int fd = c->fd;

        c->fd = -1;
        conn_join(c, fd);
    } else {
        c->state = CONN_OPEN;
        c->deadline = uv_now(c->tc->loop) + ACCEPT_MS;
        conn_decide(c, HOLD_ACCEPT);
    }
}

static ssize_t conn_pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

/* The far end's bytes stay in the stream until the relay takes them. */
static ssize_t conn_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

/* Only of a far end that says nothing at all: bytes would not be taken. */
static void conn_eof_cb(void *arg)
{
    struct conn *c = arg;

    c->eof = true;
}

static void conn_closed_cb(void *arg, int status)
{
    struct conn *c = arg;

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
    .pull_cb = conn_pull_cb,
    .push_cb = conn_push_cb,
    .eof_cb = conn_eof_cb,
    .closed_cb = conn_closed_cb,
};

static void conn_dial(struct conn *c)
{
    if (!c->tc->tunnel) {
        conn_wait_for_link(c);
        return;
    }
    c->state = CONN_DIALLING;
    c->failed = false;
    c->deadline = uv_now(c->tc->loop) + DIAL_MS;
    c->stream = tunnel_open_tcp(c->tc->tunnel, &c->dst, &conn_ops, c);
    if (!c->stream)
        conn_end(c); /* the link is full: the client's retransmit retries */
}

static struct conn *conn_create(struct tcp_capture *tc,
                                const union sockaddr_any *src,
                                const union sockaddr_any *dst)
{
    struct conn *c;

    if (tc->stats.pending >= TCP_CAPTURE_PENDING_MAX)
        return NULL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->tc = tc;
    c->dst = *dst;
    c->fd = -1;
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

static struct conn *conn_find(struct tcp_capture *tc,
                              const union sockaddr_any *src,
                              const union sockaddr_any *dst)
{
    struct flow_key key;

    flow_key_set(&key, src, dst);
    return (struct conn *)(void *)flow_table_find(&tc->table, &key);
}

static void conn_expire(struct conn *c)
{
    switch (c->state) {
    case CONN_WAITING:
        c->state = CONN_DIALLING; /* of nobody */
        conn_refuse(c, -EHOSTUNREACH);
        break;
    case CONN_DIALLING:
    case CONN_OPEN:
    case CONN_DONE:
        conn_end(c);
        break;
    case CONN_DEAD:
        break;
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct tcp_capture *tc = timer->data;
    uint64_t now = uv_now(tc->loop);
    struct conn *next;

    tc->users++; /* nothing is freed below our feet */
    for (struct conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (c->deadline <= now)
            conn_expire(c);
    }
    tc->users--;
    if (!tc->conns)
        uv_timer_stop(timer);
    maybe_free(tc);
}

/* --- joined ------------------------------------------------------------- */

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    struct relay_ref *r = arg;
    struct tcp_capture *tc = r->tc;

    (void)bytes_in;
    (void)bytes_out;
    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        tc->relays = r->next;
    free(r);
    tc->stats.relays--;
    tc->users--;
    maybe_free(tc);
}

static void relay_start(struct tcp_capture *tc, int fd,
                        struct tunnel_stream *stream,
                        const union sockaddr_any *dst)
{
    struct relay_ref *r = calloc(1, sizeof(*r));

    if (!r) {
        tunnel_stream_reset(stream, -ENOMEM);
        reset_socket(fd);
        return;
    }
    r->tc = tc;
    r->dst = *dst;
    r->next = tc->relays;
    if (r->next)
        r->next->prev = r;
    tc->relays = r;
    tc->users++;
    tc->stats.relays++;
    tc->stats.opened++;
    r->relay = relay_create(tc->loop, fd, stream, relay_ended_cb, r);
    if (!r->relay)
        relay_ended_cb(r, 0, 0);
}

/* The local socket and the stream have found each other. */
static void conn_join(struct conn *c, int fd)
{
    struct tunnel_stream *stream = c->stream;
    struct tcp_capture *tc = c->tc;

    c->stream = NULL; /* the relay's */
    tc->users++;
    if (c->eof) /* which the relay will not be told again */
        shutdown(fd, SHUT_WR);
    if (stream)
        relay_start(tc, fd, stream, &c->dst);
    else
        reset_socket(fd);
    conn_end(c);
    tc->users--;
    maybe_free(tc);
}

/* --- the listeners ------------------------------------------------------ */

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

static void on_connection(struct tcp_capture *tc, int fd,
                          const union sockaddr_any *src,
                          const union sockaddr_any *dst)
{
    struct conn *c;

    if (is_dns(tc, dst)) {
        dns_serve_tcp(tc->dns, fd);
        return;
    }
    if (!is_captured(tc, dst)) {
        reset_socket(fd);
        return;
    }
    c = conn_find(tc, src, dst);
    if (c && c->state == CONN_OPEN && c->fd < 0) {
        conn_join(c, fd);
        return;
    }
    if (c)
        conn_end(c);
    c = conn_create(tc, src, dst);
    if (!c) {
        reset_socket(fd);
        return;
    }
    c->fd = fd;
    conn_dial(c);
}

static void on_resume(uv_timer_t *timer);

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        union sockaddr_any src, dst;
        socklen_t len = sizeof(src), dst_len = sizeof(dst);
        int fd = accept4(l->fd, &src.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            log_warn("no descriptor for a connection; raise `ulimit -n`");
            uv_poll_stop(poll);
            uv_timer_start(&l->tc->pause, on_resume, ACCEPT_PAUSE_MS, 0);
            return;
        }
        if (fd < 0)
            return;
        if (getsockname(fd, &dst.sa, &dst_len) < 0)
            close(fd);
        else
            on_connection(l->tc, fd, &src, &dst);
    }
}

static void listener_start(struct listener *l)
{
    if (l->fd >= 0)
        uv_poll_start(&l->poll, UV_READABLE, on_listener);
}

static void on_resume(uv_timer_t *timer)
{
    struct tcp_capture *tc = timer->data;

    listener_start(&tc->v4);
    listener_start(&tc->v6);
}

static int listener_open(struct listener *l, struct tcp_capture *tc, int family)
{
    int rc;

    l->tc = tc;
    l->fd = transparent_listen(family, SOCK_STREAM, &l->port);
    if (l->fd < 0) {
        rc = l->fd;
        l->fd = -1;
        return rc;
    }
    rc = uv_poll_init(tc->loop, &l->poll, l->fd);
    if (rc) {
        close(l->fd);
        l->fd = -1;
        return rc;
    }
    tc->handles++;
    l->poll.data = l;
    return 0;
}

/* --- the whole ---------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct tcp_capture *tc = handle->data;

    tc->handles--;
    maybe_free(tc);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    close(l->fd);
    l->tc->handles--;
    maybe_free(l->tc);
}

static void close_handles(struct tcp_capture *tc)
{
    if (tc->v4.fd >= 0)
        uv_close((uv_handle_t *)&tc->v4.poll, on_listener_closed);
    if (tc->v6.fd >= 0)
        uv_close((uv_handle_t *)&tc->v6.poll, on_listener_closed);
    uv_close((uv_handle_t *)&tc->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&tc->pause, on_handle_closed);
}

static int open_listeners(struct tcp_capture *tc, struct tp_error *err)
{
    int rc = listener_open(&tc->v4, tc, AF_INET);

    tc->v6.fd = -1;
    if (rc == -EPERM)
        return tp_error_set(err, rc,
                            "no right to listen transparently: the container "
                            "needs the capability NET_ADMIN");
    if (rc)
        return tp_error_errno(err, rc, "transparent listener");
    rc = listener_open(&tc->v6, tc, AF_INET6);
    if (rc)
        log_debug("no IPv6 in this namespace: errno %d", -rc);
    return 0;
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
    uv_timer_init(loop, &tc->sweep);
    uv_timer_init(loop, &tc->pause);
    tc->sweep.data = tc;
    tc->pause.data = tc;
    tc->handles = 2;
    uv_timer_start(&tc->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    if (open_listeners(tc, err) < 0) {
        tcp_capture_destroy(tc);
        return NULL;
    }
    listener_start(&tc->v4);
    listener_start(&tc->v6);
    return tc;
}

/* Ends what goes to addresses that are not in the set (NULL: everything). */
static void reset_others(struct tcp_capture *tc, const struct capture_set *set)
{
    struct relay_ref *after;
    struct conn *next;

    tc->users++; /* nothing is freed below our feet */
    for (struct conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (!set || !capture_set_contains(set, &c->dst))
            conn_end(c);
    }
    for (struct relay_ref *r = tc->relays; r; r = after) {
        after = r->next;
        if (!set || !capture_set_contains(set, &r->dst))
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
    close_handles(tc);
    maybe_free(tc);
}

uint16_t tcp_capture_port(const struct tcp_capture *tc, int family)
{
    const struct listener *l = family == AF_INET6 ? &tc->v6 : &tc->v4;

    return l->fd >= 0 ? l->port : 0;
}

void tcp_capture_set_routes(struct tcp_capture *tc,
                            const struct capture_set *set,
                            const union sockaddr_any *dns)
{
    tc->set = set;
    tc->dns_addr = *dns;
    reset_others(tc, set);
}

void tcp_capture_set_tunnel(struct tcp_capture *tc, struct tunnel *t)
{
    struct conn *next;

    tc->tunnel = t;
    if (!t)
        return;
    tc->users++;
    for (struct conn *c = tc->conns; c; c = next) {
        next = c->next;
        if (c->state == CONN_WAITING && !c->stream)
            conn_dial(c);
    }
    tc->users--;
}

void tcp_capture_set_queue(struct tcp_capture *tc, struct hold_queue *q)
{
    tc->queue = q;
}

/* A SYN whose addresses are known already. True if that settled it. */
static bool is_retransmit(struct conn *c, uint32_t id,
                          const struct packet_syn *syn)
{
    struct hold_queue *q = c->tc->queue;

    if (c->seq != syn->seq || c->fd >= 0) {
        conn_end(c); /* the client began anew */
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
    struct conn *c;

    if (is_dns(tc, &syn->dst)) {
        hold_queue_verdict(tc->queue, id, HOLD_ACCEPT);
        return;
    }
    c = conn_find(tc, &syn->src, &syn->dst);
    if (c && is_retransmit(c, id, syn))
        return;
    c = conn_create(tc, &syn->src, &syn->dst);
    if (!c) {
        hold_queue_verdict(tc->queue, id, HOLD_DROP);
        return;
    }
    c->seq = syn->seq;
    c->packet = id;
    c->held = true;
    conn_dial(c);
}

void tcp_capture_get_stats(const struct tcp_capture *tc,
                           struct tcp_capture_stats *stats)
{
    *stats = tc->stats;
}
