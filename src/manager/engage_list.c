/* engage_list.c - GET /tp/v1/workloads/NS */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kube/client.h"
#include "manager/agent_origin.h"
#include "manager/agents.h"
#include "manager/engage_ask.h"
#include "manager/rollout.h"
#include "manager/workload.h"
#include "manager/workload_list.h"

#define KINDS_MAX 8

struct listing {
    struct engage_job job;
    struct engage_ask *ask;
    char ns[64];
    struct json_object *lists[KINDS_MAX]; /* by workload_kind_at() */
};

static bool is_empty(const struct listing *l)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (json_array_len(json_get_array(l->lists[i], "items")) > 0)
            return false;
    }
    return true;
}

/* The lists of a namespace that does not exist are empty, too. */
static int check_namespace(struct listing *l, struct kube_client *client)
{
    char path[128];
    int rc;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s", l->ns);
    rc = kube_get(client, path, NULL, &l->job.err);
    return rc == -ENOENT ? tp_error_set(&l->job.err, rc,
                                        "there is no namespace %s", l->ns)
                         : 0;
}

/* In the worker thread. Jobs of controllers, and pods that belong to something,
 * are left out later. */
static void work(struct engage_job *job, struct kube_client *client)
{
    struct listing *l = (struct listing *)job;
    const struct workload_kind *kind;

    for (size_t i = 0; i < KINDS_MAX && (kind = workload_kind_at(i)); i++) {
        char path[WORKLOAD_PATH_MAX], query[WORKLOAD_PATH_MAX + 16];

        workload_path(kind, l->ns, "", path);
        snprintf(query, sizeof(query), "%s?limit=500", path);
        job->status = kube_get(client, query, &l->lists[i], &job->err);
        if (job->status < 0)
            return;
    }
    if (is_empty(l))
        job->status = check_namespace(l, client);
}

struct agent_count {
    size_t agents;
};

static void count_cb(void *arg, const struct agent_info *agent)
{
    struct agent_count *count = arg;

    count->agents += agent->in && agent->out;
}

struct engaged {
    const struct engagements *e;
    struct json_object *list;
};

static void engaged_cb(void *arg, const struct engagement *eng)
{
    struct engaged *engaged = arg;
    const struct eng *full = store_find(engaged->e, eng->id);

    if (full)
        json_object_array_add(engaged->list,
                              workload_list_engagement(eng, full->object));
}

static bool is_pod_of(struct json_object *pod, const struct workload_kind *kind,
                      struct json_object *workload)
{
    struct json_object *selector = json_get(workload, "spec.selector");

    if (!strcmp(kind->kind, "Pod"))
        return pod == workload;
    return selector &&
           label_selector_matches(selector, json_get(pod, "metadata.labels"));
}

static struct json_object *pods_of_all(const struct listing *l)
{
    const struct workload_kind *kind;

    for (size_t i = 0; i < KINDS_MAX && (kind = workload_kind_at(i)); i++) {
        if (!strcmp(kind->kind, "Pod"))
            return json_get_array(l->lists[i], "items");
    }
    return NULL;
}

/* Of a workload without a connected agent: have its pods one that never will
 * be? */
static bool has_stranger(const struct listing *l,
                         const struct workload_kind *kind,
                         struct json_object *workload)
{
    struct json_object *pods = pods_of_all(l);
    struct agent_origin now, was;

    agent_origin_now(&now, l->job.e->env.inject);
    for (size_t i = 0; i < json_array_len(pods); i++) {
        struct json_object *pod = json_object_array_get_idx(pods, i);

        if (!pod_is_alive(pod) || !is_pod_of(pod, kind, workload))
            continue;
        agent_origin_of_pod(&was, pod);
        if (agent_origin_differs(&was, &now))
            return true;
    }
    return false;
}

static void add_workload(struct listing *l, const struct workload_kind *kind,
                         struct json_object *obj, struct json_object *out)
{
    struct engagements *e = l->job.e;
    struct workload_ref ref = {{0}, {0}, {0}};
    struct agent_count count = {0};
    struct engaged engaged = {e, json_object_new_array()};
    struct json_object *item;

    snprintf(ref.ns, sizeof(ref.ns), "%s", l->ns);
    snprintf(ref.kind, sizeof(ref.kind), "%s", kind->kind);
    snprintf(ref.name, sizeof(ref.name), "%s",
             json_get_str(obj, "metadata.name", ""));
    engagements_each(e, &ref, engaged_cb, &engaged);
    if (e->env.parts->agents)
        agents_each(e->env.parts->agents, &ref, count_cb, &count);
    json_put_str(obj, "kind", kind->kind); /* items of lists have none */
    item = workload_list_build(kind, obj, count.agents, engaged.list);
    if (count.agents == 0 && has_stranger(l, kind, obj)) {
        json_put_str(item, "agent", "stale");
        json_put_str(item, "agentReason",
                     "of a former installation of tp: it cannot connect, and "
                     "is renewed when somebody engages the workload");
    }
    json_object_array_add(out, item);
}

static void answer(struct listing *l)
{
    struct json_object *out = json_object_new_array();
    struct json_object *obj = json_object_new_object();
    const struct workload_kind *kind;

    for (size_t i = 0; i < KINDS_MAX && (kind = workload_kind_at(i)); i++) {
        struct json_object *items = json_get_array(l->lists[i], "items");

        for (size_t j = 0; j < json_array_len(items); j++) {
            struct json_object *item = json_object_array_get_idx(items, j);

            if (!workload_controller(item))
                add_workload(l, kind, item, out);
        }
    }
    json_object_object_add(obj, "workloads", out);
    reply_send(l->ask->reply, 200, obj);
}

static void done(struct engage_job *job)
{
    struct listing *l = (struct listing *)job;

    if (job->status == -ENOENT)
        reply_error(l->ask->reply, 404, "no-such-namespace", "%s",
                    job->err.text);
    else if (job->status < 0)
        reply_error(l->ask->reply, 503, NULL, "%s", job->err.text);
    else
        answer(l);
    for (size_t i = 0; i < KINDS_MAX; i++)
        json_object_put(l->lists[i]);
    engage_ask_free(l->ask);
    free(l);
}

void engage_workloads(struct engage_ask *a)
{
    struct listing *l = calloc(1, sizeof(*l));

    if (!l) {
        reply_error(a->reply, 503, NULL, "out of memory");
        engage_ask_free(a);
        return;
    }
    l->ask = a;
    memcpy(l->ns, a->workload.ns, sizeof(l->ns));
    l->job.work = work;
    l->job.done = done;
    engage_run(a->e, &l->job);
}
