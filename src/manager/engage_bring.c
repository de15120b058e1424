/*
 * engage_bring.c - what was decided is brought about, see creation.h
 *
 * The Engagement is made first and without a phase, so that its claims can
 * belong to it; it counts from the moment its status says "pending", which is
 * when all claims are held. Whoever loses a race takes his own away again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/creation.h"

#define WAIT_MS 200
#define BEGIN_S 60 /* longer than any creation takes */

/* ---- in the worker thread -------------------------------------------------
 */

static int same_owner(struct creation *c, struct tp_error *err)
{
    struct engagement eng;
    int rc = engagement_parse(&eng, c->object, err);

    if (rc == 0 && !identity_same_owner(&eng.who, &c->who))
        rc = tp_error_set(err, -EPERM, "no such engagement");
    engagement_release(&eng);
    return rc;
}

static const char *session_uid(struct creation *c)
{
    return json_get_str(c->session_object, "metadata.uid", "");
}

/* One of that id is there: of an earlier life of the client. */
static int take_over_own(struct creation *c, struct kube_client *client)
{
    cleanup_json struct json_object *patch = NULL;
    char path[ENGAGE_PATH];
    int rc;

    engage_path(c->manager_ns, "engagements", c->spec.id, path);
    rc = kube_get(client, path, &c->object, &c->job.err);
    if (rc == 0)
        rc = same_owner(c, &c->job.err);
    if (rc < 0 ||
        !strcmp(json_get_str(c->object, "spec.session", ""), c->session))
        return rc;
    json_object_put(c->object);
    c->object = NULL;
    patch = engagement_move(c->session, session_uid(c));
    return kube_call(client, "PATCH", path, MERGE_PATCH, patch, &c->object,
                     &c->job.err);
}

static int make_object(struct creation *c, struct kube_client *client)
{
    cleanup_json struct json_object *obj = engagement_build(
        &c->spec, c->kind, &c->ports, &c->who, c->session, session_uid(c));
    char path[ENGAGE_PATH];
    int rc;

    engage_path(c->manager_ns, "engagements", "", path);
    rc = kube_call(client, "POST", path, NULL, obj, &c->object, &c->job.err);
    c->made = rc == 0;
    return rc == -EEXIST ? take_over_own(c, client) : rc;
}

static int claim(struct creation *c, struct kube_client *client)
{
    struct engagement eng;
    int rc = engagement_parse(&eng, c->object, &c->job.err);

    json_object_put(c->conflict.holder); /* of the round before */
    c->conflict.holder = NULL;
    if (rc == 0)
        rc = claims_take(client, c->manager_ns, &eng,
                         json_get_str(c->object, "metadata.uid", ""),
                         &c->conflict, &c->job.err);
    /* Its client may ask again or may not: meanwhile it is in nobody's way. One
     * of an earlier life keeps what it had. */
    if (rc < 0 && rc != -EBUSY && c->made && eng.id[0])
        claims_drop(client, c->manager_ns, &eng);
    engagement_release(&eng);
    return rc;
}

static int set_pending(struct creation *c, struct kube_client *client)
{
    cleanup_json struct json_object *patch =
        engagement_status("pending", c->note, 0);
    struct json_object *fresh = NULL;
    char path[ENGAGE_PATH], name[64];
    int rc;

    snprintf(name, sizeof(name), "%s/status", c->spec.id);
    engage_path(c->manager_ns, "engagements", name, path);
    rc = kube_call(client, "PATCH", path, MERGE_PATCH, patch, &fresh,
                   &c->job.err);
    if (rc == 0) {
        json_object_put(c->object);
        c->object = fresh;
    }
    return rc;
}

static int test_pods(struct creation *c, struct kube_client *client)
{
    size_t len = strlen(c->note);
    bool by_template = false;
    int rc = dry_run_pod(client, &c->way, c->spec.ns, c->found[0], c->config,
                         &by_template, &c->job.err);

    if (rc == 0 && by_template)
        snprintf(c->note + len, sizeof(c->note) - len,
                 "%sthe API server does not reach the webhook of tp, so the "
                 "agent is written into the pod template",
                 len ? "; " : "");
    return rc;
}

static void bring_work(struct engage_job *job, struct kube_client *client)
{
    struct creation *c = (struct creation *)job;

    if (c->config && !c->tested)
        job->status = test_pods(c, client);
    c->tested = true;
    if (job->status == 0 && !c->session_object)
        job->status =
            engage_session_ensure(client, c->manager_ns, c->session, c->link_ns,
                                  &c->who, &c->session_object, &job->err);
    if (job->status == 0 && !c->object)
        job->status = make_object(c, client);
    if (job->status == 0)
        job->status = claim(c, client);
    if (job->status == 0)
        job->status = set_pending(c, client);
}

static void oust_work(struct engage_job *job, struct kube_client *client)
{
    struct creation *c = (struct creation *)job;

    job->status = engage_end_object(client, c->manager_ns, &c->holder,
                                    c->ousted, &job->err);
}

static void drop_work(struct engage_job *job, struct kube_client *client)
{
    struct creation *c = (struct creation *)job;
    struct engagement eng;

    if (engagement_parse(&eng, c->object, NULL) == 0)
        job->status = engage_end_object(client, c->manager_ns, &eng,
                                        c->drop_text, &job->err);
    engagement_release(&eng);
}

/* ---- the answer -----------------------------------------------------------
 */

static void run(struct creation *c,
                void (*work)(struct engage_job *, struct kube_client *),
                void (*done)(struct engage_job *))
{
    c->job.work = work;
    c->job.done = done;
    engage_run(c->job.e, &c->job);
}

