#include "manager/network_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "kube/client.h"
#include "manager/network_policy.h"

#define AGENTS_PORT 8444 /* of the managers, by the name below */
#define AGENTS_NAME "agents"

/* Something of a namespace; "" is the Namespace itself. */
static int get(struct kube_client *client, const char *api, const char *ns,
               const char *what, struct json_object **out, struct tp_error *err)
{
    char path[600];
    int rc;

    snprintf(path, sizeof(path), "%s/namespaces/%.63s%.300s", api, ns, what);
    rc = kube_get(client, path, out, err);
    return rc == -ENOENT ? 0 : rc;
}

int network_view_get(struct network_view *v, struct kube_client *client,
                     struct json_object *policies, const char *ns,
                     const char *manager_ns, const char *replica,
                     struct tp_error *err)
{
    char pod[300];
    int rc = get(client, "/apis/networking.k8s.io/v1", manager_ns,
                 "/networkpolicies?limit=500", &v->manager_policies, err);

    if (rc < 0 ||
        json_array_len(json_get_array(policies, "items")) +
                json_array_len(json_get_array(v->manager_policies, "items")) ==
            0)
        return rc;
    snprintf(pod, sizeof(pod), "/pods/%.253s", replica);
    rc = get(client, "/api/v1", ns, "", &v->ns, err);
    if (rc == 0)
        rc = get(client, "/api/v1", manager_ns, "", &v->manager_ns, err);
    if (rc == 0)
        rc = get(client, "/api/v1", manager_ns, pod, &v->manager_pod, err);
    return rc;
}

void network_view_release(struct network_view *v)
{
    json_object_put(v->ns);
    json_object_put(v->manager_ns);
    json_object_put(v->manager_pod);
    json_object_put(v->manager_policies);
    memset(v, 0, sizeof(*v));
}

bool network_view_drops(const struct network_view *v,
                        struct json_object *policies, const char *ns,
                        struct json_object *labels, const char *manager_ns,
                        char out[NETWORK_TEXT])
{
    static const struct policy_port port = {AGENTS_PORT, AGENTS_PORT,
                                            AGENTS_NAME, false};
    struct json_object *manager = json_get(v->manager_pod, "metadata.labels");
    const struct policy_peer to = {
        .ns = manager_ns,
        .ns_labels = json_get(v->manager_ns, "metadata.labels"),
        .labels = manager,
        .address = json_get_str(v->manager_pod, "status.podIP", NULL),
    };
    const struct policy_peer from = {
        .ns = ns,
        .ns_labels = json_get(v->ns, "metadata.labels"),
        .labels = labels,
    };
    const char *name = policy_drops_egress(policies, ns, labels, &to, &port);

    if (name)
        snprintf(out, NETWORK_TEXT,
                 "NetworkPolicy %.100s does not let the pods connect to port "
                 "%d in namespace %.63s, which agents need: add an egress rule "
                 "for it",
                 name, AGENTS_PORT, manager_ns);
    else if ((name = policy_drops_ingress(v->manager_policies, manager_ns,
                                          manager, &from, &port)))
        snprintf(out, NETWORK_TEXT,
                 "NetworkPolicy %.100s in namespace %.63s does not let these "
                 "pods connect to port %d, which agents need: add an ingress "
                 "rule for it",
                 name, manager_ns, AGENTS_PORT);
    return name != NULL;
}
