#include "manager/drive_step.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/service_switch_run.h"
#include "manager/workload.h"
#include "manager/workload_event.h"

/* ---- CONFIG ---------------------------------------------------------------
 */

/* The webhook adds these to what an agent is told. */
static void strip(struct json_object *config)
{
    static const char *const added[] = {"probes", "env", "exclude"};

    for (size_t i = 0; i < sizeof(added) / sizeof(*added); i++)
        json_object_object_del(config, added[i]);
}

/* Of a pod that is no left-over: the replaced ones go when the replacing does.
 */
static struct json_object *config_of_living(struct json_object *pod)
{
    struct json_object *config = pod_is_alive(pod) ? config_of_pod(pod) : NULL;

    if (!*json_get_str(config, "replace", ""))
        return config;
    json_object_put(config);
    return NULL;
}

struct json_object *config_existing(struct json_object *workload,
                                    struct json_object *pods)
{
    struct json_object *items = json_get_array(pods, "items");
    struct json_object *config =
        config_parse(workload_annotation(workload, ANNOTATION_AGENT));

    for (size_t i = 0; !config && i < json_array_len(items); i++) {
        config = config_of_living(json_object_array_get_idx(items, i));
        if (config)
            strip(config);
    }
    return config;
}

/* ---- a step ---------------------------------------------------------------
 */

static bool connected_cb(void *arg, const char *uid)
{
    return json_member(arg, uid) != NULL;
}

/* Pods that were made while the webhook could not be reached have no agent, or
 * one of a former installation, and the template has said all that it can. */
static bool needs_restart(const struct drive_step *s,
                          const struct pods_view *view)
{
    return s->may_restart && s->plan.method == ROLLOUT_TEMPLATE &&
           view->fit < view->ready && rollout_is_complete(s->workload);
}

static int patch_if_needed(struct drive_step *s, struct kube_client *client)
{
    cleanup_json struct json_object *config = NULL, *merged = NULL;
    bool annotated = workload_annotation(s->workload, ANNOTATION_AGENT), covers;
    struct pods_view view;
    int rc;

    if (s->plan.method == ROLLOUT_NEVER)
        return 0;
    pods_look(&view, s->pods, &s->need, connected_cb, s->connected);
    config = config_existing(s->workload, s->pods);
    covers = config_covers(config, &s->need);
    /* Without the annotation, what the pods have does only while all have it;
     * also those that are not ready, as when an agent has just crashed. */
    s->wanted_patch = !covers || (!annotated && view.able < view.alive);
    s->restarted = !s->wanted_patch && annotated && needs_restart(s, &view);
    if ((!s->wanted_patch || !s->may_patch) && !s->restarted)
        return 0;
    rc = config_merge(&merged, config, workload_template(s->workload), &s->need,
                      &s->job.err);
    s->way.restart = s->restarted;
    if (rc == 0)
        rc = config_write(client, &s->way, &s->ref, merged, &s->workload,
                          &s->job.err);
    s->patched = rc == 0;
    s->restarted = s->restarted && rc == 0;
    return rc == -EEXIST ? 0 : rc; /* somebody else was faster: next time */
}

/* engage_services.c leads them; here it is only seen how far that is. */
static int look_at_services(struct drive_step *s, struct kube_client *client)
{
    struct switch_want wants[ENGAGEMENT_PORTS_MAX];
    struct switch_run run = {
        .client = client,
        .wants = wants,
        .look_only = true,
        .all = true,
    };
    int rc = 0;

    run.count = switch_wants_of(&s->ref, &s->ports, s->workload, wants);
    if (run.count > 0)
        rc = switch_run_namespace(&run, s->ref.ns, &s->job.err);
    s->services_led = run.all;
    memcpy(s->services, run.reason, sizeof(s->services));
    return rc;
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct drive_step *s = (struct drive_step *)job;
    const struct workload_kind *kind = workload_kind_find(s->ref.kind);
    cleanup_free char *pods = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(kind, s->ref.ns, s->ref.name, path);
    job->status = kube_get(client, path, &s->workload, &job->err);
    if (job->status < 0)
        return;
    pods = workload_pods_path(s->ref.ns, s->workload);
    job->status = pods ? kube_get(client, pods, &s->pods, &job->err)
                       : tp_error_set(&job->err, -EINVAL, "no selector");
    if (job->status < 0)
        return;
    rollout_plan(&s->plan, kind, s->workload);
    job->status = patch_if_needed(s, client);
    if (job->status == 0)
        job->status = look_at_services(s, client);
}

