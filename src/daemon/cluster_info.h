/*
 * cluster_info.h - what a manager says about its cluster, checked
 *
 * The `info` object of doc/protocol.md 3 and the user's own settings become the
 * lists that data path and DNS work with. Nothing of the manager is believed:
 * subnets pass route_policy.h, names must be names, and its client
 * configuration may set only the keys of one table (SECURITY 18).
 */
#ifndef TP_DAEMON_CLUSTER_INFO_H
#define TP_DAEMON_CLUSTER_INFO_H

#include "base/error.h"
#include "base/sockaddr.h"
#include "daemon/dns.h"
#include "daemon/route_policy.h"
#include "daemon/vnat.h"

struct json_object;

struct name_array {
    char **names;
    size_t n;
};

struct cluster_info {
    struct subnet_list capture; /* what is captured, as it is seen here */
    struct subnet_list bypass;  /* never captured: its real addresses */
    struct subnet_list holes;   /* the same, and where capture has others */
    struct vnat vnat;
    union sockaddr_any dns;      /* family 0: no names of the cluster */
    union sockaddr_any dns_here; /* the same, as it is seen here */
    char *domain;
    struct name_array suffixes, excludes, namespaces;
    struct dns_mapping *mappings; /* both texts owned */
    size_t n_mappings;
    unsigned lookup_timeout_ms;  /* 0: not set */
    unsigned connect_timeout_ms; /* 0: not set */
    char *log_level;             /* NULL: not set */

    struct json_object *subnets;       /* of the status object */
    struct json_object *client_config; /* the part that was accepted */
};

/* session is SESSION of doc/control.md. policy->host and ->allowed are filled
 * from it; policy->local must be there. `former`: the virtual subnets of
 * before, which are kept, or NULL. Refused pieces are in subnets.rejected, not
 * errors. 0, or -ENOMEM. */
int cluster_info_build(struct cluster_info *ci, struct json_object *info,
                       struct json_object *session, struct route_policy *policy,
                       const struct vnat *former, struct tp_error *err);
/* Never captures net either. */
void cluster_info_bypass(struct cluster_info *ci, const struct subnet *net);
void cluster_info_release(struct cluster_info *ci);

#endif
