/*
 * engage_decide.c - can it be done, and how
 *
 * Between what was looked up and what is written: only decisions, on JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agent_origin.h"
#include "manager/creation.h"
#include "manager/drive_step.h"
#include "manager/workload.h"

static bool nobody_cb(void *arg, const char *uid)
{
    (void)arg;
    (void)uid;
    return false;
}

static void refuse_not_found(struct creation *c)
{
    if (c->spec.kind)
        creation_refuse(c, 404, "no-such-workload", "no %s %s in namespace %s",
                        c->spec.kind->kind, c->spec.workload, c->spec.ns);
    else
        creation_refuse(c, 404, "no-such-workload",
                        "no Deployment, StatefulSet, DaemonSet, ReplicaSet or "
                        "Pod %s in namespace %s",
                        c->spec.workload, c->spec.ns);
}

static void refuse_several(struct creation *c)
{
    char list[400] = "";
    size_t len = 0;

    for (size_t i = 0; i < c->found_count && len < sizeof(list); i++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s/%s",
                                i ? ", " : "", c->kinds[i]->aliases[0],
                                c->spec.workload);
    creation_refuse(c, 422, "cannot", "say which: %s", list);
}

/* Pods that are made by something else are engaged through that. */
static bool refuse_owned(struct creation *c)
{
    struct json_object *owner = workload_controller(c->found[0]);

    if (!owner || !strcmp(c->kind->kind, "Job"))
        return false;
    creation_refuse(c, 422, "cannot", "%s %s belongs to %s %s: engage that",
                    c->kind->kind, c->spec.workload,
                    json_get_str(owner, "kind", ""),
                    json_get_str(owner, "name", ""));
    return true;
}

static bool refuse_place(struct creation *c)
{
    const char *inject = workload_annotation(c->found[0], ANNOTATION_INJECT);

    if (!strcmp(c->spec.ns, "kube-system") ||
        !strcmp(c->spec.ns, c->manager_ns))
        creation_refuse(c, 422, "cannot",
                        "workloads in namespace %s are never touched",
                        c->spec.ns);
    else if (inject && !strcmp(inject, "disabled"))
        creation_refuse(c, 422, "cannot",
                        "the pod template forbids agents by its annotation "
                        "%s: disabled",
                        ANNOTATION_INJECT);
    else
        return false;
    return true;
}

static bool refuse_host_network(struct creation *c)
{
    struct json_object *tmpl = workload_template(c->found[0]);

    if (!json_get_bool(tmpl, "spec.hostNetwork", false))
        return false;
    for (size_t i = 0; i < c->ports.count; i++) {
        if (c->ports.ports[i].mode != PORT_REDIRECT)
            continue;
        creation_refuse(c, 422, "cannot",
                        "the pods are on the node's network, where port %u "
                        "cannot be redirected; a Service that goes to it by "
                        "its name can be",
                        (unsigned)c->ports.ports[i].port);
        return true;
    }
    return false;
}

static bool refuse_ports(struct creation *c)
{
    struct ports_question q = {
        .spec = &c->spec,
        .pod_template = workload_template(c->found[0]),
        .services = c->services,
        .policies = c->policies,
        .switch_services = c->switches,
    };
    struct tp_error err = {0};

    if (ports_resolve(&q, &c->ports, &err) == 0)
        return refuse_host_network(c);
    creation_refuse(c, 422, "cannot", "%s%s%s", c->refusal,
                    *c->refusal ? "; " : "", err.text);
    return true;
}

/* Are there pods, or will there be, that cannot do it as they are? */
static bool needs_pods(struct creation *c, struct json_object *config)
{
    struct pods_view view;

    pods_look(&view, c->pods, &c->need, nobody_cb, NULL);
    if (c->plan.method == ROLLOUT_NEVER)
        return view.alive == 0 || view.able < view.alive;
    return !config_covers(config, &c->need) ||
           (!workload_annotation(c->found[0], ANNOTATION_AGENT) &&
            view.alive == 0);
}

static bool connected_cb(void *arg, const char *uid)
{
    return json_member(arg, uid) != NULL;
}

