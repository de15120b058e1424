/*
 * network_policy.h - what a namespace's NetworkPolicies would do to the agents
 *
 * Pure functions on the API server's JSON (networking.k8s.io/v1). Whether
 * anything in the cluster enforces policies cannot be asked, so they are taken
 * at their word. Named ports of a rule mean, as with Services, the first
 * container's port of that name, which in an injected pod is the agent's.
 */
#ifndef TP_MANAGER_NETWORK_POLICY_H
#define TP_MANAGER_NETWORK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* A port, or a range of them that must be let through as a whole. */
struct policy_port {
    uint16_t first, last;
    const char *name; /* "" or NULL: none */
    bool udp;
};

/* The far end of a connection. */
struct policy_peer {
    const char *ns;
    struct json_object *ns_labels, *labels;
    const char *address; /* IPv4 or IPv6 text; NULL: not known */
};

/* The name of a policy that selects these labels and lets the app's port in by
 * a rule that does not let the agent's in: whoever came by that rule would be
 * dropped. NULL if there is none. Borrowed. */
const char *policy_drops_agent(struct json_object *policies,
                               struct json_object *labels,
                               const struct policy_port *app,
                               const struct policy_port *agent);

/* The name of a policy because of which pods with these labels, in namespace
 * ns, cannot connect to the peer's port: the first that selects them for
 * egress, if none lets it out. NULL: they can. Borrowed. */
const char *policy_drops_egress(struct json_object *policies, const char *ns,
                                struct json_object *labels,
                                const struct policy_peer *to,
                                const struct policy_port *port);
/* The same for what comes in from the peer. */
const char *policy_drops_ingress(struct json_object *policies, const char *ns,
                                 struct json_object *labels,
                                 const struct policy_peer *from,
                                 const struct policy_port *port);

#endif
