/* uninstall_round.c - one look at the pods with agents, see uninstall.h */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/drive_step.h"
#include "manager/uninstall.h"
#include "manager/workload.h"

#define PAGE      500
#define KEY_MAX   400
#define TOKEN_MAX 4096

/* Out of a template, no settings are needed. */
static const struct config_way plain, restart = {.restart = true};

/* ---- lists, page by page --------------------------------------------------
 */

typedef int item_cb(struct uninstall *u, const struct workload_kind *kind,
                    struct json_object *item);

/* Continue tokens are base64url; another one cannot be put into a path. */
static bool is_token(const char *text)
{
    return strlen(text) < TOKEN_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789-_=") == strlen(text);
}

static int each_page(struct uninstall *u, const struct workload_kind *kind,
                     const char *ns, const char *token, item_cb *cb,
                     char next[TOKEN_MAX])
{
    cleanup_json struct json_object *list = NULL;
    cleanup_free char *path = NULL;
    struct json_object *items;
    const char *follow;
    int rc;

    if (asprintf(&path, "%s%s%s/%s?limit=%d%s%s", kind->base,
                 *ns ? "/namespaces/" : "", ns, kind->resource, PAGE,
                 *token ? "&continue=" : "", token) < 0)
        return tp_error_errno(u->err, -ENOMEM, "list");
    rc = kube_get(u->client, path, &list, u->err);
    items = json_get_array(list, "items");
    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++)
        rc = time(NULL) < u->deadline
                 ? cb(u, kind, json_object_array_get_idx(items, i))
                 : 0;
    follow = json_get_str(list, "metadata.continue", "");
    snprintf(next, TOKEN_MAX, "%s", is_token(follow) ? follow : "");
    return rc;
}

/* ns "": in all namespaces. */
static int each(struct uninstall *u, const struct workload_kind *kind,
                const char *ns, item_cb *cb)
{
    char token[TOKEN_MAX] = "", next[TOKEN_MAX];
    int rc;

    do {
        rc = each_page(u, kind, ns, token, cb, next);
        memcpy(token, next, sizeof(token));
    } while (rc == 0 && *token && time(NULL) < u->deadline);
    return rc;
}

/* ---- one workload ---------------------------------------------------------
 */

static int64_t ready_pods(struct json_object *w)
{
    return json_get_int(w, "status.readyReplicas",
                        json_get_int(w, "status.numberReady", 0));
}

enum uninstall_step uninstall_judge(const struct workload_ref *ref,
                                    struct json_object *workload,
                                    bool restarted)
{
    const struct workload_kind *kind = workload_kind_find(ref->kind);
    struct rollout_plan plan;

    rollout_plan(&plan, kind, workload);
    if (workload_annotation(workload, ANNOTATION_AGENT))
        return UNINSTALL_TEMPLATE;
    if (plan.method == ROLLOUT_EVICT)
        return ready_pods(workload) >= workload_replicas(workload)
                   ? UNINSTALL_EVICT
                   : UNINSTALL_WAIT;
    return !restarted && rollout_is_complete(workload) ? UNINSTALL_RESTART
                                                       : UNINSTALL_WAIT;
}

/* A workload that is gone, or that somebody else has just changed, is no
 * failure; one that may not be changed (a policy of the cluster's) keeps the
 * others from nothing. */
static void report(const struct workload_ref *ref, const char *what, int rc,
                   const struct tp_error *err)
{
    if (rc == 0)
        log_info("%s %s in %s: %s", ref->kind, ref->name, ref->ns, what);
    else if (rc != -ENOENT && rc != -EEXIST && rc != -EAGAIN)
        log_warn("%s %s in %s: %s", ref->kind, ref->name, ref->ns, err->text);
}

static void act(struct uninstall *u, const struct workload_ref *ref,
                struct json_object **workload, const char *pod)
{
    struct tp_error err = {0};
    char key[KEY_MAX];

    snprintf(key, sizeof(key), "%s/%s/%s", ref->ns, ref->kind, ref->name);
    switch (uninstall_judge(ref, *workload,
                            json_member(u->restarted, key) != NULL)) {
    case UNINSTALL_WAIT:
        break;
    case UNINSTALL_TEMPLATE:
        report(ref, "its agents are removed",
               config_write(u->client, &plain, ref, NULL, workload, &err),
               &err);
        break;
    case UNINSTALL_RESTART:
        json_object_object_add(u->restarted, key,
                               json_object_new_boolean(true));
        report(ref, "its pods are restarted without agents",
               config_write(u->client, &restart, ref, NULL, workload, &err),
               &err);
        break;
    case UNINSTALL_EVICT:
        report(ref, "a pod with an agent is evicted",
               pod_evict(u->client, ref->ns, pod, &err), &err);
        break;
    }
}

/* ---- one pod --------------------------------------------------------------
 */

static int read_replicaset(struct uninstall *u, struct workload_ref *ref)
{
    cleanup_json struct json_object *set = NULL;
    struct json_object *owner;
    char path[WORKLOAD_PATH_MAX];
    int rc;

    workload_path(workload_kind_find("ReplicaSet"), ref->ns, ref->name, path);
    rc = kube_get(u->client, path, &set, u->err);
    owner = rc == 0 ? workload_controller(set) : NULL;
    if (owner) {
        snprintf(ref->kind, sizeof(ref->kind), "%.31s",
                 json_get_str(owner, "kind", ""));
        snprintf(ref->name, sizeof(ref->name), "%.253s",
                 json_get_str(owner, "name", ""));
    }
    return rc == -ENOENT ? 0 : rc;
}

