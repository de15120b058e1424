/*
 * udp_port.c - UDP listeners: all datagrams come in and all answers go out by
 * one socket of each family, the answers from the address that was asked
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/path_internal.h"
#include "net/pktinfo.h"

#define RECEIVE_BATCH 64

static void receive_cb(uv_poll_t *poll, int status, int events)
{
    struct receiver *r = poll->data;
    struct agent_path *p = r->port->path;

    (void)events;
    if (status < 0) /* an ICMP error, which the next call takes off */
        uv_poll_start(poll, UV_READABLE, receive_cb);
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        union sockaddr_any client, local;
        ssize_t n = pktinfo_recv(r->fd, p->pipes.scratch, PIPES_SCRATCH,
                                 &client, &local);

        if (n == -EAGAIN)
            return;
        if (n >= 0)
            flow_datagram(r, (size_t)n, &client, &local);
    }
}

static int open_family(struct port *port, int family, struct receiver *r)
{
    int fd = port_socket(port, family, SOCK_DGRAM);
    int rc = fd < 0 ? fd : pktinfo_enable(fd, family);

    if (rc == 0)
        rc = uv_poll_init(port->path->loop, &r->poll, fd);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    r->fd = fd;
    r->poll.data = r;
    path_hold(port->path);
    uv_poll_start(&r->poll, UV_READABLE, receive_cb);
    return 0;
}

int udp_port_open(struct port *port, struct tp_error *err)
{
    union sockaddr_any addr;
    socklen_t len = sizeof(addr);
    int rc = open_family(port, AF_INET, &port->udp4);

    if (rc < 0)
        return port_error(port, rc, err);
    if (getsockname(port->udp4.fd, &addr.sa, &len) == 0)
        port->config.listen = sockaddr_port(&addr);
    rc = open_family(port, AF_INET6, &port->udp6);
    if (rc < 0 && rc != -EAFNOSUPPORT && rc != -EADDRNOTAVAIL)
        return port_error(port, rc, err);
    return 0;
}

static void closed_cb(uv_handle_t *handle)
{
    struct receiver *r = handle->data;

    path_unhold(r->port->path);
}

static void receiver_close(struct receiver *r)
{
    if (r->fd < 0)
        return;
    uv_close((uv_handle_t *)&r->poll, closed_cb);
    close(r->fd);
    r->fd = -1;
}

void udp_port_close(struct port *port)
{
    receiver_close(&port->udp4);
    receiver_close(&port->udp6);
}
