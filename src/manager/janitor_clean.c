#include "manager/janitor_clean.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/drive_step.h"
#include "manager/workload.h"

/* What people's own annotation makes is as it was before; else the agents stay,
 * for whoever engages it next. */
static bool is_pre_injected(struct json_object *workload)
{
    const char *wish = workload_annotation(workload, ANNOTATION_INJECT);

    return wish && !strcmp(wish, "enabled");
}

/* CONFIG without replacing, with what the others need. Owned. */
static struct json_object *restored(struct cleaning *c,
                                    struct json_object *config,
                                    struct json_object *workload)
{
    struct json_object *now = config_restore(config);

    for (size_t i = 0; now && i < c->need_count; i++) {
        struct config_need need = {.ports = &c->needs[i]};
        struct json_object *merged = NULL;

        if (config_merge(&merged, now, workload_template(workload), &need,
                         &c->job.err) == 0) {
            json_object_put(now);
            now = merged;
        }
    }
    return now;
}

/* Controllers that do not restart pods by themselves: one pod of those that are
 * still replaced goes, while all are there. */
static int evict_one(struct cleaning *c, struct kube_client *client,
                     struct json_object *workload)
{
    cleanup_free char *path = workload_pods_path(c->ref.ns, workload);
    cleanup_json struct json_object *list = NULL;
    struct json_object *items;
    const char *name = NULL;
    int64_t ready = 0;
    int rc = path ? kube_get(client, path, &list, &c->job.err) : -EINVAL;

    items = json_get_array(list, "items");
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        cleanup_json struct json_object *config = config_of_pod(pod);

        ready += pod_is_ready(pod);
        if (*json_get_str(config, "replace", ""))
            name = json_get_str(pod, "metadata.name", "");
    }
    c->more = name != NULL;
    if (rc < 0 || !name || ready < workload_replicas(workload))
        return rc;
    rc = pod_evict(client, c->ref.ns, name, &c->job.err);
    c->acted = rc == 0;
    return rc;
}

static int write_config(struct cleaning *c, struct kube_client *client,
                        struct json_object *config,
                        struct json_object **workload)
{
    int rc =
        config_write(client, &c->way, &c->ref, config, workload, &c->job.err);

    c->acted = rc == 0;
    return rc;
}

/* The rollout was stuck (a quota, an image) and whoever wanted it has left:
 * the template is as it was, and so the old pods stay. */
static int give_up(struct cleaning *c, struct kube_client *client,
                   struct json_object **workload)
{
    cleanup_free char *path = workload_pods_path(c->ref.ns, *workload);
    cleanup_json struct json_object *list = NULL;
    struct json_object *items;
    int rc = path ? kube_get(client, path, &list, &c->job.err) : -EINVAL;

    items = json_get_array(list, "items");
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);

        if (pod_is_ready(pod) && pod_has_agent(pod))
            return 0; /* an idle agent, like others */
    }
    return rc < 0 ? rc : write_config(c, client, NULL, workload);
}

static int clean(struct cleaning *c, struct kube_client *client,
                 struct json_object **workload)
{
    const char *text = workload_annotation(*workload, ANNOTATION_AGENT);
    cleanup_json struct json_object *config = config_parse(text), *next = NULL;
    struct rollout_plan plan;

    rollout_plan(&plan, workload_kind_find(c->ref.kind), *workload);
    if (c->given_up)
        return config ? give_up(c, client, workload) : 0;
    if (c->remove)
        return config && !plan.interrupts
                   ? write_config(c, client, NULL, workload)
                   : 0;
    if (*json_get_str(config, "replace", "")) {
        if (c->need_count == 0 && is_pre_injected(*workload))
            return write_config(c, client, NULL, workload);
        next = restored(c, config, *workload);
        return next ? write_config(c, client, next, workload) : -ENOMEM;
    }
    return plan.method == ROLLOUT_EVICT ? evict_one(c, client, *workload) : 0;
}

void janitor_clean(struct engage_job *job, struct kube_client *client)
{
    struct cleaning *c = (struct cleaning *)job;
    const struct workload_kind *kind = workload_kind_find(c->ref.kind);
    struct json_object *workload = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(kind, c->ref.ns, c->ref.name, path);
    job->status = kube_get(client, path, &workload, &job->err);
    if (job->status == 0)
        job->status = clean(c, client, &workload);
    json_object_put(workload);
}
