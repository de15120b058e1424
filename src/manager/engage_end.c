/*
 * engage_end.c - the end of an engagement
 *
 * The last words go into the object's status first: whichever replica holds the
 * owner's link finds them there when the watch says that it is over. Then the
 * object is deleted, and its claims.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/claims.h"
#include "manager/engage_internal.h"
#include "manager/engage_reply.h"
#include "manager/workload_event.h"

struct ending {
    struct engage_job job;
    struct engagement eng; /* without who */
    char manager_ns[64];
    char message[ENGAGE_TEXT];
    struct json_object *event; /* a Kubernetes Event, or NULL */
    struct reply *reply;
};

int engage_end_object(struct kube_client *client, const char *ns,
                      const struct engagement *eng, const char *message,
                      struct tp_error *err)
{
    cleanup_json struct json_object *patch =
        engagement_status("ended", message, -1);
    char path[ENGAGE_PATH], name[64];
    int rc;

    snprintf(name, sizeof(name), "%s/status", eng->id);
    engage_path(ns, "engagements", name, path);
    kube_call(client, "PATCH", path, MERGE_PATCH, patch, NULL, NULL);
    claims_drop(client, ns, eng);
    engage_path(ns, "engagements", eng->id, path);
    rc = kube_call(client, "DELETE", path, NULL, NULL, NULL, err);
    return rc == -ENOENT ? 0 : rc;
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct ending *end = (struct ending *)job;

    job->status = engage_end_object(client, end->manager_ns, &end->eng,
                                    end->message, &job->err);
    if (job->status == 0 && end->event)
        workload_event_post(client, end->event);
}

static void answer(struct ending *end)
{
    if (!end->reply)
        return;
    if (end->job.status < 0)
        reply_error(end->reply, 503, NULL, "%s", end->job.err.text);
    else
        reply_send(end->reply, 200, json_object_new_object());
}

static void done(struct engage_job *job)
{
    struct ending *end = (struct ending *)job;
    struct engagements *e = job->e;
    struct eng *eng = store_find(e, end->eng.id);

    if (job->status < 0)
        log_warn("end of engagement %s: %s", end->eng.id, job->err.text);
    if (eng && job->status == 0)
        store_end(e, eng, end->message);
    else if (eng)
        eng->ending = false; /* who wanted it will want it again */
    answer(end);
    json_object_put(end->event);
    free(end);
}

void engage_end(struct engagements *e, struct eng *eng, const char *verb,
                const char *message, struct reply *reply)
{
    struct ending *end = calloc(1, sizeof(*end));

    if (!end) {
        if (reply)
            reply_error(reply, 503, NULL, "out of memory");
        return;
    }
    engage_audit(&eng->pub, verb, true, message);
    eng->ending = true;
    eng->driven = false;
    end->eng = eng->pub;
    memset(&end->eng.who, 0, sizeof(end->eng.who));
    snprintf(end->manager_ns, sizeof(end->manager_ns), "%s", e->env.ns);
    snprintf(end->message, sizeof(end->message), "%s", message);
    end->event = workload_event_build(&eng->pub, false, e->replica);
    end->reply = reply;
    end->job.work = work;
    end->job.done = done;
    engage_run(e, &end->job);
}
