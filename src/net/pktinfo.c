#include "net/pktinfo.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int pktinfo_enable(int fd, int family)
{
    const int on = 1;
    int rc = family == AF_INET6
                 ? setsockopt(fd, SOL_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on))
                 : setsockopt(fd, SOL_IP, IP_PKTINFO, &on, sizeof(on));

    return rc < 0 ? -errno : 0;
}

static void get_destination(const struct cmsghdr *c, union sockaddr_any *to)
{
    if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;

        memcpy(&info, CMSG_DATA(c), sizeof(info));
        to->in4.sin_family = AF_INET;
        to->in4.sin_addr = info.ipi_spec_dst;
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;

        memcpy(&info, CMSG_DATA(c), sizeof(info));
        to->in6.sin6_family = AF_INET6;
        to->in6.sin6_addr = info.ipi6_addr;
    }
}

ssize_t pktinfo_recv(int fd, void *data, size_t len, union sockaddr_any *from,
                     union sockaddr_any *to)
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
    ssize_t n;

    memset(from, 0, sizeof(*from));
    memset(to, 0, sizeof(*to));
    n = recvmsg(fd, &msg, MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        get_destination(c, to);
    return n;
}

size_t pktinfo_put(struct cmsghdr *c, const union sockaddr_any *local)
{
    if (local->sa.sa_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = local->in6.sin6_addr};

        c->cmsg_level = SOL_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    struct in_pktinfo info = {.ipi_spec_dst = local->in4.sin_addr};

    c->cmsg_level = SOL_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    return CMSG_SPACE(sizeof(info));
}

int pktinfo_send(int fd, const void *data, size_t len,
                 const union sockaddr_any *local,
                 const union sockaddr_any *peer)
{
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

    msg.msg_controllen = pktinfo_put(&control.align, local);
    return sendmsg(fd, &msg, MSG_DONTWAIT) < 0 ? -errno : 0;
}
