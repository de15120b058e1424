/*
 * snapshot.h - everything the manager reads of the cluster, read at once
 *
 * snapshot_take() blocks and runs in a worker thread; the loop takes the
 * result over. Parts that cannot be read carry their error and are empty.
 */
#ifndef TP_MANAGER_SNAPSHOT_H
#define TP_MANAGER_SNAPSHOT_H

#include "manager/cluster.h"
#include "manager/frontproxy.h"

struct kube_client;
struct options;

struct snapshot {
    struct frontproxy frontproxy;
    struct tp_error frontproxy_error; /* code 0: none */
    bool frontproxy_read; /* the ConfigMap was; the rules may be unacceptable */
    struct subnets service, pod;
    struct tp_error service_error, node_error;
    struct subnets nodes;
    struct subnets self;          /* own Service and replicas */
    char service_ip[SUBNET_TEXT]; /* of the own Service, "" if not known */
    struct tp_error self_error;
    char cluster_uid[64];
    struct json_object *nodes_named; /* addresses of the first few nodes */
    struct json_object *direct;      /* of direct.h; NULL: not read */
};

/* NULL only when out of memory. */
struct snapshot *snapshot_take(const struct options *options,
                               struct kube_client *client);
void snapshot_destroy(struct snapshot *s);

#endif
