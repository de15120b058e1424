/*
 * engage_requests.c - the requests of doc/protocol.md "Engagements"
 *
 * Who asks is the link's identity; what belongs to another owner is 404.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/engage_ask.h"
#include "manager/engage_internal.h"
#include "manager/engage_reply.h"
#include "manager/engage_uninstall.h"
#include "tunnel/tunnel.h"

#define ENGAGEMENTS "/tp/v1/engagements"
#define WORKLOADS   "/tp/v1/workloads/"
#define LOGS        "/tp/v1/logs/"
#define UNINSTALL   "/tp/v1/uninstall"

struct ask_of {
    struct engagements *e;
    struct link *link;
    const struct tunnel_open *open;
    struct reply *reply;
};

static bool is_get(const struct ask_of *a)
{
    return !strcmp(a->open->method, "GET");
}

static void refuse_method(const struct ask_of *a)
{
    reply_error(a->reply, 405, NULL, "%.16s is not for that path",
                a->open->method);
}

static void list_own(const struct ask_of *a)
{
    struct json_object *list = json_object_new_array();
    struct json_object *answer = json_object_new_object();
    struct eng *eng;

    TAILQ_FOREACH(eng, &a->e->list, entry)
    {
        if (!eng->gone && !strcmp(eng->pub.session, link_session(a->link)) &&
            identity_same_owner(&eng->pub.who, link_identity(a->link)))
            json_object_array_add(
                list, engagement_to_client(eng->object, &eng->pub, NULL));
    }
    json_object_object_add(answer, "engagements", list);
    reply_send(a->reply, 200, answer);
}

static const struct question {
    const char *name;
    const char *const *rights;
    void (*granted)(struct engage_ask *ask);
} questions[] = {
    {"/environment", engage_environment_right, engage_environment},
    {"/limits", engage_any_right, engage_limits},
};

/* NULL if an engagement has nothing of that name. */
static const struct question *find_question(const char *name)
{
    for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
        if (!strcmp(questions[i].name, name))
            return &questions[i];
    }
    return NULL;
}

static void ask_about(const struct ask_of *a, const struct eng *eng,
                      const struct question *question)
{
    struct engage_ask *ask = engage_ask_create(a->e, a->link, a->reply);

    if (!ask)
        return;
    ask->workload = eng->pub.workload;
    memcpy(ask->id, eng->pub.id, sizeof(ask->id));
    memcpy(ask->container, eng->pub.container, sizeof(ask->container));
    ask->rights = question->rights;
    ask->granted = question->granted;
    engage_ask_start(ask);
}

static void ask_files(const struct ask_of *a, const struct eng *eng)
{
    struct engage_ask *ask = engage_ask_create(a->e, a->link, a->reply);

    if (!ask)
        return;
    if (!engage_files_read(ask, eng->pub.type, a->open->body,
                           a->open->body_len)) {
        reply_error(a->reply, 422, "invalid", "\"key\" is no ed25519 key");
        engage_ask_free(ask);
        return;
    }
    ask->workload = eng->pub.workload;
    memcpy(ask->id, eng->pub.id, sizeof(ask->id));
    memcpy(ask->container, eng->pub.container, sizeof(ask->container));
    ask->rights = engage_volumes_right;
    ask->granted = engage_files;
    engage_ask_start(ask);
}

/* What is behind /ID. Files are for the session that engages: its streams are
 * the only ones that lead there. */
static void part(const struct ask_of *a, const struct eng *eng,
                 const char *name)
{
    bool files = !strcmp(name, "/files") &&
                 !strcmp(eng->pub.session, link_session(a->link));
    const struct question *question = find_question(name);

    if (!files && !question)
        reply_error(a->reply, 404, "no-such-engagement", "no such engagement");
    else if (files && !strcmp(a->open->method, "POST"))
        ask_files(a, eng);
    else if (question && is_get(a))
        ask_about(a, eng, question);
    else
        refuse_method(a);
}

/* Ended before it was there. */
static bool cancelled(const struct ask_of *a, const char *id)
{
    if (strcmp(a->open->method, "DELETE") != 0 ||
        !engage_creation_cancel(a->e, link_identity(a->link), id))
        return false;
    reply_send(a->reply, 200, json_object_new_object());
    return true;
}

/* Again: it is on its way already. */
static void end(const struct ask_of *a, struct eng *eng)
{
    if (eng->ending)
        reply_send(a->reply, 200, json_object_new_object());
    else if (engage_restores(eng))
        engage_restore(a->e, eng, a->reply);
    else
        engage_end(a->e, eng, "end", "ended by its user", a->reply);
}

