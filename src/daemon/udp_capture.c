#include "daemon/udp_capture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/flow_table.h"
#include "daemon/transparent.h"
#include "daemon/udp_local.h"
#include "tunnel/udp.h"

/*
 * All datagrams come in and all answers go out through one socket of each
 * family. It sends from the far address (IP_PKTINFO), and the mark makes the
 * table tp-hold put the far port in. Nothing is ever bound to the far port:
 * a socket there would need an fd for each flow, fail where a program holds
 * the port on 0.0.0.0, and keep a program from taking it.
 *
 * Queries to the cluster's DNS address are no flows: each is given to the dns
 * module, and its answer goes back from the same address.
 */
#define FLOW_IDLE_MS  60000
#define DNS_IDLE_MS   10000 /* port 53: RFC 5452 resolvers change ports */
#define QUERY_MS      10000
#define SWEEP_MS      1000
#define RECEIVE_BATCH 64

struct flow {
    struct flow_node node; /* first: found by it */
    struct flow *next, *prev;
    struct udp_capture *uc;
    struct tunnel_udp *tunnel;
    struct udp_local *local; /* instead of the tunnel */
    uint64_t used;           /* of local: uv_now() */
    union sockaddr_any app, dst;
};

struct query {
    struct query *next, *prev;
    struct udp_capture *uc;
    union sockaddr_any app, dst;
    uint64_t deadline;
};

struct receiver {
    struct udp_capture *uc;
    uv_poll_t poll;
    int fd; /* -1: this family is not there */
    uint16_t port;
};

struct udp_capture {
    uv_loop_t *loop;
    struct dns *dns;
    struct tunnel *tunnel;
    struct shortcuts shortcuts;
    const struct capture_set *set;
    const struct vnat *vnat;
    union sockaddr_any dns_addr;
    struct receiver v4, v6;
    uv_timer_t sweep;
    struct flow_table table;
    struct flow *flows;
    struct query *queries;
    unsigned n_queries;
    unsigned handles; /* to be closed */
    bool closing;
    uint8_t data[TUNNEL_UDP_MAX + 1];
};

static void maybe_free(struct udp_capture *uc)
{
    if (!uc->closing || uc->handles)
        return;
    flow_table_release(&uc->table);
    free(uc);
}

/* --- answers ------------------------------------------------------------ */

static void answer(struct udp_capture *uc, const void *data, size_t len,
                   const union sockaddr_any *from, const union sockaddr_any *to)
{
    const struct receiver *r =
        from->sa.sa_family == AF_INET6 ? &uc->v6 : &uc->v4;
    int rc = transparent_send_as(r->fd, data, len, from, to);

    if (rc && rc != -EPERM) /* what is rejected on purpose, see refuse() */
        log_debug("UDP answer: errno %d", -rc);
}

/* --- flows -------------------------------------------------------------- */

/* What the far host's ICMP port unreachable would do to the program, which a
 * process without NET_RAW cannot send: an empty datagram in the program's name
 * to the far address, of which chain verdict makes that ICMP. It never leaves.
 */
static void refuse(const struct flow *f)
{
    answer(f->uc, NULL, 0, &f->app, &f->dst);
}

/* tunnel end is gone already. */
static void flow_free(struct flow *f)
{
    flow_table_remove(&f->uc->table, &f->node);
    if (f->next)
        f->next->prev = f->prev;
    if (f->prev)
        f->prev->next = f->next;
    else
        f->uc->flows = f->next;
    free(f);
}

static void flow_end(struct flow *f)
{
    if (f->tunnel)
        tunnel_udp_close(f->tunnel);
    f->tunnel = NULL;
    udp_local_close(f->local);
    f->local = NULL;
    flow_free(f);
}

static void flow_opened_cb(void *arg, int status)
{
    (void)arg; /* closed_cb follows an error */
    (void)status;
}

static void flow_datagram_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    answer(f->uc, data, len, &f->dst, &f->app);
}

static void flow_closed_cb(void *arg, int status)
{
    struct flow *f = arg;

    if (status == -ECONNREFUSED)
        refuse(f);
    f->tunnel = NULL;
    flow_free(f);
}

static const struct tunnel_udp_ops flow_ops = {
    .opened_cb = flow_opened_cb,
    .datagram_cb = flow_datagram_cb,
    .closed_cb = flow_closed_cb,
};

/* What f->dst stands for (vnat.h). */
static union sockaddr_any flow_far(const struct flow *f)
{
    union sockaddr_any far = f->dst;

