#include "manager/policy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* RFC 6890 and, where noted, what clouds put their metadata on. */
static const char *const reserved[] = {
    "0.0.0.0/8",          /* "this host": Linux connects it to loopback */
    "127.0.0.0/8",        /* loopback */
    "169.254.0.0/16",     /* link-local; metadata on most clouds */
    "224.0.0.0/4",        /* multicast */
    "240.0.0.0/4",        /* reserved and broadcast */
    "100.100.100.200/32", /* metadata: Alibaba */
    "168.63.129.16/32",   /* metadata: Azure */
    "192.0.0.192/32",     /* metadata: Oracle */
    "::/96",              /* unspecified, loopback, IPv4-compatible */
    "::ffff:0:0/96",      /* IPv4-mapped; checked as IPv4 before */
    "::ffff:0:0:0/96",    /* IPv4-translated, RFC 2765 */
    "64:ff9b::/96",       /* NAT64: could be any IPv4 address */
    "64:ff9b:1::/48",     /* NAT64, RFC 8215 */
    "2001::/32",          /* Teredo: likewise */
    "2002::/16",          /* 6to4: likewise */
    "fe80::/10",          /* link-local */
    "fec0::/10",          /* site-local, RFC 3879 */
    "ff00::/8",           /* multicast */
    "fd00:ec2::254/128",  /* metadata: AWS */
    "fd20:ce::254/128",   /* metadata: Google */
};

static const char *const verdict_names[] = {
    [POLICY_ALLOWED] = "allowed",   [POLICY_OUTSIDE] = "outside",
    [POLICY_RESERVED] = "reserved", [POLICY_NODE] = "node",
    [POLICY_SELF] = "self",         [POLICY_SCOPE] = "namespace",
};
static_assert(sizeof(verdict_names) / sizeof(*verdict_names) == POLICY_VERDICTS,
              "one name for each verdict");

int policy_init(struct policy *p)
{
    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        int rc = subnets_add_text(&p->reserved, reserved[i]);

        assert(rc != -EINVAL); /* the table above is at fault */
        if (rc < 0) {
            policy_release(p);
            return rc;
        }
    }
    subnets_merge(&p->reserved);
    return 0;
}

void policy_release(struct policy *p)
{
    subnets_release(&p->reserved);
    subnets_release(&p->allowed);
    subnets_release(&p->nodes);
    subnets_release(&p->node_exceptions);
    subnets_release(&p->self);
    subnets_release(&p->unscoped);
}

enum policy_verdict policy_check(const struct policy *p,
                                 const union sockaddr_any *addr)
{
    union sockaddr_any a = *addr;

    sockaddr_unmap(&a);
    if (a.sa.sa_family != AF_INET && a.sa.sa_family != AF_INET6)
        return POLICY_RESERVED;
    if (sockaddr_port(&a) == 0 || p->reserved.count == 0 ||
        subnets_contain(&p->reserved, &a))
        return POLICY_RESERVED;
    if (subnets_contain(&p->self, &a))
        return POLICY_SELF;
    if (subnets_contain(&p->nodes, &a))
        return subnets_contain(&p->node_exceptions, &a) ? POLICY_ALLOWED
                                                        : POLICY_NODE;
    if (subnets_contain(&p->node_exceptions, &a))
        return POLICY_ALLOWED;
    return subnets_contain(&p->allowed, &a) ? POLICY_ALLOWED : POLICY_OUTSIDE;
}

const char *policy_verdict_name(enum policy_verdict verdict)
{
    return verdict_names[verdict];
}