struct drive_step *drive_step_create(const struct engagements_env *env,
                                     const char *id,
                                     const struct workload_ref *ref)
{
    struct drive_step *s = calloc(1, sizeof(*s));

    if (!s || config_way_init(&s->way, env) < 0) {
        drive_step_free(s);
        return NULL;
    }
    snprintf(s->id, sizeof(s->id), "%s", id);
    s->ref = *ref;
    s->connected = json_object_new_object();
    s->job.work = work;
    return s;
}

void drive_step_free(struct drive_step *s)
{
    if (!s)
        return;
    config_way_release(&s->way);
    json_object_put(s->workload);
    json_object_put(s->pods);
    json_object_put(s->connected);
    free(s);
}

/* ---- status ---------------------------------------------------------------
 */

int pod_evict(struct kube_client *client, const char *ns, const char *name,
              struct tp_error *err)
{
    cleanup_json struct json_object *eviction = json_object_new_object();
    struct json_object *metadata = json_object_new_object();
    char path[512];

    json_put_str(metadata, "name", name);
    json_put_str(metadata, "namespace", ns);
    json_put_str(eviction, "apiVersion", "policy/v1");
    json_put_str(eviction, "kind", "Eviction");
    json_object_object_add(eviction, "metadata", metadata);
    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s/eviction", ns,
             name);
    return kube_call(client, "POST", path, NULL, eviction, NULL, err);
}

static void evict(struct status_write *w, struct kube_client *client)
{
    int rc = pod_evict(client, w->ns, w->evict, &w->job.err);

    if (rc == -EAGAIN)
        snprintf(w->message, sizeof(w->message),
                 "a PodDisruptionBudget does not let pod %.200s go yet",
                 w->evict);
    else if (rc < 0 && rc != -ENOENT)
        snprintf(w->message, sizeof(w->message), "%.500s", w->job.err.text);
}

static void write_work(struct engage_job *job, struct kube_client *client)
{
    struct status_write *w = (struct status_write *)job;
    cleanup_json struct json_object *patch = NULL;
    char path[ENGAGE_PATH], name[64];

    if (*w->evict)
        evict(w, client);
    patch = engagement_status(engagement_phase_name(w->phase), w->message,
                              (int64_t)w->pods);
    snprintf(name, sizeof(name), "%s/status", w->id);
    engage_path(w->manager_ns, "engagements", name, path);
    job->status = kube_call(client, "PATCH", path, MERGE_PATCH, patch, &w->out,
                            &job->err);
    if (job->status == 0 && w->event)
        workload_event_post(client, w->event);
}

void status_write_run(struct engagements *e, struct eng *eng,
                      enum engagement_phase phase, const char *message,
                      size_t pods, const char *evicted,
                      void (*done)(struct engage_job *))
{
    struct status_write *w = calloc(1, sizeof(*w));

    if (!w) {
        eng->busy = false;
        return;
    }
    snprintf(w->id, sizeof(w->id), "%s", eng->pub.id);
    snprintf(w->manager_ns, sizeof(w->manager_ns), "%s", e->env.ns);
    snprintf(w->ns, sizeof(w->ns), "%s", eng->pub.workload.ns);
    snprintf(w->evict, sizeof(w->evict), "%s", evicted);
    snprintf(w->message, sizeof(w->message), "%s", message);
    w->phase = phase;
    w->pods = pods;
    if (phase == ENGAGEMENT_READY && !eng->announced)
        w->event = workload_event_build(&eng->pub, true, e->replica);
    eng->announced = eng->announced || w->event;
    w->job.work = write_work;
    w->job.done = done;
    engage_run(e, &w->job);
}

void status_write_free(struct status_write *w)
{
    json_object_put(w->event);
    json_object_put(w->out);
    free(w);
}
