#include "daemon/route.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "daemon/datapath_marks.h"
#include "daemon/netlink.h"

#define MSG_MAX 512

/* rtnetlink(7), linux/fib_rules.h */
static int change_rule(int family, uint16_t type, uint16_t flags)
{
    char buf[MSG_MAX];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
    struct fib_rule_hdr *rule;

    nlh->nlmsg_type = type;
    nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    nlh->nlmsg_seq = 1;
    rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
    rule->family = (uint8_t)family;
    rule->action = FR_ACT_TO_TBL;
    rule->table = RT_TABLE_UNSPEC; /* > 255: in FRA_TABLE */
    mnl_attr_put_u32(nlh, FRA_FWMARK, DATAPATH_MARK_CAPTURE);
    mnl_attr_put_u32(nlh, FRA_FWMASK, 0xffffffffu);
    mnl_attr_put_u32(nlh, FRA_TABLE, DATAPATH_ROUTE_TABLE);
    mnl_attr_put_u32(nlh, FRA_PRIORITY, DATAPATH_RULE_PRIORITY);
    mnl_attr_put_u8(nlh, FRA_PROTOCOL, DATAPATH_ROUTE_PROTO);
    return netlink_request(NETLINK_ROUTE, nlh, nlh->nlmsg_len, 1);
}

static int change_route(int family, uint16_t type, uint16_t flags)
{
    char buf[MSG_MAX];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
    struct rtmsg *rt;
    unsigned lo = if_nametoindex("lo");

    if (!lo)
        return -ENODEV;
    nlh->nlmsg_type = type;
    nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    nlh->nlmsg_seq = 1;
    rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
    rt->rtm_family = (uint8_t)family;
    rt->rtm_table = RT_TABLE_UNSPEC; /* > 255: in RTA_TABLE */
    rt->rtm_protocol = DATAPATH_ROUTE_PROTO;
    rt->rtm_type = RTN_LOCAL;
    rt->rtm_scope = RT_SCOPE_HOST;
    mnl_attr_put_u32(nlh, RTA_TABLE, DATAPATH_ROUTE_TABLE);
    mnl_attr_put_u32(nlh, RTA_OIF, lo);
    return netlink_request(NETLINK_ROUTE, nlh, nlh->nlmsg_len, 1);
}

static const char *family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : "IPv4";
}

int route_install(int family, struct tp_error *err)
{
    int rc = change_route(family, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);

    if (rc)
        return tp_error_errno(err, rc, "%s route to lo", family_name(family));
    rc = change_rule(family, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
    if (rc && rc != -EEXIST)
        return tp_error_errno(err, rc, "%s routing rule", family_name(family));
    return 0;
}

static bool is_absent(int rc)
{
    return rc == -ENOENT || rc == -ESRCH || rc == -ENODEV ||
           rc == -EAFNOSUPPORT;
}

int route_remove(int family, struct tp_error *err)
{
    int rule = change_rule(family, RTM_DELRULE, 0);
    int route = change_route(family, RTM_DELROUTE, 0);

    if (rule && !is_absent(rule))
        return tp_error_errno(err, rule, "%s routing rule",
                              family_name(family));
    if (route && !is_absent(route))
        return tp_error_errno(err, route, "%s route to lo",
                              family_name(family));
    return 0;
}