static void dropped(struct engage_job *job)
{
    struct creation *c = (struct creation *)job;

    creation_refuse(c, c->drop_status, *c->drop_code ? c->drop_code : NULL,
                    "%s", c->drop_text);
}

/* Refuses, after what was made is gone. */
static void drop(struct creation *c, int status, const char *code,
                 const char *text)
{
    c->drop_status = status;
    snprintf(c->drop_code, sizeof(c->drop_code), "%s", code);
    snprintf(c->drop_text, sizeof(c->drop_text), "%s", text);
    if (c->object)
        run(c, drop_work, dropped);
    else
        dropped(&c->job);
}

static struct json_object *answer_of(struct creation *c, const struct eng *eng)
{
    struct json_object *obj =
        engagement_to_client(eng->object, &eng->pub, NULL);

    json_object_object_add(
        obj, "interrupts",
        json_object_new_boolean(c->config && c->plan.interrupts));
    return obj;
}

static void succeed(struct creation *c)
{
    struct engagements *e = c->job.e;
    struct eng *eng;

    store_put(e, c->object);
    eng = store_find(e, c->spec.id);
    if (!eng) {
        creation_refuse(c, 503, NULL, "it was ended at once");
        return;
    }
    if (c->cancelled) {
        creation_refuse(c, 404, "no-such-engagement", "it was ended at once");
        engage_end(e, eng, "end", "ended by its user", NULL);
        return;
    }
    memcpy(eng->note, c->note, sizeof(eng->note));
    engage_audit(&eng->pub, engagement_type_name(eng->pub.type), true, NULL);
    reply_send(c->reply, 202, answer_of(c, eng));
    creation_free(c);
    engage_drive(e, eng);
}

/* The object stays: the client asks again, with the same id. */
static void try_again(struct creation *c, const char *text)
{
    creation_refuse(c, 503, NULL, "%s", text);
}

static void refuse_pods(struct creation *c)
{
    char text[sizeof(c->drop_text)];

    snprintf(text, sizeof(text), "%.510s%s", c->job.err.text,
             creation_redirects(c) && !c->switches
                 ? "; without redirection go ports that every Service names by "
                   "name, others with the chart's agent.redirect=service"
                 : "");
    drop(c, 422, "cannot", text);
}

static void fail(struct creation *c)
{
    int rc = c->job.status;

    if (rc == -EACCES && !c->session_object) { /* the dry run */
        if (!creation_switch(c))
            refuse_pods(c);
    } else if (rc == -EPERM) {
        creation_refuse(c, 404, "no-such-engagement", "%s", c->job.err.text);
    } else {
        try_again(c, c->job.err.text);
    }
}

/* ---- conflicts ------------------------------------------------------------
 */

static void brought(struct engage_job *job);

static void wait_for_holder(struct creation *c)
{
    c->due = uv_now(c->job.e->env.loop) + WAIT_MS;
    engage_wake(c->job.e, WAIT_MS);
}

static void ousted(struct engage_job *job)
{
    struct creation *c = (struct creation *)job;

    if (job->status < 0)
        try_again(c, job->err.text);
    else
        run(c, bring_work, brought);
}

static void oust(struct creation *c, const char *why)
{
    snprintf(c->ousted, sizeof(c->ousted), "taken over by %.150s%s",
             c->who.user, why);
    engage_audit(&c->holder, "takeover", true, c->ousted);
    run(c, oust_work, ousted);
}

/* The holder has just been ended, here, or by its own client that now wants
 * another one. */
static bool is_going(struct creation *c)
{
    const struct eng *eng = store_find(c->job.e, c->holder.id);

    return c->rounds < ROUNDS_MAX && eng && (eng->ending || eng->restoring);
}

/* A session that is lost holds on for a while, but not against its owner; what
 * was never begun, because the API server failed in the middle, does not. */
static bool is_away(struct creation *c)
{
    bool own = identity_same_owner(&c->holder.who, &c->who);

    if (!engagement_has_begun(c->conflict.holder) &&
        time(NULL) - object_created(c->conflict.holder) > BEGIN_S)
        return true;
    return engage_session_lost(c->job.e, c->holder.session,
                               own ? 0 : SESSION_BLOCK_S);
}

static void resolve_conflict(struct creation *c)
{
    char text[600];

    if (is_going(c)) {
        wait_for_holder(c);
    } else if (c->rounds < ROUNDS_MAX && c->spec.force) {
        oust(c, " (--force)");
    } else if (c->rounds < ROUNDS_MAX && is_away(c)) {
        oust(c, " because your client was away");
    } else {
        claim_explain(&c->conflict, text, sizeof(text));
        drop(c, 409, "conflict", text);
    }
}

static void brought(struct engage_job *job)
{
    struct creation *c = (struct creation *)job;

    if (job->status == -EBUSY && c->conflict.holder) {
        c->rounds++;
        engagement_release(&c->holder);
        if (engagement_parse(&c->holder, c->conflict.holder, &job->err) < 0)
            try_again(c, job->err.text);
        else
            resolve_conflict(c);
    } else if (job->status < 0) {
        fail(c);
    } else if (job->e->closing) {
        creation_refuse(c, 503, NULL, "the manager stops");
    } else {
        succeed(c);
    }
}

void creation_bring(struct creation *c)
{
    run(c, bring_work, brought);
}

void engage_creations_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct creation *c, *next;

    for (c = TAILQ_FIRST(&e->creations); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (!c->due || (now < c->due && !e->closing))
            continue;
        c->due = 0;
        if (e->closing)
            try_again(c, "the manager stops");
        else
            creation_bring(c);
    }
}
