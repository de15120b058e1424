#include "manager/rollout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agent_origin.h"
#include "manager/workload.h"

/* ---- the way --------------------------------------------------------------
 */

static void interrupts(struct rollout_plan *plan, const char *why)
{
    plan->interrupts = true;
    snprintf(plan->reason, sizeof(plan->reason), "%s", why);
}

/* "25%" of n, or a number. Rounded up, as surges are. */
static int64_t scaled(struct json_object *value, int64_t fallback, int64_t n)
{
    if (!value)
        return fallback;
    if (json_object_is_type(value, json_type_string))
        return (strtol(json_object_get_string(value), NULL, 10) * n + 99) / 100;
    return json_object_get_int64(value);
}

static void plan_deployment(struct rollout_plan *plan, struct json_object *w)
{
    int64_t replicas = workload_replicas(w);

    if (!strcmp(json_get_str(w, "spec.strategy.type", ""), "Recreate"))
        interrupts(plan, "its strategy is Recreate: all pods are stopped "
                         "before new ones start");
    else if (scaled(json_get(w, "spec.strategy.rollingUpdate.maxSurge"), 1,
                    replicas) == 0)
        interrupts(plan, "its maxSurge is 0: pods are stopped before new ones "
                         "start");
}

static void plan_set(struct rollout_plan *plan, struct json_object *w,
                     const char *surge)
{
    if (!strcmp(json_get_str(w, "spec.updateStrategy.type", ""), "OnDelete"))
        plan->method = ROLLOUT_EVICT;
    if (plan->method == ROLLOUT_TEMPLATE && surge &&
        scaled(json_get(w, surge), 0, 100) > 0)
        return;
    interrupts(plan, plan->method == ROLLOUT_EVICT
                         ? "its pods are evicted one by one"
                         : "its pods are restarted one by one");
}

static void plan_never(struct rollout_plan *plan, const char *kind)
{
    plan->method = ROLLOUT_NEVER;
    snprintf(plan->reason, sizeof(plan->reason),
             "a running %s cannot get an agent: add the annotation "
             "tp.internal/inject: enabled to its pod template and create it "
             "again",
             kind);
}

void rollout_plan(struct rollout_plan *plan, const struct workload_kind *kind,
                  struct json_object *workload)
{
    memset(plan, 0, sizeof(*plan));
    if (!strcmp(kind->kind, "Deployment")) {
        plan_deployment(plan, workload);
    } else if (!strcmp(kind->kind, "StatefulSet")) {
        plan_set(plan, workload, NULL);
    } else if (!strcmp(kind->kind, "DaemonSet")) {
        plan_set(plan, workload, "spec.updateStrategy.rollingUpdate.maxSurge");
    } else if (!strcmp(kind->kind, "ReplicaSet")) {
        plan->method = ROLLOUT_EVICT;
        interrupts(plan, "its pods are evicted one by one");
    } else {
        plan_never(plan, kind->kind);
    }
    if (plan->method != ROLLOUT_NEVER && workload_replicas(workload) == 0)
        plan->interrupts = false;
}

/* ---- its progress ---------------------------------------------------------
 */

static bool is_on_delete(struct json_object *w)
{
    return !strcmp(json_get_str(w, "spec.updateStrategy.type", ""), "OnDelete");
}

bool rollout_is_complete(struct json_object *w)
{
    const char *kind = json_get_str(w, "kind", "");
    int64_t replicas = workload_replicas(w);
    bool daemons = !strcmp(kind, "DaemonSet");

    if (strcmp(kind, "Deployment") && strcmp(kind, "StatefulSet") && !daemons)
        return true;
    if (json_get_int(w, "status.observedGeneration", 0) <
        json_get_int(w, "metadata.generation", 0))
        return false;
    if (is_on_delete(w))
        return true;
    if (!strcmp(kind, "Deployment") &&
        json_get_int(w, "status.replicas", 0) > replicas)
        return false; /* old ones are still there */
    return json_get_int(w,
                        daemons ? "status.updatedNumberScheduled"
                                : "status.updatedReplicas",
                        0) >= replicas;
}

static const char *condition(struct json_object *obj, const char *type,
                             const char *status, const char *reason)
{
    struct json_object *list = json_get_array(obj, "status.conditions");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "type", ""), type) &&
            !strcmp(json_get_str(item, "status", ""), status) &&
            (!reason || !strcmp(json_get_str(item, "reason", ""), reason)))
            return json_get_str(item, "message", "");
    }
    return NULL;
}

void rollout_trouble(struct json_object *w, char out[ROLLOUT_TEXT])
{
    int64_t partition =
        json_get_int(w, "spec.updateStrategy.rollingUpdate.partition", 0);
    const char *text;

    *out = '\0';
    if (json_get_bool(w, "spec.paused", false))
        snprintf(out, ROLLOUT_TEXT,
                 "the Deployment is paused: kubectl rollout resume "
                 "deployment/%s",
                 json_get_str(w, "metadata.name", ""));
    else if ((text = condition(w, "ReplicaFailure", "True", NULL)))
        snprintf(out, ROLLOUT_TEXT, "pods cannot be created: %.240s", text);
    else if ((text = condition(w, "Progressing", "False",
                               "ProgressDeadlineExceeded")))
        snprintf(out, ROLLOUT_TEXT, "the rollout is stuck: %.240s", text);
    else if (partition > 0)
        snprintf(out, ROLLOUT_TEXT,
                 "the rolling update has partition %" PRId64
                 ": pods below that number are not restarted",
                 partition);
}