/* Pods whose agents are of a former installation get new ones. */
static bool has_strangers(struct creation *c)
{
    cleanup_json struct json_object *connected = NULL;
    struct config_need need = c->need;
    struct workload_ref ref = {{0}, {0}, {0}};
    struct agent_origin origin;
    struct pods_view view;

    snprintf(ref.ns, sizeof(ref.ns), "%s", c->spec.ns);
    snprintf(ref.kind, sizeof(ref.kind), "%s", c->kind->kind);
    snprintf(ref.name, sizeof(ref.name), "%s", c->spec.workload);
    connected = engage_connected(c->job.e, &ref);
    agent_origin_now(&origin, c->job.e->env.inject);
    need.origin = &origin;
    pods_look(&view, c->pods, &need, connected_cb, connected);
    return view.strangers > 0;
}

static bool refuse_strangers(struct creation *c)
{
    if (c->plan.method != ROLLOUT_NEVER)
        return false;
    creation_refuse(c, 422, "cannot",
                    "the agent of %s %s is of a former installation of tp and "
                    "cannot connect: create it again",
                    c->kind->kind, c->spec.workload);
    return true;
}

static bool refuse_confirm(struct creation *c)
{
    if (!c->plan.interrupts || c->spec.yes)
        return false;
    creation_refuse(c, 422, "confirm",
                    "%s %s must be restarted once for its agent, and that "
                    "interrupts it: %s; confirm with --yes",
                    c->kind->kind, c->spec.workload, c->plan.reason);
    return true;
}

/* CONFIG for the pods that are to come. */
static bool refuse_config(struct creation *c)
{
    struct json_object *config = config_existing(c->found[0], c->pods);
    struct tp_error err = {0};
    int rc = 0;

    if (needs_pods(c, config)) {
        if (c->plan.method == ROLLOUT_NEVER) {
            json_object_put(config);
            creation_refuse(c, 422, "cannot", "%s", c->plan.reason);
            return true;
        }
        rc = config_merge(&c->config, config, workload_template(c->found[0]),
                          &c->need, &err);
    }
    json_object_put(config);
    if (rc == 0 && !c->config && has_strangers(c))
        return refuse_strangers(c) || refuse_confirm(c);
    if (rc == 0)
        return c->config && refuse_confirm(c);
    if (rc == -EBUSY)
        creation_refuse(c, 409, "conflict", "%s", err.text);
    else
        creation_refuse(c, rc == -EINVAL ? 422 : 503, "cannot", "%s", err.text);
    return true;
}

/* New agents must reach a manager; of those that are there it is seen. */
static bool refuse_policy(struct creation *c)
{
    struct json_object *tmpl = workload_template(c->found[0]);
    char text[NETWORK_TEXT];

    if (!c->config || !network_view_drops(&c->network, c->policies, c->spec.ns,
                                          json_get(tmpl, "metadata.labels"),
                                          c->manager_ns, text))
        return false;
    creation_refuse(c, 422, "cannot", "%s", text);
    return true;
}

/* Ports, CONFIG and the way, then what it takes is brought about. */
static void decide_ports(struct creation *c)
{
    if (refuse_ports(c))
        return;
    c->need.ports = &c->ports;
    c->need.replace = c->spec.type == ENGAGEMENT_REPLACE;
    rollout_plan(&c->plan, c->kind, c->found[0]);
    if (refuse_config(c) || refuse_policy(c))
        return;
    creation_bring(c);
}

bool creation_redirects(const struct creation *c)
{
    for (size_t i = 0; i < c->ports.count; i++) {
        if (c->ports.ports[i].mode == PORT_REDIRECT)
            return true;
    }
    return false;
}

bool creation_switch(struct creation *c)
{
    if (c->switches || !c->job.e->env.switch_services || !creation_redirects(c))
        return false;
    c->switches = true;
    c->tested = false;
    snprintf(c->refusal, sizeof(c->refusal), "%.290s", c->job.err.text);
    json_object_put(c->config);
    c->config = NULL;
    decide_ports(c);
    return true;
}

void creation_decide(struct creation *c)
{
    if (c->found_count == 0) {
        refuse_not_found(c);
        return;
    }
    if (c->found_count > 1) {
        refuse_several(c);
        return;
    }
    c->kind = c->kinds[0];
    if (refuse_owned(c) || refuse_place(c))
        return;
    decide_ports(c);
}
