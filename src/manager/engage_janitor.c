/*
 * engage_janitor.c - agents that nobody needs, containers that were replaced
 *
 * Only the holder of the Lease tp-janitor does this. It knows the workloads
 * with agents by the agents that are connected, which connect to every replica,
 * and by the annotation of their templates (janitor_survey.c): agents of a
 * former installation never connect.
 * A workload that nobody engages for a while loses the annotation, and with it
 * its agents (pre-injected ones come back, they are the people's), unless the
 * restart would interrupt it: an idle agent does no harm, an outage at a time
 * that nobody has chosen does. One that is replaced by nobody any more gets its
 * container back at once; one whose agents never came, because its rollout is
 * stuck, its template. janitor_clean.c does it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "manager/agents.h"
#include "manager/janitor_clean.h"

#define AT_ONCE  4 /* workloads of one round */
#define LEFT_MAX 1000

struct looking {
    struct engagements *e;
    struct json_object *idle; /* of this round */
    struct cleaning *found[AT_ONCE];
    size_t count;
};

/* ---- is it engaged? -------------------------------------------------------
 */

struct use {
    struct engagements *e;
    struct cleaning *c;
    size_t count;
    bool replaced;
};

static void use_cb(void *arg, const struct engagement *eng)
{
    struct use *use = arg;
    const struct eng *full = store_find(use->e, eng->id);
    struct cleaning *c = use->c;

    use->count++;
    if (full && (full->restoring || eng->phase == ENGAGEMENT_RESTORING))
        return; /* it is as good as over */
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

/* ---- was it given up? -----------------------------------------------------
 */

void engage_janitor_given_up(struct engagements *e, const struct eng *eng)
{
    char key[JANITOR_KEY_MAX];

    janitor_key(&eng->pub.workload, key);
    if (e->janitor && json_object_object_length(e->left) < LEFT_MAX)
        json_object_object_add(e->left, key, json_object_new_boolean(true));
}

static bool parse_key(const char *key, struct workload_ref *w)
{
    return sscanf(key, "%63[^/]/%31[^/]/%253[^/]", w->ns, w->kind, w->name) ==
           3;
}

void janitor_prepare(struct engagements *e, struct cleaning *c,
                     const struct workload_ref *w)
{
    struct use use = {.e = e, .c = c};

    c->ref = *w;
    engagements_each(e, w, use_cb, &use);
}

/* ---- is it idle? ----------------------------------------------------------
 */

/* Since when is kept from round to round. */
static bool is_idle_for_long(struct looking *l, const struct workload_ref *w)
{
    const unsigned *setting = l->e->env.idle_seconds;
    unsigned idle = setting ? *setting : 0;
    uint64_t now = uv_now(l->e->env.loop);
    int64_t since = (int64_t)now;
    char key[JANITOR_KEY_MAX];

    janitor_key(w, key);
    if (json_member(l->e->idle, key))
        since = json_object_get_int64(json_member(l->e->idle, key));
    json_object_object_add(l->idle, key, json_object_new_int64(since));
    return idle > 0 && now - (uint64_t)since >= (uint64_t)idle * 1000;
}

/* ---- the round ------------------------------------------------------------
 */

static bool is_found(const struct looking *l, const struct workload_ref *w)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct workload_ref *found = &l->found[i]->ref;

        if (!strcmp(found->name, w->name) && !strcmp(found->ns, w->ns) &&
            !strcmp(found->kind, w->kind))
            return true;
    }
    return false;
}

/* What is to be done for its workload, or NULL. */
static struct cleaning *consider(struct looking *l,
                                 const struct workload_ref *w, bool replaced)
{
    struct cleaning *c = calloc(1, sizeof(*c));
    struct use use = {.e = l->e, .c = c};
    bool restore, idle;

    if (!c)
        return NULL;
    c->ref = *w;
    engagements_each(l->e, w, use_cb, &use);
    idle = use.count == 0 && is_idle_for_long(l, w);
    restore = !use.replaced && replaced;
    c->remove = idle && !restore;
    if ((restore || idle) && config_way_init(&c->way, &l->e->env) == 0)
        return c;
    config_way_release(&c->way);
    free(c);
    return NULL;
}

static void look_at(struct looking *l, const struct workload_ref *w,
                    bool replaced)
{
    if (l->count == AT_ONCE || !workload_kind_find(w->kind) || is_found(l, w))
        return;
    l->found[l->count] = consider(l, w, replaced);
    l->count += l->found[l->count] != NULL;
}

static void agent_cb(void *arg, const struct agent_info *agent)
{
    look_at(arg, &agent->workload, *json_get_str(agent->config, "replace", ""));
}

static void survey_cb(void *arg, const struct workload_ref *w, bool replaced,
                      uint64_t since)
{
    struct looking *l = arg;

    look_at(l, w,
            replaced && uv_now(l->e->env.loop) - since >= JANITOR_GRACE_MS);
}

/* Without agents nothing else leads to these. */
static void look_at_left(struct looking *l)
{
    struct json_object *left = l->e->left;

    l->e->left = json_object_new_object();
    json_object_object_foreach(left, key, value)
    {
        struct cleaning *c = calloc(1, sizeof(*c));
        struct use use = {.e = l->e, .c = c};

        if (l->count == AT_ONCE) {
            json_object_object_add(l->e->left, key, json_object_get(value));
        } else if (c && parse_key(key, &c->ref) && !is_found(l, &c->ref)) {
            engagements_each(l->e, &c->ref, use_cb, &use);
            c->given_up = use.count == 0;
        }
        if (c && c->given_up && config_way_init(&c->way, &l->e->env) == 0) {
            l->found[l->count++] = c;
            continue;
        }
        if (c)
            config_way_release(&c->way);
        free(c);
    }
    json_object_put(left);
}

static void report(const struct cleaning *c)
{
    if (c->job.status < 0 && c->job.status != -ENOENT)
        log_warn("janitor: %s", c->job.err.text);
    else if (c->acted)
        log_info("janitor: %s %s in %s: %s", c->ref.kind, c->ref.name,
                 c->ref.ns,
                 c->given_up ? "agents that never came are given up"
                 : c->remove ? "idle agents are removed"
                             : "the replaced container comes back");
}

static void done(struct engage_job *job)
{
    struct cleaning *c = (struct cleaning *)job;
    struct engagements *e = job->e;
    uint64_t now = uv_now(e->env.loop);
    char key[JANITOR_KEY_MAX];

    e->cleaning--;
    report(c);
    janitor_key(&c->ref, key);
    if (c->remove) /* if there was nothing to do, there is none for a while */
        json_object_object_add(e->idle, key,
                               json_object_new_int64((int64_t)now));
    else if (c->acted)
        e->janitor_due = now + JANITOR_SOON_MS;
    config_way_release(&c->way);
    if (job->status == -ENOENT ||
        (job->status == 0 && !c->more && (c->remove || !c->acted)))
        janitor_survey_forget(e, &c->ref);
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
    look_at_left(&l);
    janitor_survey_each(e, survey_cb, &l);
    json_object_put(e->idle);
    e->idle = l.idle;
    for (size_t i = 0; i < l.count; i++) {
        l.found[i]->job.work = janitor_clean;
        l.found[i]->job.done = done;
        e->cleaning++;
        engage_run(e, &l.found[i]->job);
    }
}
