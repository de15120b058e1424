/*
 * engage_uninstall.c - POST /tp/v1/uninstall
 *
 * Whoever may engage a workload has its pods rolled out with an agent; the same
 * right takes the agent away, unless somebody engages the workload.
 */
#include "manager/engage_uninstall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/config_write.h"
#include "manager/rollout.h"
#include "manager/workload.h"

struct removal {
    struct engage_job job;
    struct engage_ask *ask;
    struct workload_ref ref;
    bool yes;
    int answer; /* HTTP status */
    char code[24], text[ENGAGE_TEXT * 3];
};

int uninstall_spec_parse(struct uninstall_spec *out, const char *body,
                         size_t len, struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_parse_text(body, len, err);
    const struct workload_kind *kind = NULL;
    const char *ns = json_get_str(obj, "namespace", "");

    memset(out, 0, sizeof(*out));
    if (!obj)
        return -EINVAL;
    if (!is_dns_label(ns))
        return tp_error_set(err, -EINVAL, "namespace: no name");
    memcpy(out->workload.ns, ns, strlen(ns) + 1);
    if (workload_parse(json_get_str(obj, "workload", ""), &kind,
                       out->workload.name, err) < 0)
        return -EINVAL;
    if (!kind)
        return tp_error_set(err, -EINVAL, "workload: say KIND/NAME");
    snprintf(out->workload.kind, sizeof(out->workload.kind), "%s", kind->kind);
    out->yes = json_get_bool(obj, "yes", false);
    return 0;
}

/* ---- who is in the way ----------------------------------------------------
 */

struct holders {
    char text[ENGAGE_TEXT];
    size_t count;
};

static void holder_cb(void *arg, const struct engagement *eng)
{
    struct holders *h = arg;
    size_t len = strlen(h->text);

    if (h->count++ < 3)
        snprintf(h->text + len, sizeof(h->text) - len, "%s%s by %.60s",
                 len ? ", " : "", engagement_type_name(eng->type),
                 eng->who.user);
}

/* ---- in the worker thread -------------------------------------------------
 */

static void refuse(struct removal *r, const char *code, const char *text,
                   const char *more)
{
    r->answer = 422;
    snprintf(r->code, sizeof(r->code), "%s", code);
    snprintf(r->text, sizeof(r->text), "%s %s: %s%s", r->ref.kind, r->ref.name,
             text, more);
}

static void note(struct removal *r, const char *text)
{
    r->answer = 200;
    snprintf(r->text, sizeof(r->text), "%s", text);
}

/* 0 also if it is refused. */
static int remove_it(struct removal *r, struct kube_client *client,
                     struct json_object **workload)
{
    const struct workload_kind *kind = workload_kind_find(r->ref.kind);
    static const struct config_way way; /* out, no settings are needed */
    struct rollout_plan plan;
    int rc;

    rollout_plan(&plan, kind, *workload);
    if (plan.method == ROLLOUT_NEVER) {
        refuse(r, "cannot", "a pod keeps its agent until it is made anew", "");
        return 0;
    }
    if (!workload_annotation(*workload, ANNOTATION_AGENT)) {
        note(r, workload_annotation(*workload, ANNOTATION_INJECT)
                    ? "its pods ask for an agent by the annotation "
                      "tp.internal/inject: take that away"
                    : "it has no agent");
        return 0;
    }
    if (plan.interrupts && !r->yes) {
        refuse(r, "confirm",
               "must be restarted, and that interrupts it; confirm with "
               "--yes: ",
               plan.reason);
        return 0;
    }
    rc = config_write(client, &way, &r->ref, NULL, workload, &r->job.err);
    note(r, plan.method == ROLLOUT_EVICT
                ? "its pods lose their agents when they are restarted next"
                : "its pods are replaced by pods without agent");
    return rc;
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct removal *r = (struct removal *)job;
    struct json_object *workload = NULL;
    char path[WORKLOAD_PATH_MAX];

    workload_path(workload_kind_find(r->ref.kind), r->ref.ns, r->ref.name,
                  path);
    job->status = kube_get(client, path, &workload, &job->err);
    if (job->status == 0)
        job->status = remove_it(r, client, &workload);
    json_object_put(workload);
}

/* ---- the answer -----------------------------------------------------------
 */

static void answer(struct removal *r)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "kind", r->ref.kind);
    json_put_str(obj, "name", r->ref.name);
    json_put_str(obj, "message", r->text);
    reply_send(r->ask->reply, 200, obj);
}

static void done(struct engage_job *job)
{
    struct removal *r = (struct removal *)job;

    if (job->status == -ENOENT)
        reply_error(r->ask->reply, 404, "no-such-workload",
                    "no %s %s in namespace %s", r->ref.kind, r->ref.name,
                    r->ref.ns);
    else if (job->status < 0)
        reply_error(r->ask->reply, 503, NULL, "%s", job->err.text);
    else if (r->answer != 200)
        reply_error(r->ask->reply, r->answer, r->code, "%s", r->text);
    else
        answer(r);
    engage_ask_free(r->ask);
    free(r);
}

static void granted(struct engage_ask *a)
{
    struct removal *r = calloc(1, sizeof(*r));
    struct holders holders = {{0}, 0};

    engagements_each(a->e, &a->workload, holder_cb, &holders);
    if (r && holders.count == 0) {
        r->ask = a;
        r->ref = a->workload;
        r->yes = a->yes;
        r->job.work = work;
        r->job.done = done;
        engage_run(a->e, &r->job);
        return;
    }
    if (!r)
        reply_error(a->reply, 503, NULL, "out of memory");
    else
        reply_error(a->reply, 409, "conflict",
                    "%s is engaged (%s): 'tp detach' first", a->workload.name,
                    holders.text);
    engage_ask_free(a);
    free(r);
}

void engage_uninstall(struct engagements *e, struct link *link,
                      struct reply *reply, const char *body, size_t len)
{
    struct tp_error err = {0};
    struct uninstall_spec spec;
    struct engage_ask *a;

    if (uninstall_spec_parse(&spec, body, len, &err) < 0) {
        reply_error(reply, 422, "cannot", "%s", err.text);
        return;
    }
    if (!e->listed[0]) {
        reply_error(reply, 503, NULL, "the manager has just started");
        return;
    }
    a = engage_ask_create(e, link, reply);
    if (!a)
        return;
    a->workload = spec.workload;
    a->yes = spec.yes;
    a->rights = engage_any_right;
    a->granted = granted;
    engage_ask_start(a);
}
