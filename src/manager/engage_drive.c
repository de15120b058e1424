/*
 * engage_drive.c - the pods of an engaged workload get their agents
 *
 * One replica drives an engagement: the one that its client asked, as long as
 * the client's outgoing link is here. A step reads the workload and its pods,
 * writes CONFIG into the pod template if it is not there, and says in the
 * status how far it is. Steps follow each other by the timer while the pods are
 * not ready, and when agents come or go.
 *
 * Where Services are led to the agents, steps go on: others change them, too.
 *
 * An annotation that somebody takes away again (GitOps) is put back a few times
 * only: a foreign edit wins (KUBERNETES 7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/agents.h"
#include "manager/drive_step.h"
#include "manager/engage_internal.h"
#include "manager/workload.h"

#define STEP_FAST_MS 1000
#define STEP_SLOW_MS 3000
#define FAST_FOR_MS  60000
#define POKE_STEP_MS 250
#define PATCHES_MAX  3

/* ---- what a step found ----------------------------------------------------
 */

static void connected_uid_cb(void *arg, const struct agent_info *agent)
{
    if (agent->in && agent->out)
        json_object_object_add(arg, agent->uid, json_object_new_boolean(true));
}

struct json_object *engage_connected(const struct engagements *e,
                                     const struct workload_ref *workload)
{
    struct json_object *uids = json_object_new_object();

    if (e->env.parts->agents)
        agents_each(e->env.parts->agents, workload, connected_uid_cb, uids);
    return uids;
}

static bool connected_cb(void *arg, const char *uid)
{
    return json_member(arg, uid) != NULL;
}

static void count_cb(void *arg, const struct agent_info *agent)
{
    *(size_t *)arg += agent->in && agent->out;
}

static size_t count_agents(const struct engagements *e, const struct eng *eng)
{
    size_t n = 0;

    if (e->env.parts->agents)
        agents_each(e->env.parts->agents, &eng->pub.workload, count_cb, &n);
    return n;
}

/* ---- the status -----------------------------------------------------------
 */

static void written(struct engage_job *job)
{
    struct status_write *w = (struct status_write *)job;
    struct engagements *e = job->e;
    struct eng *eng;

    if (job->status < 0 && job->status != -ENOENT)
        log_warn("engagement %s: %s", w->id, job->err.text);
    if (w->out && !e->closing)
        store_put(e, w->out);
    eng = store_find(e, w->id);
    if (eng)
        eng->busy = false;
    status_write_free(w);
}

static void write_status(struct engagements *e, struct eng *eng,
                         const struct rollout_state *state, size_t pods,
                         const char *evict)
{
    enum engagement_phase phase =
        state->ready ? ENGAGEMENT_READY : ENGAGEMENT_INJECTING;
    char message[ENGAGE_TEXT * 2 + 4];

    snprintf(message, sizeof(message), "%s%s%s", state->message,
             *state->message && *eng->note ? "; " : "", eng->note);
    if (!*evict && phase == eng->pub.phase &&
        !strcmp(message, json_get_str(eng->object, "status.message", "")) &&
        json_get_int(eng->object, "status.pods", -1) == (int64_t)pods) {
        eng->busy = false;
        return;
    }
    if (phase == ENGAGEMENT_READY && eng->pub.phase != ENGAGEMENT_READY)
        engage_audit(&eng->pub, "ready", true, *message ? message : NULL);
    status_write_run(e, eng, phase, message, pods, evict, written);
}

/* ---- steps ----------------------------------------------------------------
 */

static void schedule(struct engagements *e, struct eng *eng, bool ready)
{
    uint64_t now = uv_now(e->env.loop);

    if (ready && !eng->again && !engage_has_services(eng))
        eng->due = 0;
    else
        eng->due =
            now + (!ready && now - eng->started < FAST_FOR_MS ? STEP_FAST_MS
                                                              : STEP_SLOW_MS);
    eng->again = false;
}

static void fail(struct engagements *e, struct eng *eng, struct drive_step *s)
{
    struct rollout_state state = {0};

    snprintf(state.message, sizeof(state.message), "%.290s",
             s->job.status == -ENOENT ? "the workload is gone"
                                      : s->job.err.text);
    write_status(e, eng, &state, 0, "");
}

/* The pods are one thing, the Services that lead to them another. */
static void add_services(struct rollout_state *state, const char *why)
{
    size_t len = state->ready ? 0 : strlen(state->message);

    state->ready = false;
    snprintf(state->message + len, sizeof(state->message) - len, "%s%.250s",
             len ? "; " : "", why);
}

