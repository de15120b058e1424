/*
 * serve.c - until the connection is there the stream's user is a `struct
 * serving`; then the relay or the UDP flow takes over and only ended_cb is left
 */
#include "tunnel/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/socket.h"
#include "tunnel/relay.h"
#include "tunnel/udp.h"

struct serving {
    uv_loop_t *loop;
    const struct tunnel_serve_ops *ops;
    void *arg;
    struct tunnel_stream *stream;
    struct connect_op *op;
    bool eof; /* the peer has ended its direction without a byte */
};

static void finish(struct serving *v)
{
    if (v->ops->ended_cb)
        v->ops->ended_cb(v->arg);
    free(v);
}

static void tell(struct serving *v, int status)
{
    if (v->ops->dialled_cb)
        v->ops->dialled_cb(v->arg, status);
}

/* No local port is left towards that address, or no descriptor: what is told
 * the client is a limit, and its retransmit may find one. */
static int limit_error(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAGAIN || error == -ENFILE
               ? -EMFILE
               : error;
}

/* ---- sockets ---- */

static int set_options(int fd, const struct tunnel_serve_config *config)
{
    bool ipv6 = config->addr.sa.sa_family == AF_INET6;

    if (config->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &config->mark,
                                   sizeof(config->mark)) < 0)
        return -errno;
    if (config->tos && setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                  ipv6 ? IPV6_TCLASS : IP_TOS, &config->tos,
                                  sizeof(config->tos)) < 0)
        return -errno;
    return 0;
}

/* A negative errno if there is none. */
static int open_socket(const struct tunnel_serve_config *config, int type)
{
    int fd = socket(config->addr.sa.sa_family,
                    type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : set_options(fd, config);

    if (fd >= 0 && rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* ---- TCP ---- */

/* The peer went before the far end answered, or was refused. */
static void closed_cb(void *arg, int status)
{
    struct serving *v = arg;

    (void)status;
    if (v->op)
        connect_cancel(v->op);
    finish(v);
}

static void eof_cb(void *arg)
{
    struct serving *v = arg;

    v->eof = true;
}

static const struct tunnel_stream_ops waiting_ops = {
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)bytes_in;
    (void)bytes_out; /* the tunnel counts them too */
    finish(arg);
}

static void connected_cb(void *arg, int status, int fd)
{
    struct serving *v = arg;

    v->op = NULL;
    status = limit_error(status);
    tell(v, status);
    if (status < 0) {
        tunnel_stream_answer(v->stream, status); /* closed_cb() follows */
        return;
    }
    status = tunnel_stream_answer(v->stream, 0);
    if (status < 0) {
        socket_abort(fd);
        tunnel_stream_reset(v->stream, status);
        return;
    }
    if (v->eof) /* which the relay will not be told again */
        shutdown(fd, SHUT_WR);
    if (!relay_create(v->loop, fd, v->stream, relay_ended_cb, v))
        finish(v);
}

static int serve_tcp(struct serving *v,
                     const struct tunnel_serve_config *config)
{
    v->eof = config->eof;
    v->op =
        connect_start_fd(v->loop, open_socket(config, SOCK_STREAM),
                         &config->addr, config->timeout_ms, connected_cb, v);
    if (!v->op)
        return -ENOMEM;
    tunnel_stream_set_user(v->stream, &waiting_ops, v);
    return 0;
}

/* ---- UDP ---- */

static void flow_closed_cb(void *arg, int status)
{
    (void)status;
    finish(arg);
}

static const struct tunnel_udp_ops flow_ops = {.closed_cb = flow_closed_cb};

static int connect_udp(const struct tunnel_serve_config *config)
{
    const union sockaddr_any *addr = &config->addr;
    int fd = open_socket(config, SOCK_DGRAM);
    int rc;

    if (fd < 0 || connect(fd, &addr->sa, sockaddr_len(addr)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static int serve_udp(struct serving *v,
                     const struct tunnel_serve_config *config)
{
    int fd = limit_error(connect_udp(config));

    tell(v, fd < 0 ? fd : 0);
    if (fd < 0)
        return fd;
    if (!tunnel_udp_serve(v->loop, v->stream, fd, config->idle_ms, &flow_ops,
                          v))
        return -ENOMEM;
    return 0;
}

int tunnel_serve(uv_loop_t *loop, struct tunnel_stream *s,
                 const struct tunnel_serve_config *config,
                 const struct tunnel_serve_ops *ops, void *arg)
{
    struct serving *v = calloc(1, sizeof(*v));
    int rc;

    if (!v)
        return -ENOMEM;
    v->loop = loop;
    v->ops = ops;
    v->arg = arg;
    v->stream = s;
    rc = config->udp ? serve_udp(v, config) : serve_tcp(v, config);
    if (rc < 0)
        free(v);
    return rc;
}
