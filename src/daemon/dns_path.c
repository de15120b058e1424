/*
 * The ways of a query by UDP. An upstream path is a connected socket, so that
 * the kernel drops what others send; a cluster path is a flow in the tunnel.
 * A path is opened when it is first needed and again after it failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/dns_internal.h"

struct dns_socket {
    uv_udp_t udp; /* first: freed through its handle */
    struct dns_path *path;
    uint8_t buffer[DNS_MAX_MSG];
};

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static void close_path(struct dns_path *p)
{
    if (p->socket)
        uv_close((uv_handle_t *)&p->socket->udp, free_handle_cb);
    p->socket = NULL;
    if (p->flow)
        tunnel_udp_close(p->flow);
    p->flow = NULL;
}

void dns_path_close_cluster(struct dns *d)
{
    for (size_t i = 0; i < DNS_PATHS; i++)
        close_path(&d->cluster_paths[i]);
}

void dns_path_close_all(struct dns *d)
{
    dns_path_close_cluster(d);
    for (size_t s = 0; s < DNS_MAX_UPSTREAM; s++) {
        for (size_t i = 0; i < DNS_PATHS; i++)
            close_path(&d->upstream_paths[s][i]);
    }
}

int dns_mark_socket(const struct dns *d, int fd)
{
    if (d->mark &&
        setsockopt(fd, SOL_SOCKET, SO_MARK, &d->mark, sizeof(d->mark)) < 0)
        return -errno;
    return 0;
}

static void datagram_cb(void *arg, const void *data, size_t len)
{
    struct dns_path *p = arg;

    dns_udp_input(p->d, DNS_CLUSTER, data, len);
}

/* Queries of the flow are sent again by their own time. */
static void flow_closed_cb(void *arg, int status)
{
    struct dns_path *p = arg;

    (void)status;
    p->flow = NULL;
}

static const struct tunnel_udp_ops flow_ops = {
    .datagram_cb = datagram_cb,
    .closed_cb = flow_closed_cb,
};

int dns_path_send_cluster(struct dns *d, unsigned hint, const void *msg,
                          size_t len)
{
    struct dns_path *p = &d->cluster_paths[hint % DNS_PATHS];

    if (!d->tunnel)
        return -ENOTCONN;
    if (!p->flow) {
        p->d = d;
        p->flow = tunnel_udp_open(d->tunnel, &d->cluster, DNS_FLOW_IDLE_MS,
                                  &flow_ops, p);
        if (!p->flow)
            return errno ? -errno : -ENOMEM;
    }
    return tunnel_udp_send(p->flow, msg, len);
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct dns_socket *s = (struct dns_socket *)handle;

    (void)suggested;
    *buf = uv_buf_init((char *)s->buffer, sizeof(s->buffer));
}

static void recv_cb(uv_udp_t *handle, ssize_t n, const uv_buf_t *buf,
                    const struct sockaddr *from, unsigned flags)
{
    struct dns_socket *s = (struct dns_socket *)handle;

    if (n < 0)
        close_path(s->path); /* refused: a new socket the next time */
    else if (from && !(flags & UV_UDP_PARTIAL))
        dns_udp_input(s->path->d, DNS_UPSTREAM, (const uint8_t *)buf->base,
                      (size_t)n);
}

static int open_socket(struct dns *d, const union sockaddr_any *to)
{
    int fd =
        socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = dns_mark_socket(d, fd);
    if (rc == 0 && connect(fd, &to->sa, sockaddr_len(to)) < 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static int open_upstream(struct dns *d, struct dns_path *p,
                         const union sockaddr_any *to)
{
    struct dns_socket *s = calloc(1, sizeof(*s));
    int fd;

    if (!s)
        return -ENOMEM;
    fd = open_socket(d, to);
    if (fd < 0 || uv_udp_init(d->loop, &s->udp) < 0) {
        free(s);
        return fd < 0 ? fd : -ENOMEM;
    }
    p->d = d;
    p->socket = s;
    s->path = p;
    if (uv_udp_open(&s->udp, fd) < 0) {
        close(fd);
        close_path(p);
        return -EIO;
    }
    uv_udp_recv_start(&s->udp, alloc_cb, recv_cb);
    return 0;
}

int dns_path_send_upstream(struct dns *d, size_t server, unsigned hint,
                           const void *msg, size_t len)
{
    struct dns_path *p = &d->upstream_paths[server][hint % DNS_PATHS];
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)msg, (unsigned)len);
    int rc;

    if (!p->socket) {
        rc = open_upstream(d, p, &d->upstream[server]);
        if (rc < 0)
            return rc;
    }
    rc = uv_udp_try_send(&p->socket->udp, &buf, 1, NULL);
    if (rc < 0 && rc != UV_EAGAIN)
        close_path(p);
    return rc < 0 ? rc : 0;
}
