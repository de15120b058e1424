/*
 * engage_janitor.c - agents that nobody needs, containers that were replaced
 *
 * Only the holder of the Lease tp-janitor does this. It knows the workloads
 * with agents by the agents that are connected, which connect to every replica.
 * A workload that nobody engages for a while loses the annotation, and with it
 * its agents (pre-injected ones come back, they are the people's); one that is
 * replaced by nobody any more gets its container back at once. Both are
 * rollouts; one workload at a time, so that nothing storms.
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
#include "manager/drive_step.h"
#include "manager/engage_internal.h"
#include "manager/workload.h"

#define NEEDS_MAX 32
#define KEY_MAX   360

struct cleaning {
    struct engage_job job;
    struct workload_ref ref;
    bool remove; /* the annotation as a whole */
    struct resolved needs[NEEDS_MAX];
    size_t need_count;
    bool patched;
};

/* ---- in the worker thread -------------------------------------------------
 */

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

static void work(struct engage_job *job, struct kube_client *client)
{
    struct cleaning *c = (struct cleaning *)job;
    const struct workload_kind *kind = workload_kind_find(c->ref.kind);
    struct json_object *workload = NULL;
    cleanup_json struct json_object *config = NULL, *next = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(kind, c->ref.ns, c->ref.name, path);
    job->status = kube_get(client, path, &workload, &job->err);
    if (job->status < 0)
        return;
    config = config_parse(workload_annotation(workload, ANNOTATION_AGENT));
    if (config && c->remove) {
        job->status =
            config_write(client, &c->ref, NULL, false, &workload, &job->err);
        c->patched = job->status == 0;
    } else if (*json_get_str(config, "replace", "")) {
        next = restored(c, config, workload);
        job->status = next ? config_write(client, &c->ref, next, false,
                                          &workload, &job->err)
                           : -ENOMEM;
        c->patched = job->status == 0;
    }
    json_object_put(workload);
}

static void done(struct engage_job *job)
{
    struct cleaning *c = (struct cleaning *)job;
    struct engagements *e = job->e;

    e->cleaning = false;
    if (job->status < 0 && job->status != -ENOENT)
        log_warn("janitor: %s", job->err.text);
    else if (c->patched)
        log_info("janitor: %s/%s in %s: %s", c->ref.kind, c->ref.name,
                 c->ref.ns,
                 c->remove ? "idle agents are removed"
                           : "the replaced container comes back");
    if (c->patched) {
        e->janitor_due = 0; /* perhaps there is another one */
        engage_wake(e, TICK_MS);
    }
    free(c);
}

/* ---- on the loop ----------------------------------------------------------
 */

struct looking {
    struct engagements *e;
    struct json_object *idle; /* of this round */
    struct cleaning *found;
};

struct use {
    struct engagements *e;
    size_t count;
    bool replaced;
    struct cleaning *c;
};

static void use_cb(void *arg, const struct engagement *eng)
{
    struct use *use = arg;
    const struct eng *full = store_find(use->e, eng->id);
    struct cleaning *c = use->c;

    use->count++;
    use->replaced = use->replaced || eng->type == ENGAGEMENT_REPLACE;
    if (full && c->need_count < NEEDS_MAX) {
        struct resolved *need = &c->needs[c->need_count++];

        engagement_ports(need, full->object);
        for (size_t i = 0; i < need->count; i++) {
            if (need->ports[i].mode == PORT_DIRECT)
                need->ports[i].mode = PORT_REDIRECT;
        }
    }
}

/* Since when it is idle, kept from round to round. */
static bool is_idle_for_long(struct looking *l, const struct workload_ref *w)
{
    uint64_t now = uv_now(l->e->env.loop);
    int64_t since;
    char key[KEY_MAX];

    snprintf(key, sizeof(key), "%s/%s/%s", w->ns, w->kind, w->name);
    since = (int64_t)now;
    if (json_member(l->e->idle, key))
        since = json_object_get_int64(json_member(l->e->idle, key));
    json_object_object_add(l->idle, key, json_object_new_int64(since));
    return l->e->env.idle_seconds > 0 &&
           now - (uint64_t)since >= (uint64_t)l->e->env.idle_seconds * 1000;
}

static void agent_cb(void *arg, const struct agent_info *agent)
{
    struct looking *l = arg;
    struct cleaning *c;
    struct use use;

    if (l->found || !workload_kind_find(agent->workload.kind))
        return;
    c = calloc(1, sizeof(*c));
    if (!c)
        return;
    c->ref = agent->workload;
    use = (struct use){.e = l->e, .c = c};
    engagements_each(l->e, &agent->workload, use_cb, &use);
    if (use.count == 0)
        c->remove = is_idle_for_long(l, &agent->workload);
    if (c->remove ||
        (!use.replaced && *json_get_str(agent->config, "replace", "")))
        l->found = c;
    else
        free(c);
}

/* Not before all that is engaged is known. */
static bool may_clean(const struct engagements *e)
{
    return e->janitor && !e->cleaning && !e->closing && e->listed[0] &&
           e->env.parts->agents && e->creation_count == 0;
}

void engage_janitor_tick(struct engagements *e)
{
    struct looking l = {.e = e};
    uint64_t now = uv_now(e->env.loop);

    if (!may_clean(e) || now < e->janitor_due)
        return;
    e->janitor_due = now + JANITOR_MS;
    l.idle = json_object_new_object();
    agents_each(e->env.parts->agents, NULL, agent_cb, &l);
    json_object_put(e->idle);
    e->idle = l.idle;
    if (!l.found)
        return;
    e->cleaning = true;
    l.found->job.work = work;
    l.found->job.done = done;
    engage_run(e, &l.found->job);
}
