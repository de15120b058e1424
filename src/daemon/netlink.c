#include "daemon/netlink.h"

#include <errno.h>
#include <stdint.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

/* The ack of one message: 0 or its error; other types say nothing. */
static int ack_error(const struct nlmsghdr *nlh)
{
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

    if (nlh->nlmsg_type != NLMSG_ERROR ||
        mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
        return 0;
    return e->error < 0 ? e->error : 0;
}

static int read_acks(struct mnl_socket *nl, unsigned last_seq)
{
    char buf[8192]; /* MNL_SOCKET_BUFFER_SIZE is not a constant */
    int rc = 0;

    for (;;) {
        ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
        const struct nlmsghdr *nlh = (const void *)buf;
        int len = (int)n;

        if (n < 0)
            return rc ? rc : errno == EAGAIN ? -ETIMEDOUT : -errno;
        for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
            if (!rc)
                rc = ack_error(nlh);
            if (nlh->nlmsg_type == NLMSG_ERROR && nlh->nlmsg_seq == last_seq)
                return rc;
        }
        /* A refused batch of nftables is acknowledged up to its error. */
        if (rc)
            return rc;
    }
}

int netlink_request(int family, const void *msgs, size_t len, unsigned last_seq)
{
    const struct timeval limit = {.tv_sec = 5};
    struct mnl_socket *nl = mnl_socket_open2(family, SOCK_CLOEXEC);
    int rc;

    if (!nl)
        return -errno;
    if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &limit,
                   sizeof(limit)) < 0 ||
        mnl_socket_sendto(nl, msgs, len) < 0)
        rc = -errno;
    else
        rc = read_acks(nl, last_seq);
    mnl_socket_close(nl);
    return rc;
}
