/* engage_create.c - POST /tp/v1/engagements: look-up and rights, see creation.h
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/authorize.h"
#include "manager/creation.h"
#include "manager/workload.h"

/* ---- life -----------------------------------------------------------------
 */

void creation_free(struct creation *c)
{
    struct engagements *e = c->job.e;

    TAILQ_REMOVE(&e->creations, c, entry);
    e->creation_count--;
    authorize_cancel(c->review);
    for (size_t i = 0; i < c->found_count; i++)
        json_object_put(c->found[i]);
    json_object_put(c->services);
    json_object_put(c->policies);
    network_view_release(&c->network);
    json_object_put(c->pods);
    json_object_put(c->config);
    config_way_release(&c->way);
    json_object_put(c->session_object);
    json_object_put(c->object);
    json_object_put(c->conflict.holder);
    engagement_release(&c->holder);
    identity_release(&c->who);
    free(c);
}

/* As an engagement, for the audit log and the names of rights. who is lent. */
static void as_engagement(const struct creation *c, struct engagement *out)
{
    const struct workload_kind *kind = c->kind          ? c->kind
                                       : c->found_count ? c->kinds[0]
                                       : c->spec.kind   ? c->spec.kind
                                                        : workload_kind_at(0);

    memset(out, 0, sizeof(*out));
    memcpy(out->id, c->spec.id, sizeof(out->id));
    out->type = c->spec.type;
    out->who = c->who;
    memcpy(out->workload.ns, c->spec.ns, sizeof(out->workload.ns));
    snprintf(out->workload.kind, sizeof(out->workload.kind), "%s", kind->kind);
    memcpy(out->workload.name, c->spec.workload, sizeof(out->workload.name));
}

void creation_refuse(struct creation *c, int status, const char *code,
                     const char *fmt, ...)
{
    struct engagement eng;
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    as_engagement(c, &eng);
    engage_audit(&eng, engagement_type_name(c->spec.type), false, text);
    reply_error(c->reply, status, code, "%s", text);
    creation_free(c);
}

bool engage_is_creating(const struct engagements *e, const char *id)
{
    const struct creation *c;

    TAILQ_FOREACH(c, &e->creations, entry)
    {
        if (!strcmp(c->spec.id, id))
            return true;
    }
    return false;
}

bool engage_creation_cancel(struct engagements *e, const struct identity *who,
                            const char *id)
{
    struct creation *c;

    TAILQ_FOREACH(c, &e->creations, entry)
    {
        if (!strcmp(c->spec.id, id) && identity_same_owner(&c->who, who)) {
            c->cancelled = true;
            return true;
        }
    }
    return false;
}

static unsigned count_of(const struct engagements *e,
                         const struct identity *who)
{
    const struct creation *c;
    unsigned n = 0;

    TAILQ_FOREACH(c, &e->creations, entry)
    {
        n += identity_same_owner(&c->who, who);
    }
    return n;
}

/* ---- rights ---------------------------------------------------------------
 */

static void ask_rights(struct creation *c);

/* In the order in which they are asked for; NULL: not needed here. */
static const char *right_name(const struct creation *c, unsigned i)
{
    switch (i) {
    case 0:
        return engagement_type_name(c->spec.type);
    case 1:
        return c->spec.force ? "takeover" : "";
    case 2:
        return c->spec.to_pod_count ? "topod" : "";
    default:
        return NULL;
    }
}

static void right_text(const struct creation *c, char out[400])
{
    struct engagement eng;
    struct right right;
    char name[320];

    as_engagement(c, &eng);
    engage_right(&eng, right_name(c, c->right), &right, name);
    right_format(&right, out, 400);
}

static void reviewed_cb(void *arg, int status)
{
    struct creation *c = arg;
    char text[400];

    c->review = NULL;
    if (status == -EACCES && c->right == 2) {
        right_text(c, text);
        c->topod_refused = true;
        c->spec.to_pod_count = 0;
        snprintf(c->note, sizeof(c->note),
                 "--to-pod is left out: no right to %.240s", text);
    } else if (status == -EACCES) {
        right_text(c, text);
        creation_refuse(c, 403, "no-right", "no right to %s", text);
        return;
    } else if (status < 0) {
        creation_refuse(c, 503, NULL,
                        "the API server does not say who may do it");
        return;
    }
    c->right++;
    ask_rights(c);
}

static void ask_rights(struct creation *c)
{
    struct engagements *e = c->job.e;
    struct engagement eng;
    struct right right;
    char name[320];

    while (right_name(c, c->right) && !*right_name(c, c->right))
        c->right++;
    if (!right_name(c, c->right)) {
        creation_decide(c);
        return;
    }
    as_engagement(c, &eng);
    engage_right(&eng, right_name(c, c->right), &right, name);
    c->review = authorize_right(e->env.api, e->env.metrics, &c->who, &right,
                                reviewed_cb, c);
    if (!c->review)
        creation_refuse(c, 503, NULL, "out of memory");
}

/* ---- look-up --------------------------------------------------------------
 */

