/*
 * engage_sessions.c - sessions come with a link, are lost, and go
 *
 *   no object, a link here           -> made, connected, ours
 *   lost, or its replica is dead,
 *   a link here                      -> connected, ours
 *   connected, ours, no link here    -> lost
 *   lost for 30 s                    -> its claims may be taken (claims)
 *   lost for 15 min                  -> deleted, and its engagements with it
 *
 * Each replica does what it sees; all of it may be done twice.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/engage_internal.h"

struct session_job {
    struct engage_job job;
    char manager_ns[64], name[64], ns[64];
    struct identity who;      /* creation */
    struct json_object *body; /* a patch of the status; NULL: deletion */
    bool create;
    struct json_object *out;
};

/* ---- in the worker thread -------------------------------------------------
 */

static int check_owner(struct json_object *session, const struct identity *who,
                       struct tp_error *err)
{
    struct session_cr cr;
    bool same = session_parse(&cr, session, NULL) == 0 &&
                identity_same_owner(&cr.who, who);

    session_release(&cr);
    return same ? 0 : tp_error_set(err, -EPERM, "no such session");
}

int engage_session_ensure(struct kube_client *client, const char *manager_ns,
                          const char *name, const char *ns,
                          const struct identity *who, struct json_object **out,
                          struct tp_error *err)
{
    cleanup_json struct json_object *session = NULL;
    char path[ENGAGE_PATH];
    int rc;

    engage_path(manager_ns, "sessions", name, path);
    rc = kube_get(client, path, out, err);
    if (rc == -ENOENT) {
        session = session_build(name, ns, who);
        engage_path(manager_ns, "sessions", "", path);
        rc = kube_call(client, "POST", path, NULL, session, out, err);
        if (rc == -EEXIST) {
            engage_path(manager_ns, "sessions", name, path);
            rc = kube_get(client, path, out, err);
        } else if (rc == -ENOENT) {
            rc = tp_error_set(err, -EOPNOTSUPP,
                              "the custom resource definitions of tp are "
                              "missing: install the chart again");
        }
    }
    return rc < 0 ? rc : check_owner(*out, who, err);
}

static int patch_status(struct session_job *s, struct kube_client *client)
{
    char path[ENGAGE_PATH], name[80];

    snprintf(name, sizeof(name), "%s/status", s->name);
    engage_path(s->manager_ns, "sessions", name, path);
    json_object_put(s->out);
    s->out = NULL;
    return kube_call(client, "PATCH", path, MERGE_PATCH, s->body, &s->out,
                     &s->job.err);
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct session_job *s = (struct session_job *)job;
    char path[ENGAGE_PATH];

    if (s->create)
        job->status = engage_session_ensure(client, s->manager_ns, s->name,
                                            s->ns, &s->who, &s->out, &job->err);
    if (job->status == 0 && s->body) {
        job->status = patch_status(s, client);
    } else if (!s->create) {
        engage_path(s->manager_ns, "sessions", s->name, path);
        job->status =
            kube_call(client, "DELETE", path, NULL, NULL, NULL, &job->err);
    }
}

/* ---- on the loop ----------------------------------------------------------
 */

static void done(struct engage_job *job)
{
    struct session_job *s = (struct session_job *)job;
    struct engagements *e = job->e;
    struct sess *sess = store_session(e, s->name);

    if (sess)
        sess->busy = false;
    json_object_object_del(e->making, s->name);
    if (job->status == -EPERM && e->env.parts->links && !e->closing)
        engage_links_close(e->env.parts->links, s->name,
                           "the session is another user's");
    else if (job->status < 0 && job->status != -ENOENT)
        log_warn("session: %s", job->err.text);
    if (s->out && !e->closing)
        store_put_session(e, s->out);
    json_object_put(s->out);
    json_object_put(s->body);
    identity_release(&s->who);
    free(s);
}

/* A job for a session that is marked as busy, or NULL. */
static struct session_job *prepare(struct engagements *e, struct sess *sess,
                                   const char *name)
{
    struct session_job *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    snprintf(s->manager_ns, sizeof(s->manager_ns), "%s", e->env.ns);
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->job.work = work;
    s->job.done = done;
    if (sess)
        sess->busy = true;
    return s;
}

