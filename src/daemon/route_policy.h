/*
 * route_policy.h - which subnets the cluster may take over (SECURITY 18)
 *
 * What a manager announces is a wish: nothing that would take the developer's
 * own network away is captured. The session reports what was refused and why,
 * and what is only reached by virtual addresses (vnat.h) for that reason.
 */
#ifndef TP_DAEMON_ROUTE_POLICY_H
#define TP_DAEMON_ROUTE_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/sockaddr.h"

struct subnet_list {
    struct subnet *nets;
    size_t n;
};

#define SUBNET_LIST_MAX 1024

/* Shorter prefixes take too much: a quarter of the Internet is no cluster, and
 * a route to it is a VPN's default route. */
#define ROUTE_MIN_V4 8
#define ROUTE_MIN_V6 16

/* 0, -ENOMEM or -ENOBUFS. A subnet that is there already is not added. */
int subnet_list_add(struct subnet_list *list, const struct subnet *net);
void subnet_list_release(struct subnet_list *list);
/* True if one of the list's subnets contains all of net. */
bool subnet_list_covers(const struct subnet_list *list,
                        const struct subnet *net);

struct route_policy {
    struct subnet_list local;   /* this namespace's interfaces and routes */
    struct subnet_list host;    /* of the engine and the host */
    struct subnet_list allowed; /* allowConflictingSubnets, by the user */
};

void route_policy_release(struct route_policy *p);

/* Fills p->local from the interfaces there are (getifaddrs) and the routes
 * (route_list.h), without lo. */
int route_policy_read_local(struct route_policy *p, struct tp_error *err);

/* Whether net may be captured: 0; -EADDRINUSE, it is in use here and is not
 * allowed to be taken all the same; -EACCES, never. The reason is in err. */
int route_policy_check(const struct route_policy *p, const struct subnet *net,
                       struct tp_error *err);

#endif
