/*
 * engage_destinations.c - clients learn which addresses lead back to them
 *
 * For each intercept and replace that this replica drives and that is ready:
 * the cluster IPs of the Services before the workload, and the addresses of its
 * pods whose agents are connected. Services and pods are read each REFRESH_MS,
 * and when an agent comes; one that goes takes its pod's addresses along at
 * once. The client is told when the list changes and after each reading, and
 * forgets what is not repeated: a Service that was turned to another workload
 * leads here for REFRESH_MS at most.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/agents.h"
#include "manager/destinations.h"
#include "manager/engage_internal.h"
#include "manager/workload.h"

#define REFRESH_MS 30000
#define SOON_MS    1000 /* a failure; a pod that has no address yet */
#define READINGS   8    /* at once */

struct reading {
    struct engage_job job;
    char id[ENGAGEMENT_ID_LEN + 1];
    struct workload_ref ref;
    struct json_object *workload, *services, *pods;
};

/* ---- in the worker thread -------------------------------------------------
 */

/* Services from the API server's cache: many clients ask. */
static void work(struct engage_job *job, struct kube_client *client)
{
    struct reading *r = (struct reading *)job;
    cleanup_free char *pods = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(workload_kind_find(r->ref.kind), r->ref.ns, r->ref.name,
                  path);
    job->status = kube_get(client, path, &r->workload, &job->err);
    if (job->status < 0)
        return;
    pods = workload_pods_path(r->ref.ns, r->workload);
    if (pods)
        job->status = kube_get(client, pods, &r->pods, &job->err);
    snprintf(path, sizeof(path),
             "/api/v1/namespaces/%s/services?resourceVersion=0", r->ref.ns);
    if (job->status == 0)
        job->status = kube_get(client, path, &r->services, &job->err);
}

/* ---- agents ---------------------------------------------------------------
 */

struct agent_search {
    const char *uid; /* of a pod */
    bool found;
    struct json_object *pods; /* or: is one connected that is not in here? */
    bool news;
};

static void agent_cb(void *arg, const struct agent_info *agent)
{
    struct agent_search *s = arg;

    if (!agent->in || !agent->out)
        return;
    s->found = s->found || (s->uid && !strcmp(agent->uid, s->uid));
    s->news = s->news || (s->pods && !json_member(s->pods, agent->uid));
}

static void ask_agents(const struct engagements *e, const struct eng *eng,
                       struct agent_search *s)
{
    if (e->env.parts->agents)
        agents_each(e->env.parts->agents, &eng->pub.workload, agent_cb, s);
}

/* {uid: its destinations}, of the pods that have an address. */
static struct json_object *pods_by_uid(const struct eng *eng,
                                       struct json_object *pods)
{
    struct json_object *items = json_get_array(pods, "items");
    struct json_object *out = json_object_new_object();
    struct resolved ports;

    engagement_ports(&ports, eng->object);
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i), *list;

        if (!json_get(pod, "status.podIPs"))
            continue;
        list = json_object_new_array();
        destinations_add_pod(list, pod, &ports);
        json_object_object_add(out, json_get_str(pod, "metadata.uid", ""),
                               list);
    }
    return out;
}

/* ---- what is told ---------------------------------------------------------
 */

static void append(struct json_object *list, struct json_object *from)
{
    for (size_t i = 0; i < json_array_len(from); i++)
        json_object_array_add(
            list, json_object_get(json_object_array_get_idx(from, i)));
}

/* Services and pods. Owned. */
static struct json_object *all(struct engagements *e, const struct eng *eng)
{
    struct json_object *list = json_object_new_array();

    append(list, eng->services);
    json_object_object_foreach(eng->pods, uid, destinations)
    {
        struct agent_search search = {.uid = uid};

        ask_agents(e, eng, &search);
        if (search.found)
            append(list, destinations);
    }
    return list;
}

/* Takes list. */
static void tell(struct engagements *e, struct eng *eng,
                 struct json_object *list)
{
    cleanup_json struct json_object *event = json_object_new_object();
    struct json_object *engagement =
        engagement_to_client(eng->object, &eng->pub, NULL);

    json_object_object_add(engagement, "destinations", json_object_get(list));
    json_put_str(event, "type", "engagement");
    json_object_object_add(event, "engagement", engagement);
    engage_links_send(e->env.parts->links, &eng->pub, json_to_text(event));
    json_object_put(eng->told);
    eng->told = list;
}

static void tell_changes(struct engagements *e, struct eng *eng)
{
    struct json_object *list = all(e, eng);

    if (json_object_equal(eng->told, list))
        json_object_put(list);
    else
        tell(e, eng, list);
}

/* ---- readings -------------------------------------------------------------
 */

static void take(struct engagements *e, struct eng *eng, struct reading *r)
{
    engage_destinations_free(eng);
    eng->services = json_object_new_array();
    destinations_add_services(eng->services, workload_template(r->workload),
                              r->services, &eng->pub);
    eng->pods = pods_by_uid(eng, r->pods);
    eng->told = NULL;
    tell(e, eng, all(e, eng));
}

static void done(struct engage_job *job)
{
    struct reading *r = (struct reading *)job;
    struct engagements *e = job->e;
    struct eng *eng = store_find(e, r->id);

    e->readings--;
    if (eng)
        eng->reading = false;
    if (job->status < 0 && job->status != -ENOENT)
        log_warn("destinations of engagement %s: %s", r->id, job->err.text);
    if (eng && job->status == 0 && !e->closing)
        take(e, eng, r);
    else if (eng)
        eng->read_due = uv_now(e->env.loop) + SOON_MS;
    json_object_put(r->workload);
    json_object_put(r->services);
    json_object_put(r->pods);
    free(r);
}

static void read_now(struct engagements *e, struct eng *eng)
{
    struct reading *r = calloc(1, sizeof(*r));

    if (!r)
        return;
    memcpy(r->id, eng->pub.id, sizeof(r->id));
    r->ref = eng->pub.workload;
    r->job.work = work;
    r->job.done = done;
    eng->read_at = uv_now(e->env.loop);
    eng->read_due = eng->read_at + REFRESH_MS;
    eng->reading = true;
    e->readings++;
    engage_run(e, &r->job);
}

/* An agent is there whose pod was not there, or had no address, before. */
static bool has_news(const struct engagements *e, const struct eng *eng)
{
    struct agent_search search = {.pods = eng->pods};

    ask_agents(e, eng, &search);
    return search.news;
}

static bool is_told(const struct eng *eng)
{
    return eng->driven && !eng->ending && eng->pub.phase == ENGAGEMENT_READY &&
           (eng->pub.type == ENGAGEMENT_INTERCEPT ||
            eng->pub.type == ENGAGEMENT_REPLACE);
}

void engage_destinations_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct eng *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (e->closing || !is_told(eng)) {
            eng->read_due = 0;
            continue;
        }
        if (eng->told)
            tell_changes(e, eng);
        if (eng->told && has_news(e, eng) &&
            eng->read_due > eng->read_at + SOON_MS)
            eng->read_due = eng->read_at + SOON_MS;
        if (now >= eng->read_due && !eng->reading && e->readings < READINGS)
            read_now(e, eng);
    }
}

void engage_destinations_free(struct eng *eng)
{
    json_object_put(eng->services);
    json_object_put(eng->pods);
    json_object_put(eng->told);
}