/* /ID, /ID/environment, /ID/limits or /ID/files */
static void one(const struct ask_of *a, const char *path)
{
    size_t len = strcspn(path, "/");
    const char *rest = path + len;
    char id[ENGAGEMENT_ID_LEN + 1] = "";
    struct eng *eng;

    if (len == ENGAGEMENT_ID_LEN)
        memcpy(id, path, len);
    if (!*rest && cancelled(a, id))
        return;
    eng = *id ? store_find(a->e, id) : NULL;
    if (!eng || eng->gone ||
        !identity_same_owner(&eng->pub.who, link_identity(a->link)))
        reply_error(a->reply, 404, "no-such-engagement", "no such engagement");
    else if (*rest)
        part(a, eng, rest);
    else if (is_get(a))
        reply_send(a->reply, 200,
                   engagement_to_client(eng->object, &eng->pub, NULL));
    else if (!strcmp(a->open->method, "DELETE"))
        end(a, eng);
    else
        refuse_method(a);
}

static void workloads(const struct ask_of *a, const char *ns)
{
    struct engage_ask *ask;

    if (!is_get(a) || !is_dns_label(ns)) {
        reply_error(a->reply, 404, NULL, "no such namespace");
        return;
    }
    ask = engage_ask_create(a->e, a->link, a->reply);
    if (!ask)
        return;
    memcpy(ask->workload.ns, ns, strlen(ns) + 1);
    ask->rights = engage_any_right;
    ask->granted = engage_workloads;
    engage_ask_start(ask);
}

/* NS/KIND/NAME */
static bool read_workload(struct workload_ref *w, const char *path)
{
    const struct workload_kind *kind;
    size_t len = strcspn(path, "/");
    char name[WORKLOAD_NAME_MAX + 1];

    if (len >= sizeof(w->ns) || path[len] != '/' ||
        !strchr(path + len + 1, '/'))
        return false;
    memcpy(w->ns, path, len);
    w->ns[len] = '\0';
    if (!is_dns_label(w->ns))
        return false;
    path += len + 1;
    /* "Deployment/web", or as people write it. */
    len = strcspn(path, "/");
    for (size_t i = 0; (kind = workload_kind_at(i)); i++) {
        if (strlen(kind->kind) == len && !strncmp(kind->kind, path, len))
            break;
    }
    if (kind && !is_dns_name(path + len + 1, WORKLOAD_NAME_MAX))
        return false;
    if (kind)
        memcpy(name, path + len + 1, strlen(path + len + 1) + 1);
    else if (workload_parse(path, &kind, name, NULL) < 0 || !kind)
        return false;
    snprintf(w->kind, sizeof(w->kind), "%s", kind->kind);
    memcpy(w->name, name, sizeof(w->name));
    return true;
}

static void logs(const struct ask_of *a, const char *path)
{
    struct workload_ref workload = {{0}, {0}, {0}};
    struct engage_ask *ask;

    if (!is_get(a) || !read_workload(&workload, path)) {
        reply_error(a->reply, 404, "no-such-workload", "no such workload");
        return;
    }
    ask = engage_ask_create(a->e, a->link, a->reply);
    if (!ask)
        return;
    ask->workload = workload;
    ask->rights = engage_any_right;
    ask->granted = engage_logs;
    engage_ask_start(ask);
}

static void collection(const struct ask_of *a)
{
    if (is_get(a))
        list_own(a);
    else if (!strcmp(a->open->method, "POST"))
        engage_create(a->e, a->link, a->reply, a->open->body,
                      a->open->body_len);
    else
        refuse_method(a);
}

static void uninstall(const struct ask_of *a)
{
    if (!strcmp(a->open->method, "POST"))
        engage_uninstall(a->e, a->link, a->reply, a->open->body,
                         a->open->body_len);
    else
        refuse_method(a);
}

static const char *behind(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

bool engagements_request(struct engagements *e, struct link *link,
                         struct tunnel_stream *s,
                         const struct tunnel_open *open)
{
    struct ask_of a = {.e = e, .link = link, .open = open};
    const char *all = !strcmp(open->path, ENGAGEMENTS) ? "" : NULL;
    const char *id = behind(open->path, ENGAGEMENTS "/");
    const char *list = behind(open->path, WORKLOADS);
    const char *log = behind(open->path, LOGS);
    bool removal = !strcmp(open->path, UNINSTALL);

    if (e->closing || (!all && !id && !list && !log && !removal))
        return false;
    a.reply = reply_create(s);
    if (!a.reply)
        return false;
    if (all)
        collection(&a);
    else if (id)
        one(&a, id);
    else if (list)
        workloads(&a, list);
    else if (removal)
        uninstall(&a);
    else
        logs(&a, log);
    return true;
}
