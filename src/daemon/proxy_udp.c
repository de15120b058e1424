/*
 * proxy_udp.c - UDP ASSOCIATE (RFC 1928 4, 7)
 *
 * All associations share one port, the published one. A datagram belongs to the
 * association whose client it comes from: the first unknown address that sends
 * with the same IP address as an association's TCP connection becomes its
 * client's, as docker-proxy gives datagrams another port than the client has. A
 * client that was silent for a minute may come back with another port.
 *
 * Each association has a socket of a family, without a mark; answers go to its
 * client, whoever they come from: only captured addresses can answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/proxy_internal.h"
#include "daemon/proxy_lookup.h"
#include "net/socks5.h"

#define DATAGRAM_MAX 65536
#define BATCH        64
#define SILENT_MS    60000 /* docker-proxy forgets a client after 90 s */
#define LOOKUPS_MAX  16    /* of an association at a time; then a loss */
#define FAMILIES     2

struct assoc_socket {
    struct proxy_assoc *a;
    uv_poll_t poll;
    int fd;
};

/* A datagram for a name. */
struct assoc_lookup {
    LIST_ENTRY(assoc_lookup) entry;
    struct proxy_assoc *a;
    struct proxy_lookup *lookup;
    uint16_t port;
    size_t len;
    uint8_t data[];
};

struct proxy_assoc {
    LIST_ENTRY(proxy_assoc) entry;
    struct proxy_udp *u;
    union sockaddr_any peer;   /* of the TCP connection */
    union sockaddr_any client; /* family 0: has not sent yet */
    uint64_t heard_ms;
    struct assoc_socket sockets[FAMILIES];
    LIST_HEAD(, assoc_lookup) lookups;
    unsigned n_lookups;
    unsigned handles;
    bool closing;
};

struct proxy_udp {
    struct proxy *p;
    uv_poll_t poll;
    int fd, family;
    LIST_HEAD(, proxy_assoc) assocs;
    unsigned count;
    uint8_t data[SOCKS5_HEAD_MAX + DATAGRAM_MAX];
};

/* ---- the association's own sockets ---- */

static void send_to_client(struct proxy_assoc *a, const uint8_t *data,
                           size_t len)
{
    union sockaddr_any to = a->client;

    if (a->u->family == AF_INET6 && to.sa.sa_family == AF_INET) {
        struct in_addr v4 = to.in4.sin_addr;
        in_port_t port = to.in4.sin_port;

        memset(&to, 0, sizeof(to));
        to.in6.sin6_family = AF_INET6;
        to.in6.sin6_port = port;
        to.in6.sin6_addr.s6_addr[10] = to.in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to.in6.sin6_addr.s6_addr[12], &v4, sizeof(v4));
    }
    (void)sendto(a->u->fd, data, len, MSG_DONTWAIT, &to.sa, sockaddr_len(&to));
}

static void answer_cb(uv_poll_t *poll, int status, int events)
{
    struct assoc_socket *s = poll->data;
    uint8_t *body = s->a->u->data + SOCKS5_HEAD_MAX;

    (void)events;
    if (status < 0) /* an ICMP error of some destination */
        uv_poll_start(poll, UV_READABLE, answer_cb);
    for (int i = 0; i < BATCH; i++) {
        union sockaddr_any from = {0};
        uint8_t head[SOCKS5_HEAD_MAX];
        socklen_t size = sizeof(from);
        ssize_t n =
            recvfrom(s->fd, body, DATAGRAM_MAX, MSG_DONTWAIT, &from.sa, &size);
        size_t len;

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 || !proxy_may_reach(s->a->u->p, &from))
            continue;
        len = socks5_put_datagram(head, &from);
        memcpy(body - len, head, len);
        send_to_client(s->a, body - len, len + (size_t)n);
    }
}

static struct assoc_socket *get_socket(struct proxy_assoc *a, int family)
{
    struct assoc_socket *s = &a->sockets[family == AF_INET6];

    if (s->fd >= 0)
        return s;
    s->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return NULL;
    if (uv_poll_init(a->u->p->env.loop, &s->poll, s->fd) < 0) {
        close(s->fd);
        s->fd = -1;
        return NULL;
    }
    s->a = a;
    s->poll.data = s;
    a->handles++;
    uv_poll_start(&s->poll, UV_READABLE, answer_cb);
    return s;
}

static void send_to(struct proxy_assoc *a, const union sockaddr_any *to,
                    const void *data, size_t len)
{
    struct assoc_socket *s =
        proxy_may_reach(a->u->p, to) ? get_socket(a, to->sa.sa_family) : NULL;

    if (s)
        (void)sendto(s->fd, data, len, MSG_DONTWAIT, &to->sa, sockaddr_len(to));
}

/* ---- names ---- */

static void drop_lookup(struct assoc_lookup *l)
{
    LIST_REMOVE(l, entry);
    l->a->n_lookups--;
    free(l);
}

static void found_cb(void *arg, int status, const union sockaddr_any *addrs,
                     size_t n)
{
    struct assoc_lookup *l = arg;

    (void)status;
    for (size_t i = 0; i < n; i++) {
        union sockaddr_any to = addrs[i];

        sockaddr_set_port(&to, l->port);
        if (!proxy_may_reach(l->a->u->p, &to))
            continue;
        send_to(l->a, &to, l->data, l->len);
        break;
    }
    drop_lookup(l);
}