/* ---- pods -----------------------------------------------------------------
 */

static const char *waiting(struct json_object *pod, const char *list,
                           const char **container)
{
    static const char *const normal[] = {"ContainerCreating",
                                         "PodInitializing"};
    struct json_object *items = json_get_array(pod, list);

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *item = json_object_array_get_idx(items, i);
        const char *reason = json_get_str(item, "state.waiting.reason", "");

        *container = json_get_str(item, "name", "");
        if (*reason && strcmp(reason, normal[0]) && strcmp(reason, normal[1]))
            return reason;
    }
    return NULL;
}

static void look_for_trouble(struct pods_view *view, struct json_object *pod)
{
    const char *name = json_get_str(pod, "metadata.name", "");
    const char *container = "";
    const char *text = condition(pod, "PodScheduled", "False", "Unschedulable");

    if (*view->trouble || json_get(pod, "metadata.deletionTimestamp"))
        return;
    if (text) {
        snprintf(view->trouble, sizeof(view->trouble),
                 "pod %.100s cannot be scheduled: %.150s", name, text);
        return;
    }
    text = waiting(pod, "status.initContainerStatuses", &container);
    if (!text)
        text = waiting(pod, "status.containerStatuses", &container);
    if (text)
        snprintf(view->trouble, sizeof(view->trouble),
                 "pod %.100s, container %.63s: %.60s", name, container, text);
}

/* An agent of another installation will not come; one that is here, whatever it
 * was told, is. */
static bool is_stranger(struct json_object *pod, const struct config_need *need,
                        bool connected)
{
    struct agent_origin origin;

    if (!need->origin || connected)
        return false;
    agent_origin_of_pod(&origin, pod);
    return agent_origin_differs(&origin, need->origin);
}

void pods_look(struct pods_view *view, struct json_object *pod_list,
               const struct config_need *need, pods_connected_cb *cb, void *arg)
{
    struct json_object *items = json_get_array(pod_list, "items");

    memset(view, 0, sizeof(*view));
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        cleanup_json struct json_object *config = config_of_pod(pod);
        bool connected = cb(arg, json_get_str(pod, "metadata.uid", ""));
        bool stranger = is_stranger(pod, need, connected);
        bool able = config_covers(config, need) && !stranger;

        view->alive += pod_is_alive(pod);
        view->able += able && pod_is_alive(pod);
        if (!pod_is_ready(pod)) {
            look_for_trouble(view, pod);
            continue;
        }
        view->ready++;
        view->without_agent += !pod_has_agent(pod);
        view->strangers += stranger;
        if (!able) {
            snprintf(view->unfit, sizeof(view->unfit), "%s",
                     json_get_str(pod, "metadata.name", ""));
            continue;
        }
        view->fit++;
        view->connected += connected;
    }
}

/* ---- the verdict ----------------------------------------------------------
 */

static void explain(struct rollout_state *state, struct json_object *w,
                    const struct pods_view *view)
{
    int64_t wanted = workload_replicas(w);

    rollout_trouble(w, state->message);
    if (!*state->message && *view->trouble)
        memcpy(state->message, view->trouble, sizeof(state->message));
    if (*state->message)
        return;
    if (view->strangers > 0)
        snprintf(state->message, sizeof(state->message),
                 "the agents of %zu of %zu pods are of a former installation "
                 "of tp, whose authority or address was another, and cannot "
                 "connect: the pods have to be restarted",
                 view->strangers, view->ready);
    else if (view->fit > view->connected)
        snprintf(state->message, sizeof(state->message),
                 "waiting for the agents of %zu of %zu pods to connect",
                 view->fit - view->connected, view->ready);
    else if (view->without_agent > 0 && rollout_is_complete(w) &&
             !*view->trouble && view->without_agent == view->ready)
        snprintf(state->message, sizeof(state->message),
                 "the pods came without an agent: can the API server reach "
                 "the webhook of tp?");
    else
        snprintf(state->message, sizeof(state->message),
                 "%zu of %" PRId64 " pods have their agent", view->connected,
                 wanted);
}

void rollout_judge(struct rollout_state *state, const struct rollout_plan *plan,
                   struct json_object *workload, const struct pods_view *view)
{
    int64_t wanted = workload_replicas(workload);

    memset(state, 0, sizeof(*state));
    if (wanted == 0 && view->ready == 0) {
        state->ready = true;
        snprintf(state->message, sizeof(state->message),
                 "no pods: it is scaled to 0");
        return;
    }
    state->ready = view->ready > 0 && view->connected == view->ready;
    if (state->ready)
        return;
    explain(state, workload, view);
    state->evict = plan->method == ROLLOUT_EVICT && *view->unfit &&
                   (int64_t)view->ready >= wanted &&
                   view->fit == view->connected;
}
