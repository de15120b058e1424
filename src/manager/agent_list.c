/*
 * agent_list.c - which engagements an agent is told of
 *
 * Those of its workload that are to be delivered by this replica: the session's
 * incoming link is here. Of these the ports that the pod's agent listens on.
 * Nothing else, so that an agent learns of no one but who engages it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents_internal.h"
#include "manager/hello.h"
#include "manager/links.h"
#include "manager/parts.h"

static const char *const type_names[] = {
    [ENGAGEMENT_INTERCEPT] = "intercept",
    [ENGAGEMENT_REPLACE] = "replace",
    [ENGAGEMENT_MIRROR] = "mirror",
    [ENGAGEMENT_INGEST] = "ingest",
};

struct listing {
    const struct agent *agent;
    struct json_object *list;
};

static struct json_object *list_ports(const struct agent_pod *pod,
                                      const struct engagement *eng)
{
    struct json_object *ports = json_object_new_array();

    for (size_t i = 0; i < eng->port_count; i++) {
        const struct engagement_port *port = &eng->ports[i];
        struct json_object *obj;

        if (!agent_pod_has_port(pod, eng->container, port))
            continue;
        obj = json_object_new_object();
        json_object_object_add(obj, "port", json_object_new_int(port->port));
        json_put_str(obj, "protocol", port->udp ? "udp" : "tcp");
        json_object_array_add(ports, obj);
    }
    return ports;
}

static bool is_delivered_here(const struct agents *a,
                              const struct engagement *eng)
{
    return (eng->phase == ENGAGEMENT_INJECTING ||
            eng->phase == ENGAGEMENT_READY ||
            eng->phase == ENGAGEMENT_RESTORING) &&
           a->env.parts->links &&
           links_incoming_tunnel(a->env.parts->links, &eng->who, eng->session);
}

static void add_cb(void *arg, const struct engagement *eng)
{
    struct listing *l = arg;
    struct json_object *ports, *obj;

    if (!is_delivered_here(l->agent->agents, eng))
        return;
    ports = list_ports(&l->agent->pod, eng);
    if (json_array_len(ports) == 0) {
        json_object_put(ports);
        return;
    }
    obj = json_object_new_object();
    json_put_str(obj, "id", eng->id);
    json_put_str(obj, "type", type_names[eng->type]);
    json_object_object_add(obj, "ports", ports);
    json_object_array_add(l->list, obj);
}

char *agent_list_build(const struct agent *agent)
{
    cleanup_json struct json_object *event = json_object_new_object();
    struct listing l = {agent, json_object_new_array()};
    const struct engagements *engagements =
        agent->agents->env.parts->engagements;

    if (engagements)
        engagements_each(engagements, &agent->pod.workload, add_cb, &l);
    json_put_str(event, "type", "engagements");
    json_object_object_add(event, "engagements", l.list);
    return hello_to_text(event);
}