    vnat_to_real(f->uc->vnat, &far);
    return far;
}

static bool flow_find_local(const struct flow *f, struct shortcut *way)
{
    union sockaddr_any far = flow_far(f);

    return shortcuts_find(&f->uc->shortcuts, &far, true, way);
}

static int flow_open_tunnel(struct flow *f)
{
    unsigned idle = sockaddr_port(&f->dst) == 53 ? DNS_IDLE_MS : FLOW_IDLE_MS;
    union sockaddr_any far = flow_far(f);

    if (f->uc->tunnel)
        f->tunnel = tunnel_udp_open(f->uc->tunnel, &far, idle, &flow_ops, f);
    return f->tunnel ? 0 : -ENOTCONN;
}

static void flow_local_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    f->used = uv_now(f->uc->loop);
    answer(f->uc, data, len, &f->dst, &f->app);
}

static void flow_open_local(struct flow *f)
{
    struct shortcut way;

    if (flow_find_local(f, &way))
        f->local = udp_local_open(f->uc->loop, &way, flow_local_cb, f);
}

static void flow_send(struct flow *f, const void *data, size_t len)
{
    f->used = uv_now(f->uc->loop);
    if (f->local && udp_local_send(f->local, data, len) == 0)
        return;
    if (f->local) { /* nobody listens: the cluster answers */
        udp_local_close(f->local);
        f->local = NULL;
        if (flow_open_tunnel(f) < 0) {
            flow_free(f);
            return;
        }
    }
    if (f->tunnel)
        tunnel_udp_send(f->tunnel, data, len);
}

static struct flow *flow_create(struct udp_capture *uc,
                                const union sockaddr_any *app,
                                const union sockaddr_any *dst)
{
    struct flow *f;

    if (uc->table.count >= UDP_CAPTURE_FLOWS_MAX)
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->uc = uc;
    f->app = *app;
    f->dst = *dst;
    flow_open_local(f);
    if (!f->local && flow_open_tunnel(f) < 0) {
        free(f);
        return NULL;
    }
    flow_key_set(&f->node.key, app, dst);
    flow_table_insert(&uc->table, &f->node);
    f->next = uc->flows;
    if (f->next)
        f->next->prev = f;
    uc->flows = f;
    return f;
}

static struct flow *flow_find(struct udp_capture *uc,
                              const union sockaddr_any *app,
                              const union sockaddr_any *dst)
{
    struct flow_key key;

    flow_key_set(&key, app, dst);
    return (struct flow *)(void *)flow_table_find(&uc->table, &key);
}

/* --- queries to the cluster's DNS address ------------------------------- */

static void query_free(struct query *q)
{
    if (q->next)
        q->next->prev = q->prev;
    if (q->prev)
        q->prev->next = q->next;
    else
        q->uc->queries = q->next;
    q->uc->n_queries--;
    free(q);
}

static void query_answered(void *arg, const void *msg, size_t len)
{
    struct query *q = arg;

    answer(q->uc, msg, len, &q->dst, &q->app);
    query_free(q);
}

static void query_start(struct udp_capture *uc, size_t len,
                        const union sockaddr_any *app,
                        const union sockaddr_any *dst)
{
    struct query *q;

    if (uc->n_queries >= UDP_CAPTURE_QUERIES_MAX)
        return;
    q = calloc(1, sizeof(*q));
    if (!q)
        return;
    q->uc = uc;
    q->app = *app;
    q->dst = *dst;
    q->deadline = uv_now(uc->loop) + QUERY_MS;
    q->next = uc->queries;
    if (q->next)
        q->next->prev = q;
    uc->queries = q;
    uc->n_queries++;
    dns_query(uc->dns, uc->data, len, query_answered, q);
}

