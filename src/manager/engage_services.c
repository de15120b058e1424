/*
 * engage_services.c - Services of engaged ports, see service_switch.h
 *
 * Every replica leads the Services of engagements that it knows to the agents,
 * back while a pod has none, and back when it sees one end. What nobody engages
 * as far as is known only the janitor puts back: another replica may not have
 * heard of an engagement yet. Without any of these engagements it looks only
 * now and then, for what an earlier life of the managers has left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/drive_step.h"
#include "manager/engage_internal.h"
#include "manager/service_switch_run.h"
#include "manager/workload.h"

#define SEEK_MS      15000 /* while none is known */
#define SWITCHES_MAX 5     /* of one Service: then somebody takes them back */
#define KEEPS_MS     600000

struct switch_need {
    char id[ENGAGEMENT_ID_LEN + 1];
    bool ended;
    struct workload_ref ref;
    struct resolved ports;
    struct json_object *workload; /* the worker's */
};

struct switching {
    struct engage_job job;
    struct switch_need *needs;
    size_t count;
    bool janitor;
    struct json_object *held; /* a copy */
    struct switch_run run;
};

/* ---- in the worker thread -------------------------------------------------
 */

static int look_up(struct switching *s, struct kube_client *client)
{
    for (size_t i = 0; i < s->count; i++) {
        struct switch_need *n = &s->needs[i];
        const struct workload_kind *kind = workload_kind_find(n->ref.kind);
        char path[WORKLOAD_PATH_MAX];
        int rc;

        workload_path(kind, n->ref.ns, n->ref.name, path);
        rc = kube_get(client, path, &n->workload, &s->job.err);
        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return 0;
}

size_t switch_wants_of(const struct workload_ref *ref,
                       const struct resolved *ports,
                       struct json_object *workload, struct switch_want *out)
{
    struct json_object *labels =
        json_get(workload_template(workload), "metadata.labels");
    size_t n = 0;

    for (size_t i = 0; labels && i < ports->count; i++) {
        if (ports->ports[i].mode != PORT_SERVICE)
            continue;
        snprintf(out[n].ns, sizeof(out[n].ns), "%s", ref->ns);
        out[n].labels = labels;
        out[n].port = ports->ports[i].port;
        out[n++].udp = ports->ports[i].udp;
    }
    return n;
}

/* Those of all that have ended, or of all that have not. */
static size_t all_wants(const struct switching *s, bool ended,
                        struct switch_want *wants)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct switch_need *need = &s->needs[i];

        if (need->ended == ended)
            n += switch_wants_of(&need->ref, &need->ports, need->workload,
                                 wants + n);
    }
    return n;
}

static bool is_first_of_namespace(const struct switching *s, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (!strcmp(s->needs[i].ref.ns, s->needs[index].ref.ns))
            return false;
    }
    return true;
}

