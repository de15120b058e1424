/*
 * engage_files.c - the volumes of an engaged container (doc/protocol.md 5.1)
 *
 * A request names the user's key; two rights are asked for, then the agent of
 * one pod is told. A stream that follows is joined to one on that agent's
 * tunnel: the manager sees SSH, and no file. Rights are asked again while
 * streams are open; they end with a right, and with the engagement.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents.h"
#include "manager/audit.h"
#include "manager/authorize.h"
#include "manager/engage_ask.h"
#include "net/sshkey.h"
#include "tunnel/splice.h"

#define STREAMS_MAX 16 /* of an engagement */
#define REVIEW_MS   45000

const char *const engage_volumes_right[] = {"volumes", NULL};
static const char credentials[] = "credentials";

struct file_stream {
    LIST_ENTRY(file_stream) entry;
    struct engagements *e;
    struct tunnel_stream *in;
    char id[ENGAGEMENT_ID_LEN + 1];
};

/* ---- the request -----------------------------------------------------------
 */

bool engage_files_read(struct engage_ask *a, enum engagement_type type,
                       const char *body, size_t len)
{
    cleanup_json struct json_object *request = json_parse_text(body, len, NULL);
    const char *key = json_get_str(request, "key", "");

    if (!sshkey_is_public(key) || strlen(key) >= sizeof(a->key))
        return false;
    strcpy(a->key, key);
    a->read_only = type == ENGAGEMENT_MIRROR || type == ENGAGEMENT_INGEST ||
                   json_get_bool(request, "readOnly", false);
    return true;
}

static void audit(const struct engage_ask *a)
{
    audit_write(&(struct audit_event){
        .event = "engagement",
        .who = &a->who,
        .verb = a->credentials ? "volumes, credentials" : "volumes",
        .ns = a->workload.ns,
        .name = a->id,
        .destination = a->workload.name,
        .allowed = true,
    });
}

/* What the agent says goes on; the port is ours. */
static void forward(struct engage_ask *a, struct json_object *answer)
{
    struct eng *eng = store_find(a->e, a->id);

    if (!eng || eng->gone || eng->ending) {
        reply_error(a->reply, 404, "no-such-engagement", "no such engagement");
        return;
    }
    eng->files_credentials = a->credentials;
    eng->files_due = uv_now(a->e->env.loop) + REVIEW_MS;
    audit(a);
    json_object_object_add(
        answer, "port", json_object_new_int(engagement_files_port(&eng->pub)));
    reply_send(a->reply, 200, json_object_get(answer));
}

static void agent_cb(void *arg, int status, const char *body, size_t len)
{
    struct engage_ask *a = arg;
    cleanup_json struct json_object *answer =
        status == 200 ? json_parse_text(body, len, NULL) : NULL;

    if (sshkey_is_public(json_get_str(answer, "hostKey", "")) &&
        json_get_array(answer, "mounts"))
        forward(a, answer);
    else if (status == 404)
        reply_error(a->reply, 503, "no-files",
                    "the agent of its pod serves no files: it is older, or "
                    "was added for another container; restart the workload");
    else
        reply_error(a->reply, 503, NULL,
                    "the agent does not offer its files (%d)", status);
    engage_ask_free(a);
}

static void ask_agent(struct engage_ask *a)
{
    cleanup_json struct json_object *request = json_object_new_object();
    struct agents *agents = a->e->env.parts->agents;
    struct tunnel *pod = agents ? agents_in_tunnel(agents, &a->workload) : NULL;

    json_put_str(request, "id", a->id);
    json_put_str(request, "container", a->container);
    json_put_str(request, "key", a->key);
    json_object_object_add(request, "readOnly",
                           json_object_new_boolean(a->read_only));
    json_object_object_add(request, credentials,
                           json_object_new_boolean(a->credentials));
    if (pod && tunnel_request(pod, "POST", "/tp/v1/files",
                              json_to_text(request), agent_cb, a) == 0)
        return;
    reply_error(a->reply, 503, NULL, "no agent of its pods is connected");
    engage_ask_free(a);
}

static void credentials_cb(void *arg, int status)
{
    struct engage_ask *a = arg;

    a->credentials = status == 0;
    if (status == 0 || status == -EACCES) {
        ask_agent(a);
        return;
    }
    reply_error(a->reply, 503, NULL,
                "the API server does not say who may do it");
    engage_ask_free(a);
}

