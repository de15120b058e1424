/* engage.c - life of the engagements, their timer, what others may ask */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/api.h"
#include "manager/audit.h"
#include "manager/engage_internal.h"

/* ---- jobs -----------------------------------------------------------------
 */

static void work_cb(void *arg, struct kube_client *client)
{
    struct engage_job *job = arg;

    job->work(job, client);
}

static void done_cb(void *arg, const struct tp_error *err)
{
    struct engage_job *job = arg;

    if (err) {
        job->err = *err;
        job->status = err->code;
    }
    job->done(job);
}

void engage_run(struct engagements *e, struct engage_job *job)
{
    int rc;

    job->e = e;
    job->status = 0;
    memset(&job->err, 0, sizeof(job->err));
    rc = api_run(e->env.api, work_cb, done_cb, job);
    if (rc == 0)
        return;
    job->status = tp_error_errno(&job->err, rc, "API request");
    job->done(job);
}

void engage_path(const char *ns, const char *resource, const char *name,
                 char out[ENGAGE_PATH])
{
    snprintf(out, ENGAGE_PATH,
             "/apis/" CR_GROUP_VERSION "/namespaces/%s/%s%s%s", ns, resource,
             *name ? "/" : "", name);
}

/* ---- the timer ------------------------------------------------------------
 */

static void tick_cb(uv_timer_t *timer)
{
    struct engagements *e = timer->data;

    uv_timer_start(timer, tick_cb, TICK_MS, 0);
    engage_replicas_tick(e);
    engage_sessions_tick(e);
    engage_creations_tick(e);
    engage_drive_tick(e);
    engage_destinations_tick(e);
    engage_review_tick(e);
    engage_files_tick(e);
    janitor_survey_tick(e);
    engage_janitor_tick(e);
    engage_services_tick(e);
}

void engage_wake(struct engagements *e, unsigned ms)
{
    if (!e->closing && uv_timer_get_due_in(&e->timer) > ms)
        uv_timer_start(&e->timer, tick_cb, ms, 0);
}

void engagements_poke(struct engagements *e)
{
    e->sessions_due = 0;
    e->poked = true;
    engage_wake(e, POKE_MS);
}

/* ---- life -----------------------------------------------------------------
 */

static struct engagements *create(const struct engagements_env *env)
{
    struct engagements *e = calloc(1, sizeof(*e));
    size_t size = sizeof(e->replica);

    if (!e)
        return NULL;
    e->env = *env;
    TAILQ_INIT(&e->list);
    LIST_INIT(&e->sessions);
    TAILQ_INIT(&e->creations);
    LIST_INIT(&e->asks);
    LIST_INIT(&e->file_streams);
    for (size_t i = 0; i < ENGAGE_BUCKETS; i++)
        LIST_INIT(&e->buckets[i]);
    /* In a pod: its name. */
    if (uv_os_gethostname(e->replica, &size) < 0)
        snprintf(e->replica, sizeof(e->replica), "tp-manager");
    e->replicas = json_object_new_object();
    e->idle = json_object_new_object();
    e->left = json_object_new_object();
    e->making = json_object_new_object();
    e->switches = json_object_new_object();
    e->switches_held = json_object_new_object();
    e->annotated = json_object_new_object();
    e->replaced = json_object_new_object();
    return e;
}

struct engagements *engagements_create(const struct engagements_env *env,
                                       struct tp_error *err)
{
    struct engagements *e = create(env);

    if (!e) {
        tp_error_errno(err, -ENOMEM, "engagements");
        return NULL;
    }
    uv_timer_init(env->loop, &e->timer);
    e->timer.data = e;
    if (store_start(e, err) < 0) {
        engagements_close(e);
        uv_run(env->loop, UV_RUN_NOWAIT);
        engagements_destroy(e);
        return NULL;
    }
    uv_timer_start(&e->timer, tick_cb, 0, 0);
    return e;
}

void engagements_close(struct engagements *e)
{
    if (!e || e->closing)
        return;
    e->closing = true;
    engage_creations_tick(e); /* those that wait */
    store_stop(e);
    uv_close((uv_handle_t *)&e->timer, NULL);
}

void engagements_destroy(struct engagements *e)
{
    if (!e)
        return;
    store_release(e);
    engage_services_release(e);
    json_object_put(e->replicas);
    json_object_put(e->idle);
    json_object_put(e->left);
    json_object_put(e->making);
    json_object_put(e->switches);
    json_object_put(e->switches_held);
    json_object_put(e->annotated);
    json_object_put(e->replaced);
    free(e);
}

/* ---- for others -----------------------------------------------------------
 */

const struct engagement *engagements_find(const struct engagements *e,
                                          const char *id)
{
    const struct eng *eng = store_find(e, id);

    return eng && !eng->gone ? &eng->pub : NULL;
}

static bool is_of(const struct engagement *eng, const struct workload_ref *w)
{
    return !w || (!strcmp(eng->workload.name, w->name) &&
                  !strcmp(eng->workload.ns, w->ns) &&
                  !strcmp(eng->workload.kind, w->kind));
}

void engagements_each(const struct engagements *e,
                      const struct workload_ref *workload,
                      engagements_each_cb *cb, void *arg)
{
    const struct eng *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!eng->gone && is_of(&eng->pub, workload))
            cb(arg, &eng->pub);
    }
}

void engagements_count(const struct engagements *e,
                       uint64_t by_type[ENGAGEMENT_INGEST + 1])
{
    const struct eng *eng;

    memset(by_type, 0, sizeof(*by_type) * (ENGAGEMENT_INGEST + 1));
    TAILQ_FOREACH(eng, &e->list, entry)
    {
        by_type[eng->pub.type] += !eng->gone;
    }
}

void engage_audit(const struct engagement *eng, const char *verb, bool allowed,
                  const char *reason)
{
    char name[320];
    struct right right;

    engage_right(eng, engagement_type_name(eng->type), &right, name);
    audit_write(&(struct audit_event){
        .event = "engagement",
        .who = &eng->who,
        .verb = verb,
        .ns = eng->workload.ns,
        .name = eng->id,
        .destination = name,
        .allowed = allowed,
        .reason = reason,
    });
}