/* Local flows that are idle, or whose shortcut is none any more. */
static void sweep_local(struct udp_capture *uc)
{
    uint64_t now = uv_now(uc->loop);
    struct shortcut way;
    struct flow *next;

    for (struct flow *f = uc->flows; f; f = next) {
        next = f->next;
        if (f->local &&
            (now - f->used > FLOW_IDLE_MS || !flow_find_local(f, &way)))
            flow_end(f);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct udp_capture *uc = timer->data;
    struct query *next;

    sweep_local(uc);

    for (struct query *q = uc->queries; q; q = next) {
        next = q->next;
        if (q->deadline > uv_now(uc->loop))
            continue;
        dns_cancel(uc->dns, q);
        query_free(q);
    }
}

/* --- the receivers ------------------------------------------------------ */

static void on_datagram(struct udp_capture *uc, size_t len,
                        const union sockaddr_any *app,
                        const union sockaddr_any *dst)
{
    struct flow *f;

    if (uc->dns && uc->dns_addr.sa.sa_family &&
        sockaddr_equal(&uc->dns_addr, dst)) {
        query_start(uc, len, app, dst);
        return;
    }
    if (!uc->set || !capture_set_contains(uc->set, dst))
        return; /* sent to the receiver itself, or by a forged mark */
    f = flow_find(uc, app, dst);
    if (!f)
        f = flow_create(uc, app, dst);
    if (f)
        flow_send(f, uc->data, len);
}

static void on_receiver(uv_poll_t *poll, int status, int events)
{
    struct receiver *r = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        union sockaddr_any app, dst;
        ssize_t n = transparent_recv(r->fd, r->uc->data, sizeof(r->uc->data),
                                     &app, &dst);

        if (n == -EAGAIN)
            return;
        if (n >= 0)
            on_datagram(r->uc, (size_t)n, &app, &dst);
    }
}

static int receiver_open(struct receiver *r, struct udp_capture *uc, int family)
{
    int rc;

    r->uc = uc;
    r->fd = transparent_listen(family, SOCK_DGRAM, &r->port);
    if (r->fd < 0) {
        rc = r->fd;
        r->fd = -1;
        return rc;
    }
    rc = uv_poll_init(uc->loop, &r->poll, r->fd);
    if (rc) {
        close(r->fd);
        r->fd = -1;
        return rc;
    }
    uc->handles++;
    r->poll.data = r;
    uv_poll_start(&r->poll, UV_READABLE, on_receiver);
    return 0;
}

/* --- the whole ---------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct udp_capture *uc = handle->data;

    uc->handles--;
    maybe_free(uc);
}

static void on_receiver_closed(uv_handle_t *handle)
{
    struct receiver *r = handle->data;

    close(r->fd);
    r->uc->handles--;
    maybe_free(r->uc);
}

struct udp_capture *udp_capture_create(uv_loop_t *loop, struct dns *dns,
                                       struct tp_error *err)
{
    struct udp_capture *uc = calloc(1, sizeof(*uc));
    int rc;

    if (!uc || flow_table_init(&uc->table) < 0) {
        free(uc);
        tp_error_errno(err, -ENOMEM, "UDP capture");
        return NULL;
    }
    uc->loop = loop;
    uc->dns = dns;
    uv_timer_init(loop, &uc->sweep);
    uc->sweep.data = uc;
    uc->handles = 1;
    uc->v6.fd = -1;
    rc = receiver_open(&uc->v4, uc, AF_INET);
    if (rc) {
        tp_error_errno(err, rc, "transparent UDP socket");
        udp_capture_destroy(uc);
        return NULL;
    }
    receiver_open(&uc->v6, uc, AF_INET6);
    uv_timer_start(&uc->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return uc;
}

void udp_capture_destroy(struct udp_capture *uc)
{
    struct flow *next;

    if (!uc)
        return;
    for (struct flow *f = uc->flows; f; f = next) {
        next = f->next;
        flow_end(f);
    }
    while (uc->queries) {
        dns_cancel(uc->dns, uc->queries);
        query_free(uc->queries);
    }
    if (uc->v4.fd >= 0)
        uv_close((uv_handle_t *)&uc->v4.poll, on_receiver_closed);
    if (uc->v6.fd >= 0)
        uv_close((uv_handle_t *)&uc->v6.poll, on_receiver_closed);
    uv_close((uv_handle_t *)&uc->sweep, on_timer_closed);
    uc->closing = true;
}

uint16_t udp_capture_port(const struct udp_capture *uc, int family)
{
    const struct receiver *r = family == AF_INET6 ? &uc->v6 : &uc->v4;

    return r->fd >= 0 ? r->port : 0;
}

void udp_capture_set_routes(struct udp_capture *uc,
                            const struct capture_set *set,
                            const struct vnat *vnat,
                            const union sockaddr_any *dns)
{
    uc->set = set;
    uc->vnat = vnat;
    uc->dns_addr = *dns;
}

void udp_capture_set_tunnel(struct udp_capture *uc, struct tunnel *t)
{
    uc->tunnel = t;
}

void udp_capture_set_shortcuts(struct udp_capture *uc,
                               const struct shortcuts *shortcuts)
{
    uc->shortcuts = *shortcuts;
}

unsigned udp_capture_flows(const struct udp_capture *uc)
{
    return (unsigned)uc->table.count;
}
