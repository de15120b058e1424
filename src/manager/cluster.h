/*
 * cluster.h - what is known of the cluster, from JSON and resolv.conf
 *
 * Pure parsing; snapshot.c makes the requests.
 */
#ifndef TP_MANAGER_CLUSTER_H
#define TP_MANAGER_CLUSTER_H

#include <stddef.h>

#include "base/error.h"
#include "manager/subnets.h"

struct json_object;

/* What a ServiceCIDRList says (networking.k8s.io/v1, v1beta1): the CIDRs of
 * all objects. Entries that are none are skipped. 0 or -ENOMEM/-ENOBUFS. */
int cluster_add_service_cidrs(struct subnets *out, struct json_object *list);

/* One page of a NodeList: spec.podCIDRs, and status.addresses of the types
 * InternalIP and ExternalIP. */
int cluster_add_nodes(struct subnets *pods, struct subnets *addresses,
                      struct json_object *list);
/* The InternalIP and ExternalIP addresses as strings, until the array has
 * `max`. */
void cluster_name_nodes(struct json_object *array, struct json_object *list,
                        size_t max);
/* The page's metadata.continue, "" at the last one. Borrowed. */
const char *cluster_continue(struct json_object *list);

/* An EndpointSliceList: the addresses of all endpoints. */
int cluster_add_endpoints(struct subnets *out, struct json_object *list);

/* A Service: spec.clusterIPs. */
int cluster_add_service(struct subnets *out, struct json_object *service);

#define DNS_NAME_MAX 254
#define DNS_LIST_MAX 32

/* A pod's resolv.conf, without the part that depends on its namespace. */
struct cluster_dns {
    char address[SUBNET_TEXT];
    char domain[DNS_NAME_MAX];
    char *search[DNS_LIST_MAX]; /* what follows the three of the cluster */
    size_t search_count;
    char *options[DNS_LIST_MAX];
    size_t option_count;
};

/* Reads the text of a resolv.conf. A search list that has no "svc.DOMAIN" is
 * not a pod's: domain is "cluster.local" then and search is empty. */
int cluster_dns_parse(struct cluster_dns *dns, const char *text,
                      struct tp_error *err);
/* Replaces the further search names by a list with commas. */
int cluster_dns_set_search(struct cluster_dns *dns, const char *list);
void cluster_dns_release(struct cluster_dns *dns);

/* The `dns` member of `info` (doc/protocol.md 3) for a session in namespace
 * ns; the caller owns it. */
struct json_object *cluster_dns_to_json(const struct cluster_dns *dns,
                                        const char *ns);

#endif
