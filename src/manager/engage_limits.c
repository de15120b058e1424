/* engage_limits.c - GET /tp/v1/engagements/ID/limits */
#include "manager/engage_limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/engage_ask.h"
#include "manager/workload.h"

struct limits_job {
    struct engage_job job;
    struct engage_ask *ask;
    struct workload_ref ref;
    char container[64];
    struct json_object *limits;
};

static struct json_object *container_in(struct json_object *pods,
                                        struct json_object *pod_template,
                                        const char *name)
{
    struct json_object *items = json_get_array(pods, "items"), *found = NULL;

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        struct json_object *container = template_container(pod, name);

        if (container && (!found || pod_is_ready(pod)))
            found = container;
    }
    return found ? found : template_container(pod_template, name);
}

struct json_object *limits_of(struct json_object *pods,
                              struct json_object *pod_template,
                              const char *container)
{
    static const char *const names[] = {"cpu", "memory"};
    struct json_object *limits = json_get(
        container_in(pods, pod_template, container), "resources.limits");
    struct json_object *out = json_object_new_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *text = json_get_str(limits, names[i], "");

        if (*text)
            json_put_str(out, names[i], text);
    }
    return out;
}

/* In the worker thread. */
static void work(struct engage_job *job, struct kube_client *client)
{
    struct limits_job *l = (struct limits_job *)job;
    cleanup_json struct json_object *workload = NULL, *pods = NULL;
    cleanup_free char *list = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(workload_kind_find(l->ref.kind), l->ref.ns, l->ref.name,
                  path);
    job->status = kube_get(client, path, &workload, &job->err);
    list = workload ? workload_pods_path(l->ref.ns, workload) : NULL;
    if (job->status == 0 && list)
        job->status = kube_get(client, list, &pods, &job->err);
    if (job->status == 0)
        l->limits = limits_of(pods, workload_template(workload), l->container);
}

static void done(struct engage_job *job)
{
    struct limits_job *l = (struct limits_job *)job;
    struct json_object *answer;

    if (job->status < 0) {
        reply_error(l->ask->reply, 503, NULL, "%s", job->err.text);
    } else {
        answer = json_object_new_object();
        json_object_object_add(answer, "limits", l->limits);
        reply_send(l->ask->reply, 200, answer);
    }
    engage_ask_free(l->ask);
    free(l);
}

void engage_limits(struct engage_ask *a)
{
    struct limits_job *l = calloc(1, sizeof(*l));

    if (!l) {
        reply_error(a->reply, 503, NULL, "out of memory");
        engage_ask_free(a);
        return;
    }
    l->ask = a;
    l->ref = a->workload;
    memcpy(l->container, a->container, sizeof(l->container));
    l->job.work = work;
    l->job.done = done;
    engage_run(a->e, &l->job);
}
