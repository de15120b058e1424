/*
 * policy.h - what the manager dials for its users (SECURITY 2 and 3)
 *
 * The user chooses the address, the manager lends its place in the network. So:
 * only the cluster's subnets and what the administrator added; and within
 * these never the reserved addresses (loopback, link-local, multicast,
 * metadata services, forms of IPv6 that hide an IPv4 address), never a node
 * unless it is listed, never the manager itself, its Service or its replicas.
 * The address given is the address that is connected: nothing is resolved here.
 */
#ifndef TP_MANAGER_POLICY_H
#define TP_MANAGER_POLICY_H

#include "base/sockaddr.h"
#include "manager/subnets.h"

enum policy_verdict {
    POLICY_ALLOWED,
    POLICY_OUTSIDE,  /* in no allowed subnet */
    POLICY_RESERVED, /* never, whatever is configured */
    POLICY_NODE,     /* a node that is not listed */
    POLICY_SELF,     /* the manager's own addresses */
    POLICY_SCOPE,    /* in no namespace of the user's, see scope.h */
};
#define POLICY_VERDICTS (POLICY_SCOPE + 1)

struct policy {
    struct subnets reserved; /* policy_init() fills it; empty: all is denied */
    struct subnets allowed;
    struct subnets nodes;
    struct subnets node_exceptions;
    struct subnets self;
    struct subnets unscoped; /* outside the cluster: in no namespace */
};

/* Empty but for the reserved addresses. 0, or -ENOMEM with nothing to release.
 */
int policy_init(struct policy *p);
void policy_release(struct policy *p);

enum policy_verdict policy_check(const struct policy *p,
                                 const union sockaddr_any *addr);

/* For audit lines and metrics: "outside", "reserved", ... */
const char *policy_verdict_name(enum policy_verdict verdict);

#endif
