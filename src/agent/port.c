/*
 * port.c - TCP listeners; where a connection was meant to go
 *
 * One listener for each family, because SO_ORIGINAL_DST knows nothing of IPv4
 * on IPv6 sockets. In redirect mode only connections that the rules brought
 * here are served: one to the listener itself would lead to the listener again.
 */
#include <errno.h>
#include <netinet/in.h> /* before the kernel's headers */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/path_internal.h"
#include "net/socket.h"

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* A client that vanished would be held for ever: the app's own keep-alive ends
 * at the agent. Accepted sockets inherit all of these. */
static void set_tcp_options(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 20);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

int port_socket(const struct port *port, int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    union sockaddr_any any;
    int rc;

    if (fd < 0)
        return -errno;
    if (type == SOCK_STREAM) {
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_tcp_options(fd);
    }
    if (family == AF_INET6)
        set_int(fd, SOL_IPV6, IPV6_V6ONLY, 1);
    sockaddr_parse(&any, family == AF_INET6 ? "::" : "0.0.0.0",
                   port->config.listen);
    if (bind(fd, &any.sa, sockaddr_len(&any)) == 0 &&
        (type != SOCK_STREAM || listen(fd, SOMAXCONN) == 0))
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

int port_error(const struct port *port, int rc, struct tp_error *err)
{
    const struct agent_port_config *c = &port->config;
    const char *protocol = c->udp ? "UDP" : "TCP";

    if (rc == -EACCES && c->listen < 1024)
        return tp_error_set(
            err, rc,
            "%s port %u of container %s: ports below 1024 need a kernel "
            "setting (net.ipv4.ip_unprivileged_port_start) or a capability, "
            "and the agent has neither",
            protocol, c->listen, c->container);
    return tp_error_errno(err, rc, "%s port %u: listen on %u", protocol,
                          c->port, c->listen);
}

/* ---- where to --------------------------------------------------------------
 */

static bool original_destination(int fd, int family, union sockaddr_any *addr)
{
    socklen_t len = sizeof(*addr);
    int rc;

    memset(addr, 0, sizeof(*addr));
    if (family == AF_INET6)
        rc = getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, addr, &len);
    else
        rc = getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, addr, &len);
    return rc == 0 && addr->sa.sa_family == family;
}

static bool meant_for(const struct port *port, int fd, int family,
                      union sockaddr_any *addr)
{
    if (port->probe || port->config.mode != PORT_REDIRECT)
        return path_app_address(port, family, addr);
    return original_destination(fd, family, addr) &&
           sockaddr_port(addr) == port->config.port &&
           port->config.port != port->config.listen;
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct port *port = arg;
    union sockaddr_any app = {.sa.sa_family = AF_UNSPEC};

    port->conns++;
    /* Replaced and not engaged: nobody is there; conn_start() finds out. */
    if (!meant_for(port, fd, peer->sa.sa_family, &app) &&
        port->config.mode != PORT_DIRECT) {
        port->path->stats.refused++;
        socket_abort(fd);
        return;
    }
    conn_start(port, fd, &app);
}

/* ---- life ------------------------------------------------------------------
 */

static int open_family(struct port *port, int family, struct listener **l,
                       struct tp_error *err)
{
    int fd = port_socket(port, family, SOCK_STREAM);

    if (fd < 0)
        return port_error(port, fd, err);
    *l = listener_create_fd(port->path->loop, fd, accept_cb, port, err);
    return *l ? 0 : -ENOMEM;
}

int port_open(struct port *port, struct tp_error *err)
{
    union sockaddr_any addr;
    int rc;

    if (port->config.udp)
        return udp_port_open(port, err);
    rc = open_family(port, AF_INET, &port->v4, err);
    if (rc < 0)
        return rc;
    listener_get_addr(port->v4, &addr);
    port->config.listen = sockaddr_port(&addr);
    rc = open_family(port, AF_INET6, &port->v6, err);
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        rc = 0; /* a namespace without IPv6 */
    return rc;
}

void port_close(struct port *port)
{
    listener_close(port->v4);
    listener_close(port->v6);
    port->v4 = port->v6 = NULL;
    udp_port_close(port);
}
