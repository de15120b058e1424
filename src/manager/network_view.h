/*
 * network_view.h - can new agents and the managers reach each other?
 *
 * What has to be known for that: the NetworkPolicies at both ends, the labels
 * of both namespaces, and a manager's pod.
 */
#ifndef TP_MANAGER_NETWORK_VIEW_H
#define TP_MANAGER_NETWORK_VIEW_H

#include <stdbool.h>

#include "base/error.h"

struct json_object;
struct kube_client;

#define NETWORK_TEXT 400

struct network_view {
    struct json_object *ns, *manager_ns; /* Namespaces */
    struct json_object *manager_pod;
    struct json_object *manager_policies; /* where the managers are */
};

/* In a worker thread; policies are those of namespace ns. replica is this pod.
 */
int network_view_get(struct network_view *v, struct kube_client *client,
                     struct json_object *policies, const char *ns,
                     const char *manager_ns, const char *replica,
                     struct tp_error *err);
void network_view_release(struct network_view *v);

/* True if a policy keeps pods with these labels from the managers' port; out
 * says which, and what to add. */
bool network_view_drops(const struct network_view *v,
                        struct json_object *policies, const char *ns,
                        struct json_object *labels, const char *manager_ns,
                        char out[NETWORK_TEXT]);

#endif
