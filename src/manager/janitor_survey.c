/*
 * janitor_survey.c - workloads with the annotation, whether their agents are
 * connected or not
 *
 * The janitor reads all pod templates when it becomes the janitor, and seldom
 * after: what is engaged and ends meanwhile it hears of. In pages, of which
 * only the names are kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/engage_internal.h"
#include "manager/workload.h"
#include "manager/workload_config.h"
#include "manager/workload_kind.h"

#define PAGE      100
#define PAGES_MAX 500 /* of one kind */
#define FOUND_MAX 1000

struct survey {
    struct engage_job job;
    char manager_ns[64];
    struct json_object *annotated, *replaced; /* {"ns/kind/name": 0} */
};

void janitor_key(const struct workload_ref *w, char key[JANITOR_KEY_MAX])
{
    snprintf(key, JANITOR_KEY_MAX, "%s/%s/%s", w->ns, w->kind, w->name);
}

/* ---- in the worker thread -------------------------------------------------
 */

static void put(struct json_object *set, const char *key)
{
    if (json_object_object_length(set) < FOUND_MAX)
        json_object_object_add(set, key, json_object_new_int64(0));
}

static void look_at(struct survey *s, const struct workload_kind *kind,
                    struct json_object *item)
{
    const char *text = workload_annotation(item, ANNOTATION_AGENT);
    const char *ns = json_get_str(item, "metadata.namespace", "");
    cleanup_json struct json_object *config = NULL;
    struct workload_ref w = {{0}, {0}, {0}};
    char key[JANITOR_KEY_MAX];

    if (!text || workload_controller(item) || !strcmp(ns, "kube-system") ||
        !strcmp(ns, s->manager_ns))
        return;
    snprintf(w.ns, sizeof(w.ns), "%s", ns);
    snprintf(w.kind, sizeof(w.kind), "%s", kind->kind);
    snprintf(w.name, sizeof(w.name), "%s",
             json_get_str(item, "metadata.name", ""));
    janitor_key(&w, key);
    config = config_parse(text);
    put(s->annotated, key);
    if (*json_get_str(config, "replace", ""))
        put(s->replaced, key);
}

/* One page; *next is the token of the one behind it, owned, NULL: none. */
static int read_page(struct survey *s, struct kube_client *client,
                     const struct workload_kind *kind, char **next)
{
    cleanup_free char *token = *next ? percent_encode(*next) : NULL;
    cleanup_free char *path = NULL;
    cleanup_json struct json_object *list = NULL;
    struct json_object *items;
    const char *more;
    int rc;

    free(*next);
    *next = NULL;
    if (asprintf(&path, "%s/%s?limit=%d%s%s", kind->base, kind->resource, PAGE,
                 token ? "&continue=" : "", token ? token : "") < 0) {
        path = NULL;
        return tp_error_errno(&s->job.err, -ENOMEM, "survey");
    }
    rc = kube_get(client, path, &list, &s->job.err);
    if (rc < 0)
        return rc;
    items = json_get_array(list, "items");
    for (size_t i = 0; i < json_array_len(items); i++)
        look_at(s, kind, json_object_array_get_idx(items, i));
    more = json_get_str(list, "metadata.continue", "");
    *next = *more ? strdup(more) : NULL;
    return 0;
}

static int read_kind(struct survey *s, struct kube_client *client,
                     const struct workload_kind *kind)
{
    char *next = NULL;
    int rc = 0;

    for (int i = 0; rc == 0 && i < PAGES_MAX && (i == 0 || next); i++)
        rc = read_page(s, client, kind, &next);
    free(next);
    return rc;
}

/* Pods and Jobs cannot be changed: there is nothing to do for them. */
static void work(struct engage_job *job, struct kube_client *client)
{
    struct survey *s = (struct survey *)job;
    const struct workload_kind *kind;

    for (size_t i = 0; job->status == 0 && (kind = workload_kind_at(i)); i++) {
        if (!strcmp(kind->version, "apps/v1"))
            job->status = read_kind(s, client, kind);
    }
}

/* ---- on the loop ----------------------------------------------------------
 */

/* What was known keeps its time. */
static void merge(const struct engagements *e, struct json_object **known,
                  struct json_object *found)
{
    json_object_object_foreach(found, key, value)
    {
        struct json_object *old = json_member(*known, key);
        int64_t since =
            old ? json_object_get_int64(old) : (int64_t)uv_now(e->env.loop);

        json_object_set_int64(value, since);
    }
    json_object_put(*known);
    *known = json_object_get(found);
}

static void done(struct engage_job *job)
{
    struct survey *s = (struct survey *)job;
    struct engagements *e = job->e;

    e->surveying = false;
    if (job->status == 0) {
        merge(e, &e->annotated, s->annotated);
        merge(e, &e->replaced, s->replaced);
        e->janitor_due = 0;
    } else {
        log_warn("janitor: workloads with agents: %s", job->err.text);
        e->survey_due = uv_now(e->env.loop) + SURVEY_FAIL_MS;
    }
    json_object_put(s->annotated);
    json_object_put(s->replaced);
    free(s);
}

void janitor_survey_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct survey *s;

    if (!e->janitor) {
        e->survey_due = 0; /* at once when it is */
        return;
    }
    if (e->closing || e->surveying || now < e->survey_due)
        return;
    s = calloc(1, sizeof(*s));
    if (!s)
        return;
    e->survey_due = now + SURVEY_MS;
    e->surveying = true;
    snprintf(s->manager_ns, sizeof(s->manager_ns), "%s", e->env.ns);
    s->annotated = json_object_new_object();
    s->replaced = json_object_new_object();
    s->job.work = work;
    s->job.done = done;
    engage_run(e, &s->job);
}

void janitor_survey_note(struct engagements *e, const struct engagement *eng)
{
    char key[JANITOR_KEY_MAX];

    janitor_key(&eng->workload, key);
    put(e->annotated, key);
    if (eng->type == ENGAGEMENT_REPLACE)
        put(e->replaced, key); /* 0: at once */
}

void janitor_survey_forget(struct engagements *e, const struct workload_ref *w)
{
    char key[JANITOR_KEY_MAX];

    janitor_key(w, key);
    json_object_object_del(e->annotated, key);
    json_object_object_del(e->replaced, key);
}

/* "ns/kind/name" */
static bool read_key(struct workload_ref *w, const char *key)
{
    const char *kind = strchr(key, '/');
    const char *name = kind ? strchr(kind + 1, '/') : NULL;

    memset(w, 0, sizeof(*w));
    if (!name || (size_t)(kind - key) >= sizeof(w->ns) ||
        (size_t)(name - kind - 1) >= sizeof(w->kind) ||
        strlen(name + 1) >= sizeof(w->name))
        return false;
    memcpy(w->ns, key, (size_t)(kind - key));
    memcpy(w->kind, kind + 1, (size_t)(name - kind - 1));
    memcpy(w->name, name + 1, strlen(name + 1));
    return true;
}

void janitor_survey_each(const struct engagements *e, janitor_survey_cb *cb,
                         void *arg)
{
    json_object_object_foreach(e->annotated, key, value)
    {
        struct json_object *since = json_member(e->replaced, key);
        struct workload_ref w;

        (void)value;
        if (read_key(&w, key))
            cb(arg, &w, since != NULL,
               since ? (uint64_t)json_object_get_int64(since) : 0);
    }
}