static void conclude(struct engagements *e, struct eng *eng,
                     struct drive_step *s)
{
    cleanup_json struct json_object *connected =
        engage_connected(e, &eng->pub.workload);
    struct rollout_state state;
    struct pods_view view;

    pods_look(&view, s->pods, &s->need, connected_cb, connected);
    rollout_judge(&state, &s->plan, s->workload, &view);
    if (!s->services_led)
        add_services(&state, s->services);
    if (!state.ready && s->wanted_patch && !s->may_patch)
        snprintf(state.message, sizeof(state.message),
                 "somebody takes the annotation " ANNOTATION_AGENT
                 " of the pod template away (GitOps?): allow it there");
    schedule(e, eng, state.ready);
    write_status(e, eng, &state, view.connected, state.evict ? view.unfit : "");
}

static void stepped(struct engage_job *job)
{
    struct drive_step *s = (struct drive_step *)job;
    struct engagements *e = job->e;
    struct eng *eng = store_find(e, s->id);

    if (eng && eng->driven && !eng->restoring && !e->closing) {
        eng->patches += s->patched;
        eng->restarted = eng->restarted || s->restarted;
        if (job->status < 0) {
            schedule(e, eng, false);
            fail(e, eng, s);
        } else {
            conclude(e, eng, s);
        }
    } else if (eng) {
        eng->busy = false;
    }
    drive_step_free(s);
}

static void step(struct engagements *e, struct eng *eng)
{
    struct drive_step *s =
        drive_step_create(&e->env, eng->pub.id, &eng->pub.workload);

    if (!s)
        return;
    engagement_ports(&s->ports, eng->object);
    s->need.ports = &s->ports;
    s->need.replace = eng->pub.type == ENGAGEMENT_REPLACE;
    agent_origin_now(&s->origin, e->env.inject);
    s->need.origin = &s->origin;
    json_object_put(s->connected);
    s->connected = engage_connected(e, &eng->pub.workload);
    s->may_patch = eng->patches < PATCHES_MAX;
    s->may_restart = !eng->restarted && eng->patches == 0;
    s->job.done = stepped;
    eng->busy = true;
    eng->due = 0;
    engage_run(e, &s->job);
}

void engage_drive(struct engagements *e, struct eng *eng)
{
    if (!eng->driven)
        eng->started = uv_now(e->env.loop);
    eng->driven = true;
    eng->read_due = 0; /* a client that is back knows no destinations */
    eng->due = uv_now(e->env.loop);
    if (!eng->busy && !eng->ending && !eng->restoring && !e->closing)
        step(e, eng);
}

/* Agents have come or gone. */
static void hurry(struct engagements *e)
{
    uint64_t soon = uv_now(e->env.loop) + POKE_STEP_MS;
    struct eng *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!eng->driven || eng->restoring ||
            (eng->pub.phase == ENGAGEMENT_READY &&
             json_get_int(eng->object, "status.pods", -1) ==
                 (int64_t)count_agents(e, eng)))
            continue;
        if (eng->busy)
            eng->again = true;
        else if (!eng->due || eng->due > soon)
            eng->due = soon;
    }
}

/* Its client has no link here: whoever gets the next one does it. */
static void leave(struct engagements *e, struct eng *eng)
{
    eng->driven = false;
    if (eng->restoring &&
        !engage_links_any(e->env.parts->links, eng->pub.session))
        engage_end(e, eng, "end", "ended by its user", NULL);
    eng->restoring = 0;
}

void engage_drive_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop), next = TICK_MS;
    struct eng *eng, *following;

    if (e->poked)
        hurry(e);
    e->poked = false;
    for (eng = TAILQ_FIRST(&e->list); eng; eng = following) {
        following = TAILQ_NEXT(eng, entry);
        if (!eng->driven || eng->busy || eng->ending || !eng->due || e->closing)
            continue;
        if (!engage_links_outgoing(e->env.parts->links, eng->pub.session))
            leave(e, eng);
        else if (now >= eng->due && eng->restoring)
            engage_restore_step(e, eng);
        else if (now >= eng->due)
            step(e, eng);
        else if (eng->due - now < next)
            next = eng->due - now;
    }
    if (next < TICK_MS)
        engage_wake(e, (unsigned)next);
}