static void write_status(struct engagements *e, struct sess *sess,
                         bool connected)
{
    struct session_job *s = prepare(e, sess, sess->cr.name);

    if (!s)
        return;
    log_info("session %s is %s", s->name, connected ? "connected" : "lost");
    s->body = session_status(connected, e->replica, (int64_t)time(NULL));
    engage_run(e, &s->job);
}

static void delete_session(struct engagements *e, struct sess *sess)
{
    struct session_job *s = prepare(e, sess, sess->cr.name);

    if (!s)
        return;
    log_info("session %s was lost for %d s and ends", s->name, SESSION_KEEP_S);
    engage_run(e, &s->job);
}

static void create_session(struct engagements *e, const struct link *link)
{
    struct session_job *s;

    if (json_member(e->making, link_session(link)))
        return;
    s = prepare(e, NULL, link_session(link));
    if (!s)
        return;
    if (identity_copy(&s->who, link_identity(link)) < 0) {
        free(s);
        return;
    }
    snprintf(s->ns, sizeof(s->ns), "%s", link_namespace(link));
    s->create = true;
    json_object_object_add(e->making, s->name, json_object_new_boolean(true));
    s->body = session_status(true, e->replica, (int64_t)time(NULL));
    engage_run(e, &s->job);
}

/* ---- the rules ------------------------------------------------------------
 */

static void link_cb(void *arg, struct link *link)
{
    struct engagements *e = arg;
    struct sess *sess = store_session(e, link_session(link));

    if (!sess)
        create_session(e, link);
    else if (!sess->busy &&
             identity_same_owner(&sess->cr.who, link_identity(link)) &&
             (!sess->cr.connected || !*sess->cr.replica ||
              !engage_replica_is_alive(e, sess->cr.replica)))
        write_status(e, sess, true);
}

/* Since when it is without a living replica, in s; 0: it is not. */
static int64_t lost_since(struct engagements *e, struct sess *sess)
{
    int64_t now = (int64_t)time(NULL);

    if (!sess->cr.connected)
        return sess->cr.since > 0 ? sess->cr.since : now;
    if (engage_replica_is_alive(e, sess->cr.replica)) {
        sess->noticed = 0;
        return 0;
    }
    if (!sess->noticed)
        sess->noticed = now;
    return sess->noticed;
}

static void look_after(struct engagements *e, struct sess *sess)
{
    int64_t since = lost_since(e, sess);

    if (sess->busy)
        return;
    if (since > 0 && (int64_t)time(NULL) - since >= SESSION_KEEP_S)
        delete_session(e, sess);
    else if (sess->cr.connected && !strcmp(sess->cr.replica, e->replica) &&
             !engage_links_any(e->env.parts->links, sess->cr.name))
        write_status(e, sess, false);
}

/* Kubernetes takes them away with their Session; this is for those whose owner
 * was gone already. */
static void look_for_orphans(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct eng *eng, *next;

    for (eng = TAILQ_FIRST(&e->list); eng; eng = next) {
        next = TAILQ_NEXT(eng, entry);
        if (store_session(e, eng->pub.session)) {
            eng->orphan = 0;
        } else if (!eng->orphan) {
            eng->orphan = now;
        } else if (now - eng->orphan >= ORPHAN_MS && !eng->ending) {
            engage_end(e, eng, "expire", "its session is gone", NULL);
        }
    }
}

void engage_sessions_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct sess *sess, *next;

    if (e->closing || !e->listed[0] || !e->listed[1] || !e->env.parts->links ||
        now < e->sessions_due)
        return;
    e->sessions_due = now + SESSION_TICK_MS;
    engage_links_each(e->env.parts->links, link_cb, e);
    for (sess = LIST_FIRST(&e->sessions); sess; sess = next) {
        next = LIST_NEXT(sess, entry);
        look_after(e, sess);
    }
    look_for_orphans(e);
}

bool engage_session_lost(const struct engagements *e, const char *name,
                         int64_t seconds)
{
    const struct sess *sess = store_session(e, name);
    int64_t since;

    if (!sess)
        return e->listed[1];
    since = sess->cr.connected ? sess->noticed : sess->cr.since;
    return since > 0 && (int64_t)time(NULL) - since >= seconds;
}

bool engage_session_is_ours(const struct engagements *e, const char *name)
{
    const struct sess *sess = store_session(e, name);

    return sess && !strcmp(sess->cr.replica, e->replica);
}
