#include "manager/network_policy.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/sockaddr.h"
#include "manager/workload.h"

/* ---- a policy -------------------------------------------------------------
 */

/* policyTypes may be left out: then Ingress, and Egress if it has rules. */
static bool is_of_type(struct json_object *policy, const char *type)
{
    struct json_object *list = json_get_array(policy, "spec.policyTypes");

    if (json_array_len(list) == 0)
        return !strcmp(type, "Ingress") || json_get(policy, "spec.egress");
    return json_array_has(list, type);
}

static bool selects(struct json_object *policy, struct json_object *labels,
                    const char *type)
{
    return is_of_type(policy, type) &&
           label_selector_matches(json_get(policy, "spec.podSelector"), labels);
}

static const char *name_of(struct json_object *policy)
{
    return json_get_str(policy, "metadata.name", "");
}

/* ---- ports of a rule ------------------------------------------------------
 */

static bool entry_lets(struct json_object *entry, const struct policy_port *p)
{
    struct json_object *port = json_get(entry, "port");
    int64_t first, last;

    if (!strcasecmp(json_get_str(entry, "protocol", "TCP"), "UDP") != p->udp)
        return false;
    if (!port)
        return true;
    if (json_object_is_type(port, json_type_string))
        return p->name && *p->name &&
               !strcmp(json_object_get_string(port), p->name);
    first = json_object_get_int64(port);
    last = json_get_int(entry, "endPort", first);
    return p->first >= first && p->last <= last;
}

/* A rule without ports is for all of them. */
static bool rule_lets_port(struct json_object *rule,
                           const struct policy_port *p)
{
    struct json_object *list = json_get_array(rule, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        if (entry_lets(json_object_array_get_idx(list, i), p))
            return true;
    }
    return json_array_len(list) == 0;
}

/* ---- peers of a rule ------------------------------------------------------
 */

static bool is_in(const char *cidr, const char *address)
{
    struct subnet block;
    union sockaddr_any ip;

    return address && subnet_parse(&block, cidr) == 0 &&
           sockaddr_parse(&ip, address, 0) == 0 && subnet_contains(&block, &ip);
}

static bool block_lets(struct json_object *block, const struct policy_peer *p)
{
    struct json_object *except = json_get_array(block, "except");

    if (!is_in(json_get_str(block, "cidr", ""), p->address))
        return false;
    for (size_t i = 0; i < json_array_len(except); i++) {
        struct json_object *item = json_object_array_get_idx(except, i);

        if (json_object_is_type(item, json_type_string) &&
            is_in(json_object_get_string(item), p->address))
            return false;
    }
    return true;
}

/* podSelector alone: of the policy's own namespace. */
static bool peer_lets(struct json_object *peer, const char *ns,
                      const struct policy_peer *p)
{
    struct json_object *spaces = json_get(peer, "namespaceSelector");
    struct json_object *pods = json_get(peer, "podSelector");
    struct json_object *block = json_get(peer, "ipBlock");

    if (block)
        return block_lets(block, p);
    if (spaces ? !label_selector_matches(spaces, p->ns_labels)
               : strcmp(ns, p->ns) != 0)
        return false;
    return !pods || label_selector_matches(pods, p->labels);
}

static bool rule_lets_peer(struct json_object *rule, const char *key,
                           const char *ns, const struct policy_peer *p)
{
    struct json_object *list = json_get_array(rule, key);

    for (size_t i = 0; i < json_array_len(list); i++) {
        if (peer_lets(json_object_array_get_idx(list, i), ns, p))
            return true;
    }
    return json_array_len(list) == 0;
}

/* ---- questions ------------------------------------------------------------
 */

const char *policy_drops_agent(struct json_object *policies,
                               struct json_object *labels,
                               const struct policy_port *app,
                               const struct policy_port *agent)
{
    struct json_object *items = json_get_array(policies, "items");

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *policy = json_object_array_get_idx(items, i);
        struct json_object *rules = json_get_array(policy, "spec.ingress");

        if (!selects(policy, labels, "Ingress"))
            continue;
        for (size_t j = 0; j < json_array_len(rules); j++) {
            struct json_object *rule = json_object_array_get_idx(rules, j);

            if (rule_lets_port(rule, app) && !rule_lets_port(rule, agent))
                return name_of(policy);
        }
    }
    return NULL;
}

struct direction {
    const char *type, *rules, *peers;
};

static bool policy_lets(struct json_object *policy, const struct direction *d,
                        const char *ns, const struct policy_peer *peer,
                        const struct policy_port *port)
{
    struct json_object *rules = json_get_array(policy, d->rules);

    for (size_t i = 0; i < json_array_len(rules); i++) {
        struct json_object *rule = json_object_array_get_idx(rules, i);

        if (rule_lets_port(rule, port) &&
            rule_lets_peer(rule, d->peers, ns, peer))
            return true;
    }
    return false;
}

/* Policies add up: one that lets it through is enough. */
static const char *drops(struct json_object *policies,
                         const struct direction *d, const char *ns,
                         struct json_object *labels,
                         const struct policy_peer *peer,
                         const struct policy_port *port)
{
    struct json_object *items = json_get_array(policies, "items");
    const char *name = NULL;

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *policy = json_object_array_get_idx(items, i);

        if (!selects(policy, labels, d->type))
            continue;
        if (policy_lets(policy, d, ns, peer, port))
            return NULL;
        if (!name)
            name = name_of(policy);
    }
    return name;
}

const char *policy_drops_egress(struct json_object *policies, const char *ns,
                                struct json_object *labels,
                                const struct policy_peer *to,
                                const struct policy_port *port)
{
    static const struct direction out = {"Egress", "spec.egress", "to"};

    return drops(policies, &out, ns, labels, to, port);
}

const char *policy_drops_ingress(struct json_object *policies, const char *ns,
                                 struct json_object *labels,
                                 const struct policy_peer *from,
                                 const struct policy_port *port)
{
    static const struct direction in = {"Ingress", "spec.ingress", "from"};

    return drops(policies, &in, ns, labels, from, port);
}
