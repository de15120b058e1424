#include "daemon/route_list.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "daemon/datapath_marks.h"

struct dump {
    struct subnet_list *list;
    unsigned lo;
    int error;
};

/* A route's destination; false: it is none that matters. */
static bool read_route(const struct nlmsghdr *nlh, unsigned lo,
                       struct subnet *net)
{
    const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
    const struct nlattr *attr;
    uint32_t table = rt->rtm_table, out = 0;
    unsigned width = rt->rtm_family == AF_INET6 ? 16 : 4;

    memset(net, 0, sizeof(*net));
    net->family = rt->rtm_family;
    net->prefix = rt->rtm_dst_len;
    for (attr = mnl_nlmsg_get_payload_offset(nlh, sizeof(*rt));
         mnl_attr_ok(attr, (int)((const char *)mnl_nlmsg_get_payload_tail(nlh) -
                                 (const char *)attr));
         attr = mnl_attr_next(attr)) {
        unsigned type = mnl_attr_get_type(attr);

        if (type == RTA_TABLE)
            table = mnl_attr_get_u32(attr);
        else if (type == RTA_OIF)
            out = mnl_attr_get_u32(attr);
        else if (type == RTA_DST && mnl_attr_get_payload_len(attr) == width)
            memcpy(net->addr, mnl_attr_get_payload(attr), width);
    }
    return rt->rtm_type == RTN_UNICAST && table != RT_TABLE_LOCAL &&
           table != DATAPATH_ROUTE_TABLE && out != lo &&
           net->prefix >= (width == 4 ? ROUTE_MIN_V4 : ROUTE_MIN_V6) &&
           net->prefix <= width * 8 && !subnet_is_link_local(net);
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
    struct dump *d = data;
    struct subnet net;
    int rc;

    if (nlh->nlmsg_type != RTM_NEWROUTE ||
        mnl_nlmsg_get_payload_len(nlh) < sizeof(struct rtmsg) ||
        !read_route(nlh, d->lo, &net))
        return MNL_CB_OK;
    rc = subnet_list_add(d->list, &net);
    if (rc < 0 && rc != -ENOBUFS) /* more than that: the first ones count */
        d->error = rc;
    return MNL_CB_OK;
}

static int ask(struct mnl_socket *nl, int family, unsigned seq)
{
    char buf[256];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
    struct rtmsg *rt;

    nlh->nlmsg_type = RTM_GETROUTE;
    nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    nlh->nlmsg_seq = seq;
    rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
    rt->rtm_family = (uint8_t)family;
    return mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

static int dump(struct mnl_socket *nl, int family, unsigned seq, struct dump *d)
{
    char buf[32768];
    int rc = ask(nl, family, seq);

    while (rc == 0) {
        ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        rc = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl),
                        on_route, d);
        if (rc < 0)
            return -errno;
        if (rc == MNL_CB_STOP)
            return d->error;
        rc = 0;
    }
    return rc;
}

int route_list_read(struct subnet_list *list, struct tp_error *err)
{
    const struct timeval limit = {.tv_sec = 5};
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    struct dump d = {.list = list, .lo = if_nametoindex("lo")};
    int rc;

    if (!nl)
        return tp_error_errno(err, -errno, "routes");
    if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &limit,
                   sizeof(limit)) < 0)
        rc = -errno;
    else
        rc = dump(nl, AF_INET, 1, &d);
    if (rc == 0)
        rc = dump(nl, AF_INET6, 2, &d);
    if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP)
        rc = 0; /* no IPv6 in this kernel */
    mnl_socket_close(nl);
    return rc < 0 ? tp_error_errno(err, rc, "routes") : 0;
}
