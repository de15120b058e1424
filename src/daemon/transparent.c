#include "daemon/transparent.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "daemon/datapath_marks.h"
#include "net/pktinfo.h"

#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR IPV6_RECVORIGDSTADDR
#endif

#define RECEIVE_BUFFER (4 << 20)

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int want_destinations(int family, int fd)
{
    set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    return family == AF_INET6 ? set_int(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1)
                              : set_int(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);
}

/* Binds before it becomes transparent: a transparent socket can be bound to
 * ::1 also where IPv6 is disabled. */
static int bind_loopback(int family, int fd, uint16_t *port)
{
    union sockaddr_any addr;
    socklen_t len = sizeof(addr);

    sockaddr_parse(&addr, family == AF_INET6 ? "::1" : "127.0.0.1", 0);
    if (bind(fd, &addr.sa, sockaddr_len(&addr)) < 0 ||
        getsockname(fd, &addr.sa, &len) < 0)
        return -errno;
    *port = sockaddr_port(&addr);
    return 0;
}

static int make_transparent(int family, int fd)
{
    int rc = family == AF_INET6 ? set_int(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
                                : set_int(fd, SOL_IP, IP_TRANSPARENT, 1);

    if (rc)
        return rc;
    return set_int(fd, SOL_SOCKET, SO_MARK, (int)DATAPATH_BYPASS_MARK);
}

/* The way to the client is the loopback device. An algorithm that paces (BBR)
 * costs a timer for each burst there and gains nothing; Reno is in every
 * kernel. Accepted sockets inherit it. */
static void choose_congestion_control(int fd)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
}

int transparent_listen(int family, int type, uint16_t *port)
{
    cleanup_close int fd =
        socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc, out;

    if (fd < 0)
        return -errno;
    rc = bind_loopback(family, fd, port);
    if (!rc)
        rc = make_transparent(family, fd);
    if (!rc && type == SOCK_DGRAM)
        rc = want_destinations(family, fd);
    if (type == SOCK_STREAM)
        choose_congestion_control(fd);
    if (!rc && type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
        rc = -errno;
    if (rc)
        return rc;
    out = fd;
    fd = -1;
    return out;
}

static bool is_destination(const struct cmsghdr *c)
{
    return (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
           (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR);
}

ssize_t transparent_recv(int fd, void *data, size_t len,
                         union sockaddr_any *from, union sockaddr_any *to)
{
    union {
        char buf[256];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_name = from,
                         .msg_namelen = sizeof(*from),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof(control.buf)};
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

    if (n < 0)
        return -errno;
    memset(to, 0, sizeof(*to));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t size = c->cmsg_len - CMSG_LEN(0);

        if (is_destination(c) && size <= sizeof(*to))
            memcpy(to, CMSG_DATA(c), size);
    }
    return n;
}

int transparent_send_as(int fd, const void *data, size_t len,
                        const union sockaddr_any *local,
                        const union sockaddr_any *peer)
{
    const uint32_t mark = DATAPATH_MARK_SPORT | sockaddr_port(local);
    union {
        char buf[128];
        struct cmsghdr align;
    } control = {.buf = {0}};
    union sockaddr_any to = *peer;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr msg = {.msg_name = &to,
                         .msg_namelen = sockaddr_len(peer),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf};
    size_t used = pktinfo_put(&control.align, local);
    struct cmsghdr *c = (struct cmsghdr *)(void *)(control.buf + used);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SO_MARK;
    c->cmsg_len = CMSG_LEN(sizeof(mark));
    memcpy(CMSG_DATA(c), &mark, sizeof(mark));
    msg.msg_controllen = used + CMSG_SPACE(sizeof(mark));
    return sendmsg(fd, &msg, MSG_DONTWAIT) < 0 ? -errno : 0;
}
