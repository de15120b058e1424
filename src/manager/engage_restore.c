/*
 * engage_restore.c - a replace ends when the container is there again
 *
 * Who detaches from a replace would otherwise leave its workload without
 * anybody who answers, until a rollout is through. So first the template gets
 * its container back, and the engagement goes on (phase "restoring": agents of
 * replaced pods still deliver) until the pods that answer by themselves are
 * ready and the others are gone. Only then it ends.
 *
 * The owner's link drives it; without it the engagement ends at once, as there
 * is nobody left to deliver to.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/drive_step.h"
#include "manager/engage_reply.h"
#include "manager/janitor_clean.h"
#include "manager/workload.h"

#define RESTORE_STEP_MS 1000
#define RESTORE_MAX_MS  120000 /* then it ends, whatever the pods do */
#define LEAVING_MAX_MS  10000  /* for those that are told to go */

struct restoring {
    struct cleaning clean; /* first: it is the job */
    char id[ENGAGEMENT_ID_LEN + 1];
};

/* ---- how far it is --------------------------------------------------------
 */

static bool is_replaced(struct json_object *pod)
{
    cleanup_json struct json_object *config = config_of_pod(pod);

    return *json_get_str(config, "replace", "");
}

void restore_look(struct restore_view *view, struct json_object *workload,
                  struct json_object *pods)
{
    struct json_object *items = json_get_array(pods, "items");

    memset(view, 0, sizeof(*view));
    view->wanted = workload_replicas(workload);
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        bool replaced = is_replaced(pod);

        view->restored += !replaced && pod_is_ready(pod);
        view->replaced += replaced && pod_is_alive(pod);
        view->leaving += replaced && !pod_is_alive(pod);
    }
}

bool restore_is_done(const struct restore_view *view, uint64_t leaving_ms)
{
    return view->replaced == 0 && view->restored >= view->wanted &&
           (view->leaving == 0 || leaving_ms >= LEAVING_MAX_MS);
}

/* ---- steps ----------------------------------------------------------------
 */

static void written(struct engage_job *job)
{
    struct status_write *w = (struct status_write *)job;
    struct eng *eng;

    if (w->out && !job->e->closing)
        store_put(job->e, w->out);
    eng = store_find(job->e, w->id);
    if (eng)
        eng->busy = false;
    status_write_free(w);
}

static void tell(struct engagements *e, struct eng *eng,
                 const struct restore_view *view)
{
    char message[ENGAGE_TEXT];

    snprintf(message, sizeof(message),
             "the pods are rolled back: %" PRId64 " of %" PRId64 " %s",
             view->restored, view->wanted,
             view->restored >= view->wanted ? "are; the others go" : "are");
    if (eng->pub.phase == ENGAGEMENT_RESTORING &&
        !strcmp(message, json_get_str(eng->object, "status.message", "")))
        eng->busy = false;
    else
        status_write_run(e, eng, ENGAGEMENT_RESTORING, message,
                         (size_t)view->replaced, "", written);
}

static void conclude(struct engagements *e, struct eng *eng,
                     const struct drive_step *s)
{
    uint64_t now = uv_now(e->env.loop);
    struct restore_view view;

    restore_look(&view, s->workload, s->pods);
    if (view.replaced > 0 || view.restored < view.wanted)
        eng->leaving = 0;
    else if (!eng->leaving)
        eng->leaving = now;
    if (restore_is_done(&view, eng->leaving ? now - eng->leaving : 0)) {
        eng->busy = false;
        engage_end(e, eng, "end", "ended by its user", NULL);
        return;
    }
    eng->due = now + RESTORE_STEP_MS;
    tell(e, eng, &view);
}

static void looked(struct engage_job *job)
{
    struct drive_step *s = (struct drive_step *)job;
    struct engagements *e = job->e;
    struct eng *eng = store_find(e, s->id);

    if (eng && job->status == -ENOENT && !eng->ending && !e->closing) {
        eng->busy = false;
        engage_end(e, eng, "end", "ended by its user", NULL);
    } else if (eng && job->status == 0 && !eng->ending && !e->closing) {
        conclude(e, eng, s);
    } else if (eng) {
        eng->busy = false;
        eng->due = uv_now(e->env.loop) + RESTORE_STEP_MS;
    }
    drive_step_free(s);
}

static void look(struct engagements *e, struct eng *eng)
{
    struct drive_step *s =
        drive_step_create(&e->env, eng->pub.id, &eng->pub.workload);

    if (!s) {
        eng->busy = false;
        eng->due = uv_now(e->env.loop) + RESTORE_STEP_MS;
        return;
    }
    engagement_ports(&s->ports, eng->object);
    s->need.ports = &s->ports;
    s->job.done = looked; /* it may not patch: it only looks */
    engage_run(e, &s->job);
}

static void cleaned(struct engage_job *job)
{
    struct restoring *r = (struct restoring *)job;
    struct engagements *e = job->e;
    struct eng *eng = store_find(e, r->id);

    if (job->status < 0)
        log_warn("restoring %s: %s", r->id, job->err.text);
    if (eng && !eng->ending && !e->closing)
        look(e, eng);
    else if (eng)
        eng->busy = false;
    config_way_release(&r->clean.way);
    free(r);
}

void engage_restore_step(struct engagements *e, struct eng *eng)
{
    uint64_t now = uv_now(e->env.loop);
    struct restoring *r;

    if (now - eng->restoring >= RESTORE_MAX_MS) {
        engage_end(e, eng, "end", "ended by its user; its pods are not ready",
                   NULL);
        return;
    }
    r = calloc(1, sizeof(*r));
    eng->due = now + RESTORE_STEP_MS;
    if (!r || config_way_init(&r->clean.way, &e->env) < 0) {
        if (r)
            config_way_release(&r->clean.way);
        free(r);
        return;
    }
    memcpy(r->id, eng->pub.id, sizeof(r->id));
    janitor_prepare(e, &r->clean, &eng->pub.workload);
    r->clean.job.work = janitor_clean;
    r->clean.job.done = cleaned;
    eng->busy = true;
    engage_run(e, &r->clean.job);
}

/* ---- the request ----------------------------------------------------------
 */

bool engage_restores(const struct eng *eng)
{
    return eng->pub.type == ENGAGEMENT_REPLACE && !eng->ending &&
           eng->pub.phase != ENGAGEMENT_PENDING;
}

void engage_restore(struct engagements *e, struct eng *eng, struct reply *reply)
{
    if (!eng->restoring) {
        log_info("engagement %s: its container comes back", eng->pub.id);
        eng->restoring = uv_now(e->env.loop);
        eng->due = eng->restoring;
        eng->driven = true;
        engage_wake(e, POKE_MS);
    }
    reply_send(reply, 202,
               engagement_to_client(eng->object, &eng->pub,
                                    "the pods are rolled back"));
}