void engage_files(struct engage_ask *a)
{
    struct engagement eng = {.workload = a->workload};
    struct right right;
    char name[320];

    engage_right(&eng, credentials, &right, name);
    if (authorize_right(a->e->env.api, a->e->env.metrics, &a->who, &right,
                        credentials_cb, a))
        return;
    reply_error(a->reply, 503, NULL, "out of memory");
    engage_ask_free(a);
}

/* ---- streams ---------------------------------------------------------------
 */

static void ended_cb(void *arg, int status, uint64_t to_out, uint64_t to_in)
{
    struct file_stream *fs = arg;

    (void)status;
    (void)to_out;
    (void)to_in;
    LIST_REMOVE(fs, entry);
    free(fs);
}

static unsigned count(const struct engagements *e, const char *id)
{
    const struct file_stream *fs;
    unsigned n = 0;

    LIST_FOREACH(fs, &e->file_streams, entry)
    {
        n += !strcmp(fs->id, id);
    }
    return n;
}

int engagements_open_files(struct engagements *e, const struct engagement *eng,
                           struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    struct agents *agents = e->env.parts->agents;
    struct tunnel *pod =
        agents ? agents_in_tunnel(agents, &eng->workload) : NULL;
    struct file_stream *fs;
    int rc;

    if (!pod)
        return -EHOSTUNREACH;
    if (count(e, eng->id) >= STREAMS_MAX)
        return -EMFILE;
    fs = calloc(1, sizeof(*fs));
    if (!fs)
        return -ENOMEM;
    fs->e = e;
    fs->in = s;
    memcpy(fs->id, eng->id, sizeof(fs->id));
    LIST_INSERT_HEAD(&e->file_streams, fs, entry);
    rc = tunnel_splice(s, open, pod, eng->id, ENGAGEMENT_FILES_PORT, ended_cb,
                       fs);
    if (rc < 0) {
        LIST_REMOVE(fs, entry);
        free(fs);
    }
    return rc;
}

static void end_streams(struct engagements *e, const char *id)
{
    struct file_stream *fs, *next;

    for (fs = LIST_FIRST(&e->file_streams); fs; fs = next) {
        next = LIST_NEXT(fs, entry);
        if (!strcmp(fs->id, id))
            splice_abort(fs->in);
    }
}

/* ---- are the rights still there? -------------------------------------------
 */

struct files_review {
    struct engagements *e;
    char id[ENGAGEMENT_ID_LEN + 1];
    bool asked_credentials;
};

static void ask_again(struct files_review *r, struct eng *eng,
                      const char *subresource);

static void reviewed_cb(void *arg, int status)
{
    struct files_review *r = arg;
    struct eng *eng = store_find(r->e, r->id);

    if (!eng || r->e->closing) {
        free(r);
        return;
    }
    if (status == -EACCES) {
        engage_audit(&eng->pub, r->asked_credentials ? credentials : "volumes",
                     false, "the right is gone: its file streams end");
        end_streams(r->e, r->id);
    } else if (!r->asked_credentials && eng->files_credentials) {
        r->asked_credentials = true;
        ask_again(r, eng, credentials);
        return;
    }
    free(r);
}

static void ask_again(struct files_review *r, struct eng *eng,
                      const char *subresource)
{
    struct right right;
    char name[320];

    engage_right(&eng->pub, subresource, &right, name);
    if (!authorize_right(r->e->env.api, r->e->env.metrics, &eng->pub.who,
                         &right, reviewed_cb, r))
        free(r);
}

static void review(struct engagements *e, struct eng *eng)
{
    struct files_review *r = calloc(1, sizeof(*r));

    eng->files_due = uv_now(e->env.loop) + REVIEW_MS;
    if (!r)
        return;
    r->e = e;
    memcpy(r->id, eng->pub.id, sizeof(r->id));
    ask_again(r, eng, engage_volumes_right[0]);
}

void engage_files_tick(struct engagements *e)
{
    struct file_stream *fs, *next;

    for (fs = LIST_FIRST(&e->file_streams); fs; fs = next) {
        struct eng *eng = store_find(e, fs->id);

        next = LIST_NEXT(fs, entry);
        if (!eng || eng->gone || eng->ending)
            splice_abort(fs->in);
        else if (!e->closing && uv_now(e->env.loop) >= eng->files_due)
            review(e, eng);
    }
}
