/* The UDP echo: each datagram goes back from the address that it came to. */
#include "app.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* More than the largest datagram. */
#define DATAGRAM_SIZE 65536

union control {
    char space[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
               CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
};

/* The answer leaves by whatever interface the routes say. */
static void forget_interface(struct msghdr *message)
{
    struct cmsghdr *c;
    for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
            ((struct in6_pktinfo *)(void *)CMSG_DATA(c))->ipi6_ifindex = 0;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
            ((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
    }
}

static void echo_one(int fd, char *buffer)
{
    struct sockaddr_storage peer;
    union control control;
    struct iovec data = {buffer, DATAGRAM_SIZE};
    struct msghdr message = {
        .msg_name = &peer,
        .msg_namelen = sizeof(peer),
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &message, 0);
    if (got < 0)
        return;
    data.iov_len = (size_t)got;
    forget_interface(&message);
    sendmsg(fd, &message, 0);
}

static void *echo_all(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char *buffer = malloc(DATAGRAM_SIZE);
    if (!buffer)
        fail("malloc");
    for (;;)
        echo_one(fd, buffer);
    return NULL;
}

void udp_start(uint16_t port)
{
    int fd = net_listen(SOCK_DGRAM, port), on = 1, large = 4 * 1024 * 1024;
    /* Only one of the two applies to the socket's family. */
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
    if (start_thread(echo_all, (void *)(intptr_t)fd) < 0)
        fail("pthread_create");
}