static int run_all(struct switching *s)
{
    int rc = 0, one;

    for (size_t i = 0; i < s->count; i++) {
        if (!is_first_of_namespace(s, i))
            continue;
        one = switch_run_namespace(&s->run, s->needs[i].ref.ns, &s->job.err);
        rc = rc < 0 ? rc : one;
    }
    s->run.labelled = 0; /* only the list of all is the truth */
    if (s->janitor) {
        one = switch_run_labelled(&s->run, &s->job.err);
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct switching *s = (struct switching *)job;
    cleanup_free struct switch_want *wants =
        calloc(s->count * ENGAGEMENT_PORTS_MAX + 1, sizeof(*wants));
    size_t n, ended;

    job->status = wants ? look_up(s, client)
                        : tp_error_errno(&job->err, -ENOMEM, "Services");
    if (job->status < 0)
        return;
    n = all_wants(s, false, wants);
    ended = all_wants(s, true, wants + n);
    s->run.client = client;
    s->run.wants = wants;
    s->run.count = n;
    s->run.held = s->held;
    s->run.rules.may_switch = true;
    s->run.rules.may_end = s->janitor;
    s->run.rules.ended = wants + n;
    s->run.rules.ended_count = ended;
    job->status = run_all(s);
    s->run.wants = s->run.rules.ended = NULL;
}

/* ---- on the loop ----------------------------------------------------------
 */

static void switching_free(struct switching *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        json_object_put(s->needs[i].workload);
    json_object_put(s->held);
    json_object_put(s->run.changed);
    free(s->needs);
    free(s);
}

/* A Service that comes back plain again and again is somebody else's. */
static void count_switches(struct engagements *e, struct json_object *changed)
{
    uint64_t now = uv_now(e->env.loop);

    if (now - e->switches_since > KEEPS_MS) {
        json_object_put(e->switches);
        json_object_put(e->switches_held);
        e->switches = json_object_new_object();
        e->switches_held = json_object_new_object();
        e->switches_since = now;
    }
    for (size_t i = 0; i < json_array_len(changed); i++) {
        const char *key =
            json_object_get_string(json_object_array_get_idx(changed, i));
        int64_t n = 1;

        if (json_member(e->switches, key))
            n += json_object_get_int64(json_member(e->switches, key));
        json_object_object_add(e->switches, key, json_object_new_int64(n));
        if (n < SWITCHES_MAX)
            continue;
        log_warn("Service %s is changed back by somebody else: left alone",
                 key);
        json_object_object_add(e->switches_held, key,
                               json_object_new_boolean(true));
    }
}

/* What has ended is remembered until it is put back. */
static void remember(struct engagements *e, struct switching *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        json_object_put(s->needs[i].workload);
        s->needs[i].workload = NULL;
        if (!s->needs[i].ended || s->job.status < 0)
            s->needs[kept++] = s->needs[i];
    }
    s->count = kept;
    switching_free(e->switch_last);
    e->switch_last = s;
}

static void done(struct engage_job *job)
{
    struct switching *s = (struct switching *)job;
    struct engagements *e = job->e;

    e->switching = false;
    if (job->status < 0)
        log_warn("Services: %s", job->err.text);
    count_switches(e, s->run.changed);
    e->switched = s->run.labelled > 0;
    remember(e, s);
}

bool engage_has_services(const struct eng *eng)
{
    struct resolved ports;

    engagement_ports(&ports, eng->object);
    for (size_t i = 0; i < ports.count; i++) {
        if (ports.ports[i].mode == PORT_SERVICE)
            return true;
    }
    return false;
}

static bool counts(const struct eng *eng)
{
    return !eng->gone && !eng->ending && engage_has_services(eng) &&
           workload_kind_find(eng->pub.workload.kind);
}

static bool has_need(const struct switching *s, const char *id)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!strcmp(s->needs[i].id, id))
            return true;
    }
    return false;
}

/* Those of the last round that are there no more. */
static void add_ended(struct switching *s, const struct switching *last)
{
    for (size_t i = 0; last && i < last->count; i++) {
        if (has_need(s, last->needs[i].id))
            continue;
        s->needs[s->count] = last->needs[i];
        s->needs[s->count++].ended = true;
    }
}

static struct switching *collect(struct engagements *e)
{
    struct switching *s = calloc(1, sizeof(*s));
    size_t most = e->count + (e->switch_last ? e->switch_last->count : 0) + 1;
    struct eng *eng;

    if (s)
        s->needs = calloc(most, sizeof(*s->needs));
    if (!s || !s->needs) {
        free(s);
        return NULL;
    }
    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!counts(eng) || s->count >= e->count)
            continue;
        memcpy(s->needs[s->count].id, eng->pub.id, sizeof(eng->pub.id));
        s->needs[s->count].ref = eng->pub.workload;
        engagement_ports(&s->needs[s->count++].ports, eng->object);
    }
    add_ended(s, e->switch_last);
    return s;
}

void engage_services_release(struct engagements *e)
{
    switching_free(e->switch_last);
}

void engagements_leave_services(struct engagements *e)
{
    if (e)
        e->env.switch_services = false;
}

void engage_services_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct switching *s;

    if (!e->env.switch_services || e->closing || e->switching || !e->listed[0])
        return;
    s = collect(e);
    if (!s)
        return;
    if (s->count == 0 && !e->switched && (now < e->switch_due || !e->janitor)) {
        switching_free(s);
        return;
    }
    e->switch_due = now + SEEK_MS;
    e->switching = true;
    s->janitor = e->janitor;
    if (json_object_deep_copy(e->switches_held, &s->held, NULL) < 0)
        s->held = NULL;
    s->job.work = work;
    s->job.done = done;
    engage_run(e, &s->job);
}