static int look_for(struct creation *c, struct kube_client *client,
                    const struct workload_kind *kind)
{
    struct json_object *obj;
    char path[WORKLOAD_PATH_MAX];
    int rc;

    workload_path(kind, c->spec.ns, c->spec.workload, path);
    rc = kube_get(client, path, &obj, &c->job.err);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    if (!c->spec.kind && workload_controller(obj)) {
        json_object_put(obj); /* not what a bare name means */
        return 0;
    }
    c->kinds[c->found_count] = kind;
    c->found[c->found_count++] = obj;
    return 0;
}

static int look_around(struct creation *c, struct kube_client *client)
{
    cleanup_free char *pods = workload_pods_path(c->spec.ns, c->found[0]);
    char path[256];
    int rc;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services?limit=1000",
             c->spec.ns);
    rc = kube_get(client, path, &c->services, &c->job.err);
    if (rc == 0 && pods)
        rc = kube_get(client, pods, &c->pods, &c->job.err);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path),
             "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies"
             "?limit=500",
             c->spec.ns);
    rc = kube_get(client, path, &c->policies, &c->job.err);
    if (rc == 0)
        rc = network_view_get(&c->network, client, c->policies, c->spec.ns,
                              c->manager_ns, c->job.e->replica, &c->job.err);
    return rc;
}

static void look_work(struct engage_job *job, struct kube_client *client)
{
    struct creation *c = (struct creation *)job;
    const struct workload_kind *kind;

    if (c->spec.kind)
        job->status = look_for(c, client, c->spec.kind);
    for (size_t i = 0; !c->spec.kind && job->status == 0 &&
                       (kind = workload_kind_at(i)) && kind->unqualified;
         i++)
        job->status = look_for(c, client, kind);
    if (job->status == 0 && c->found_count == 1)
        job->status = look_around(c, client);
}

static void looked(struct engage_job *job)
{
    struct creation *c = (struct creation *)job;

    if (job->e->closing)
        creation_refuse(c, 503, NULL, "the manager stops");
    else if (job->status < 0)
        creation_refuse(c, 503, NULL, "%s", job->err.text);
    else
        ask_rights(c);
}

/* ---- the start ------------------------------------------------------------
 */

static struct creation *new_creation(struct engagements *e, struct link *link,
                                     struct reply *reply,
                                     const struct engage_spec *spec)
{
    struct creation *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    if (identity_copy(&c->who, link_identity(link)) < 0 ||
        config_way_init(&c->way, &e->env) < 0) {
        identity_release(&c->who);
        config_way_release(&c->way);
        free(c);
        return NULL;
    }
    c->job.e = e;
    c->reply = reply;
    c->spec = *spec;
    snprintf(c->session, sizeof(c->session), "%s", link_session(link));
    snprintf(c->link_ns, sizeof(c->link_ns), "%s", link_namespace(link));
    snprintf(c->manager_ns, sizeof(c->manager_ns), "%s", e->env.ns);
    c->job.work = look_work;
    c->job.done = looked;
    TAILQ_INSERT_TAIL(&e->creations, c, entry);
    e->creation_count++;
    return c;
}

/* It is there already: this replica goes on with it. */
static bool adopt(struct engagements *e, struct link *link, struct reply *reply,
                  const struct engage_spec *spec)
{
    struct eng *eng = store_find(e, spec->id);

    if (!eng)
        return false;
    if (!identity_same_owner(&eng->pub.who, link_identity(link))) {
        reply_error(reply, 404, "no-such-engagement", "no such engagement");
        return true;
    }
    if (eng->ending || eng->restoring ||
        eng->pub.phase == ENGAGEMENT_RESTORING) {
        reply_error(reply, 503, NULL, "it is just ending");
        return true;
    }
    if (strcmp(eng->pub.session, link_session(link)) != 0 ||
        !engagement_has_begun(eng->object))
        return false; /* to be moved, or begun: engage_bring.c */
    reply_send(reply, 200, engagement_to_client(eng->object, &eng->pub, NULL));
    engage_drive(e, eng);
    return true;
}

static bool may_start(struct engagements *e, struct link *link,
                      struct reply *reply, const char *id)
{
    if (!e->listed[0] || !e->listed[1])
        reply_error(reply, 503, NULL, "%s",
                    *e->trouble ? e->trouble : "the manager has just started");
    else if (engage_is_creating(e, id))
        reply_error(reply, 503, NULL, "it is being made");
    else if (e->creation_count >= CREATIONS_MAX ||
             count_of(e, link_identity(link)) >= CREATIONS_OF_USER)
        reply_error(reply, 503, NULL, "too many at once");
    else if (store_count_session(e, link_session(link)) >= PER_SESSION_MAX)
        reply_error(reply, 422, "cannot", "at most %d engagements of a session",
                    PER_SESSION_MAX);
    else
        return true;
    return false;
}

void engage_create(struct engagements *e, struct link *link,
                   struct reply *reply, const char *body, size_t len)
{
    struct tp_error err = {0};
    struct engage_spec spec;
    struct creation *c;

    if (engage_spec_parse(&spec, body, len, &err) < 0) {
        reply_error(reply, 422, "cannot", "%s", err.text);
        return;
    }
    if (adopt(e, link, reply, &spec) || !may_start(e, link, reply, spec.id))
        return;
    c = new_creation(e, link, reply, &spec);
    if (c)
        engage_run(e, &c->job);
    else
        reply_error(reply, 503, NULL, "out of memory");
}