/* The ReplicaSet's owner, if it has one; each is asked for once. */
static int follow_replicaset(struct uninstall *u, struct workload_ref *ref)
{
    char key[KEY_MAX], value[KEY_MAX];
    const char *known, *slash;
    int rc;

    snprintf(key, sizeof(key), "%s/%s", ref->ns, ref->name);
    known = json_object_get_string(json_member(u->owners, key));
    slash = known ? strchr(known, '/') : NULL;
    if (slash) {
        snprintf(ref->kind, sizeof(ref->kind), "%.*s", (int)(slash - known),
                 known);
        snprintf(ref->name, sizeof(ref->name), "%.253s", slash + 1);
        return 0;
    }
    rc = read_replicaset(u, ref);
    snprintf(value, sizeof(value), "%s/%s", ref->kind, ref->name);
    if (rc == 0)
        json_object_object_add(u->owners, key, json_object_new_string(value));
    return rc;
}

/* Whom a pod belongs to; kind "" for nobody. */
static int owner_of(struct uninstall *u, struct json_object *pod,
                    struct workload_ref *ref)
{
    struct json_object *owner = workload_controller(pod);

    memset(ref, 0, sizeof(*ref));
    snprintf(ref->ns, sizeof(ref->ns), "%.63s",
             json_get_str(pod, "metadata.namespace", ""));
    if (!owner)
        return 0;
    snprintf(ref->kind, sizeof(ref->kind), "%.31s",
             json_get_str(owner, "kind", ""));
    snprintf(ref->name, sizeof(ref->name), "%.253s",
             json_get_str(owner, "name", ""));
    return !strcmp(ref->kind, "ReplicaSet") ? follow_replicaset(u, ref) : 0;
}

static bool is_restartable(const struct workload_ref *ref)
{
    return workload_kind_find(ref->kind) && strcmp(ref->kind, "Job") != 0 &&
           strcmp(ref->kind, "Pod") != 0;
}

static bool is_ending(struct json_object *pod)
{
    const char *phase = json_get_str(pod, "status.phase", "");

    return json_get(pod, "metadata.deletionTimestamp") ||
           !strcmp(phase, "Succeeded") || !strcmp(phase, "Failed");
}

static int pod_cb(struct uninstall *u, const struct workload_kind *kind,
                  struct json_object *pod)
{
    cleanup_json struct json_object *workload = NULL;
    const char *name = json_get_str(pod, "metadata.name", "");
    struct workload_ref ref;
    char path[WORKLOAD_PATH_MAX];
    int rc;

    (void)kind;
    if (!pod_has_agent(pod) || is_ending(pod))
        return 0;
    rc = owner_of(u, pod, &ref);
    if (rc < 0)
        return rc;
    if (!is_restartable(&ref)) {
        if (u->everywhere)
            log_warn("pod %s in %s keeps its agent until it is made anew", name,
                     ref.ns);
        u->kept++;
        return 0;
    }
    u->left++;
    json_object_object_add(u->namespaces, ref.ns,
                           json_object_new_boolean(true));
    workload_path(workload_kind_find(ref.kind), ref.ns, ref.name, path);
    rc = kube_get(u->client, path, &workload, u->err);
    if (rc == 0)
        act(u, &ref, &workload, name);
    return rc == -ENOENT ? 0 : rc;
}

int uninstall_round(struct uninstall *u)
{
    const struct workload_kind *pods = workload_kind_find("Pod");
    cleanup_json struct json_object *where = NULL;
    int rc = 0;

    u->left = u->kept = 0;
    if (u->everywhere)
        return each(u, pods, "", pod_cb);
    json_object_deep_copy(u->namespaces, &where, NULL);
    json_object_object_foreach(where, ns, value)
    {
        (void)value;
        if (rc == 0)
            rc = each(u, pods, ns, pod_cb);
    }
    return rc;
}

/* ---- templates ------------------------------------------------------------
 */

static int template_cb(struct uninstall *u, const struct workload_kind *kind,
                       struct json_object *item)
{
    struct workload_ref ref = {{0}, {0}, {0}};
    struct json_object *workload;
    struct tp_error err = {0};

    json_put_str(item, "kind", kind->kind); /* items of lists have none */
    if (workload_controller(item) ||
        !workload_annotation(item, ANNOTATION_AGENT))
        return 0;
    snprintf(ref.ns, sizeof(ref.ns), "%.63s",
             json_get_str(item, "metadata.namespace", ""));
    snprintf(ref.kind, sizeof(ref.kind), "%s", kind->kind);
    snprintf(ref.name, sizeof(ref.name), "%.253s",
             json_get_str(item, "metadata.name", ""));
    workload = json_object_get(item);
    report(&ref, "its agents are removed",
           config_write(u->client, &plain, &ref, NULL, &workload, &err), &err);
    json_object_put(workload);
    return 0;
}

int uninstall_templates(struct uninstall *u)
{
    const struct workload_kind *kind;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (kind = workload_kind_at(i)); i++) {
        if (strcmp(kind->kind, "Pod") && strcmp(kind->kind, "Job"))
            rc = each(u, kind, "", template_cb);
    }
    return rc;
}
