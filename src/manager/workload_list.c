#include "manager/workload_list.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "manager/engagement_json.h"
#include "manager/rollout.h"
#include "manager/workload.h"

struct json_object *workload_list_engagement(const struct engagement *eng,
                                             struct json_object *cr)
{
    struct json_object *obj = json_object_new_object(), *ports = NULL;

    json_object_deep_copy(json_get(cr, "spec.ports"), &ports, NULL);
    json_put_str(obj, "type", engagement_type_name(eng->type));
    json_put_str(obj, "user", eng->who.user);
    json_object_object_add(obj, "ports",
                           ports ? ports : json_object_new_array());
    json_object_object_add(obj, "since",
                           json_object_new_int64(object_created(cr)));
    return obj;
}

static int64_t ready_count(const struct workload_kind *kind,
                           struct json_object *workload)
{
    if (!strcmp(kind->kind, "Pod"))
        return pod_is_ready(workload);
    if (!strcmp(kind->kind, "DaemonSet"))
        return json_get_int(workload, "status.numberReady", 0);
    if (!strcmp(kind->kind, "Job"))
        return json_get_int(workload, "status.ready", 0);
    return json_get_int(workload, "status.readyReplicas", 0);
}

static void name_cb(void *arg, struct json_object *container)
{
    json_object_array_add(
        arg, json_object_new_string(json_get_str(container, "name", "")));
}

static void port_cb(void *arg, struct json_object *container)
{
    struct json_object *list = json_get_array(container, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *port = json_object_array_get_idx(list, i);
        struct json_object *obj = json_object_new_object();
        bool udp = !strcasecmp(json_get_str(port, "protocol", "TCP"), "UDP");

        json_object_object_add(
            obj, "port",
            json_object_new_int64(json_get_int(port, "containerPort", 0)));
        json_put_str(obj, "protocol", udp ? "udp" : "tcp");
        json_put_str(obj, "name", json_get_str(port, "name", ""));
        json_put_str(obj, "container", json_get_str(container, "name", ""));
        json_object_array_add(arg, obj);
    }
}

static const char *agent_state(struct json_object *workload, size_t agents,
                               struct json_object *engagements)
{
    if (agents > 0)
        return json_array_len(engagements) > 0 ? "ready" : "idle";
    return workload_annotation(workload, ANNOTATION_AGENT) ? "pending" : "none";
}

/* Why it cannot be engaged, "" if it can. */
static void reason_of(const struct workload_kind *kind,
                      struct json_object *workload, size_t agents,
                      char out[ROLLOUT_TEXT])
{
    const char *inject = workload_annotation(workload, ANNOTATION_INJECT);
    struct rollout_plan plan;

    *out = '\0';
    rollout_plan(&plan, kind, workload);
    if (inject && !strcmp(inject, "disabled"))
        snprintf(out, ROLLOUT_TEXT, "its pod template forbids agents (%s)",
                 ANNOTATION_INJECT);
    else if (plan.method == ROLLOUT_NEVER && agents == 0)
        snprintf(out, ROLLOUT_TEXT, "%s", plan.reason);
}

struct json_object *workload_list_build(const struct workload_kind *kind,
                                        struct json_object *workload,
                                        size_t agents,
                                        struct json_object *engagements)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *containers = json_object_new_array();
    struct json_object *ports = json_object_new_array();
    struct json_object *tmpl = workload_template(workload);
    char reason[ROLLOUT_TEXT];

    template_each_container(tmpl, name_cb, containers);
    template_each_container(tmpl, port_cb, ports);
    reason_of(kind, workload, agents, reason);
    json_put_str(obj, "kind", kind->kind);
    json_put_str(obj, "name", json_get_str(workload, "metadata.name", ""));
    json_object_object_add(obj, "ready",
                           json_object_new_int64(ready_count(kind, workload)));
    json_object_object_add(obj, "replicas",
                           json_object_new_int64(workload_replicas(workload)));
    json_put_str(obj, "agent", agent_state(workload, agents, engagements));
    json_object_object_add(obj, "engageable",
                           json_object_new_boolean(!*reason));
    json_put_str(obj, "reason", reason);
    json_object_object_add(obj, "containers", containers);
    json_object_object_add(obj, "ports", ports);
    json_object_object_add(obj, "engagements", engagements);
    return obj;
}