static void look_up(struct proxy_assoc *a, const struct socks5_target *target,
                    const void *data, size_t len)
{
    struct proxy *p = a->u->p;
    struct assoc_lookup *l =
        a->n_lookups < LOOKUPS_MAX ? calloc(1, sizeof(*l) + len) : NULL;

    if (!l)
        return;
    l->a = a;
    l->port = target->port;
    l->len = len;
    memcpy(l->data, data, len);
    l->lookup =
        proxy_lookup_start(p->env.loop, p->env.dns, target->host,
                           proxy_namespace(p), proxy_domain(p), found_cb, l);
    if (!l->lookup) {
        free(l);
        return;
    }
    LIST_INSERT_HEAD(&a->lookups, l, entry);
    a->n_lookups++;
}

/* ---- from the client ---- */

static bool is_ip(const union sockaddr_any *a, const union sockaddr_any *b)
{
    union sockaddr_any x = *a;

    sockaddr_set_port(&x, sockaddr_port(b));
    return sockaddr_equal(&x, b);
}

/* The association of a client, or the oldest that has none (the list has the
 * newest first). */
static struct proxy_assoc *find(struct proxy_udp *u,
                                const union sockaddr_any *from)
{
    uint64_t now = uv_now(u->p->env.loop);
    struct proxy_assoc *a, *free_one = NULL;

    LIST_FOREACH(a, &u->assocs, entry)
    {
        bool silent = !a->client.sa.sa_family || now - a->heard_ms > SILENT_MS;

        if (a->client.sa.sa_family && sockaddr_equal(&a->client, from)) {
            a->heard_ms = now;
            return a;
        }
        if (silent && is_ip(&a->peer, from))
            free_one = a;
    }
    if (free_one) {
        free_one->client = *from;
        free_one->heard_ms = now;
    }
    return free_one;
}

static void take(struct proxy_udp *u, const union sockaddr_any *from,
                 const uint8_t *data, size_t len)
{
    struct proxy_assoc *a = find(u, from);
    struct socks5_target target;
    union sockaddr_any to;
    int head = a ? socks5_parse_datagram(data, len, &target) : -ENOENT;

    if (head < 0 || target.port == 0)
        return;
    data += head;
    len -= (size_t)head;
    if (sockaddr_parse(&to, target.host, target.port) < 0) {
        look_up(a, &target, data, len);
        return;
    }
    sockaddr_unmap(&to);
    send_to(a, &to, data, len);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct proxy_udp *u = poll->data;

    (void)events;
    if (status < 0)
        uv_poll_start(poll, UV_READABLE, poll_cb);
    for (int i = 0; i < BATCH; i++) {
        union sockaddr_any from = {0};
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(u->fd, u->data, sizeof(u->data), MSG_DONTWAIT,
                             &from.sa, &size);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            continue;
        sockaddr_unmap(&from);
        take(u, &from, u->data, (size_t)n);
    }
}

/* ---- life ---- */

static void assoc_closed_cb(uv_handle_t *handle)
{
    struct proxy_assoc *a = ((struct assoc_socket *)handle->data)->a;

    if (--a->handles == 0)
        free(a);
}

void proxy_assoc_destroy(struct proxy_assoc *a)
{
    struct assoc_lookup *l;

    while ((l = LIST_FIRST(&a->lookups))) {
        proxy_lookup_cancel(l->lookup);
        drop_lookup(l);
    }
    LIST_REMOVE(a, entry);
    a->u->count--;
    for (int i = 0; i < FAMILIES; i++) {
        if (a->sockets[i].fd < 0)
            continue;
        uv_close((uv_handle_t *)&a->sockets[i].poll, assoc_closed_cb);
        close(a->sockets[i].fd);
    }
    if (a->handles == 0)
        free(a);
}

struct proxy_assoc *proxy_assoc_create(struct proxy_udp *u,
                                       const union sockaddr_any *peer)
{
    struct proxy_assoc *a =
        u->count < PROXY_ASSOC_MAX ? calloc(1, sizeof(*a)) : NULL;

    if (!a)
        return NULL;
    a->u = u;
    a->peer = *peer;
    for (int i = 0; i < FAMILIES; i++)
        a->sockets[i].fd = -1;
    LIST_INSERT_HEAD(&u->assocs, a, entry);
    u->count++;
    return a;
}

static void closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

/* One for both families, if the namespace has IPv6. */
static int open_port(struct proxy_udp *u, int family, uint16_t port)
{
    union sockaddr_any addr;
    int zero = 0, rc;

    u->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0)
        return -errno;
    u->family = family;
    sockaddr_parse(&addr, family == AF_INET6 ? "::" : "0.0.0.0", port);
    if (family == AF_INET6)
        (void)setsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(u->fd, &addr.sa, sockaddr_len(&addr)) == 0)
        return 0;
    rc = -errno;
    close(u->fd);
    return rc;
}

struct proxy_udp *proxy_udp_create(struct proxy *p, uint16_t port,
                                   struct tp_error *err)
{
    struct proxy_udp *u = calloc(1, sizeof(*u));
    int rc = u ? open_port(u, AF_INET6, port) : -ENOMEM;

    if (u && rc < 0 && rc != -EADDRINUSE)
        rc = open_port(u, AF_INET, port);
    if (rc == 0) {
        rc = uv_poll_init(p->env.loop, &u->poll, u->fd);
        if (rc < 0)
            close(u->fd);
    }
    if (rc < 0) {
        free(u);
        tp_error_errno(err, rc, "UDP port %u", port);
        return NULL;
    }
    u->p = p;
    u->poll.data = u;
    uv_poll_start(&u->poll, UV_READABLE, poll_cb);
    return u;
}

void proxy_udp_destroy(struct proxy_udp *u)
{
    if (!u)
        return;
    uv_close((uv_handle_t *)&u->poll, closed_cb);
    close(u->fd);
}
