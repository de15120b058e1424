#include "manager/service_switch_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/engagement_json.h"
#include "manager/workload.h"

#define MERGE_PATCH "application/merge-patch+json"
#define KEY_MAX     330
#define REQUEST_MS  5000

static const char *ns_of(struct json_object *obj)
{
    return json_get_str(obj, "metadata.namespace", "");
}

static const char *name_of(struct json_object *obj)
{
    return json_get_str(obj, "metadata.name", "");
}

/* ---- one Service ----------------------------------------------------------
 */

static struct json_object *wrap(const char *key, struct json_object *value)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, key, value);
    return obj;
}

/* The pods behind a Service, all of them. Without a selector: none. */
static int get_pods(struct switch_run *r, struct json_object *service,
                    struct json_object **pods, struct tp_error *err)
{
    struct json_object *selector = json_get(service, "spec.selector");
    cleanup_json struct json_object *as_workload = NULL;
    cleanup_free char *path = NULL;
    int rc;

    *pods = NULL;
    if (!selector)
        return 0;
    as_workload =
        wrap("spec",
             wrap("selector", wrap("matchLabels", json_object_get(selector))));
    path = workload_pods_path(ns_of(service), as_workload);
    if (!path)
        return 0;
    rc = kube_get(r->client, path, pods, err);
    if (rc == 0 && *json_get_str(*pods, "metadata.continue", ""))
        rc = tp_error_set(err, -E2BIG, "Service %s leads to more than 500 pods",
                          name_of(service));
    return rc;
}

static int change(struct switch_run *r, struct json_object *service,
                  const struct switch_verdict *v, struct tp_error *err)
{
    char path[512], key[KEY_MAX];
    int rc;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/services/%.253s",
             ns_of(service), name_of(service));
    rc = kube_call(r->client, "PATCH", path, MERGE_PATCH, v->patch, NULL, err);
    if (rc == -EEXIST || rc == -ENOENT)
        return 0; /* somebody else was faster: next time */
    if (rc < 0)
        return tp_error_wrap(err, "Service %s in %s", name_of(service),
                             ns_of(service));
    snprintf(key, sizeof(key), "%s/%s", ns_of(service), name_of(service));
    log_info("Service %s: %s", key,
             v->switches ? "leads to agents" : "leads to the app again");
    if (v->switches && !r->changed)
        r->changed = json_object_new_array();
    if (v->switches)
        json_object_array_add(r->changed, json_object_new_string(key));
    return 0;
}

static void note(struct switch_run *r, const struct switch_verdict *v)
{
    r->all = r->all && v->all;
    if (!*r->reason)
        memcpy(r->reason, v->reason, sizeof(r->reason));
}

static int handle(struct switch_run *r, struct json_object *service,
                  struct tp_error *err)
{
    cleanup_json struct json_object *pods = NULL;
    struct switch_rules rules = r->rules;
    struct switch_verdict v = {0};
    char key[KEY_MAX];
    int rc = get_pods(r, service, &pods, err);

    if (rc < 0)
        return rc;
    snprintf(key, sizeof(key), "%s/%s", ns_of(service), name_of(service));
    rules.may_switch = rules.may_switch && !json_member(r->held, key);
    switch_judge(&v, service, pods, r->wants, r->count, &rules);
    note(r, &v);
    r->labelled += json_member(json_get(service, "metadata.labels"),
                               SWITCH_LABEL) != NULL ||
                   v.switches;
    if (v.patch && !r->look_only)
        rc = change(r, service, &v, err);
    json_object_put(v.patch);
    return rc;
}

/* ---- lists of them --------------------------------------------------------
 */

/* One that fails does not keep the others from being put back. */
static int handle_all(struct switch_run *r, struct json_object *list,
                      struct tp_error *err)
{
    struct json_object *items = json_get_array(list, "items");
    int rc = 0;

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *service = json_object_array_get_idx(items, i);
        struct tp_error one = {0};

        if (!switch_concerns(service, r->wants, r->count) ||
            handle(r, service, &one) == 0)
            continue;
        rc = one.code;
        if (err)
            *err = one;
    }
    return rc;
}

static int run_list(struct switch_run *r, const char *path,
                    struct tp_error *err)
{
    cleanup_json struct json_object *list = NULL;
    int rc = kube_get(r->client, path, &list, err);

    return rc < 0 ? rc : handle_all(r, list, err);
}

int switch_run_namespace(struct switch_run *r, const char *ns,
                         struct tp_error *err)
{
    char path[160];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/services?limit=1000",
             ns);
    return run_list(r, path, err);
}

int switch_run_labelled(struct switch_run *r, struct tp_error *err)
{
    return run_list(r,
                    "/api/v1/services?limit=1000&labelSelector="
                    "tp.internal%2Fswitched",
                    err);
}

/* ---- the end of tp --------------------------------------------------------
 */

int switch_restore_all(struct kube_client *client, struct tp_error *err)
{
    struct switch_run r = {
        .client = client, .rules = {.may_end = true}, .all = true};
    int rc = switch_run_labelled(&r, err);

    json_object_put(r.changed);
    if (rc == 0 && r.labelled > 0)
        rc = tp_error_set(err, -EAGAIN, "%zu Services were still switched",
                          r.labelled);
    return rc;
}

static int end_all(struct kube_client *client, const char *ns,
                   struct tp_error *err)
{
    static const char *const resources[] = {"engagements", "sessions"};
    char path[256];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 2; i++) {
        snprintf(path, sizeof(path),
                 "/apis/" CR_GROUP_VERSION "/namespaces/%.63s/%s", ns,
                 resources[i]);
        rc = kube_call(client, "DELETE", path, NULL, NULL, NULL, err);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* Until none was found twice: a replica may have been at it. */
static int restore_until_none(struct kube_client *client, const char *ns,
                              unsigned seconds, struct tp_error *err)
{
    unsigned none = 0;
    int rc = -EAGAIN;

    for (unsigned i = 0; i <= seconds && none < 2; i++) {
        if (i)
            sleep(1);
        rc = end_all(client, ns, err);
        if (rc == 0)
            rc = switch_restore_all(client, err);
        none = rc == 0 ? none + 1 : 0;
    }
    return none < 2 ? rc : 0;
}

int switch_farewell(const char *ns, unsigned seconds, struct tp_error *err)
{
    struct kube_endpoint endpoint = {0};
    struct kube_client *client = NULL;
    int rc = kube_endpoint_in_cluster(&endpoint, err);

    if (rc == 0) {
        client = kube_client_create(&endpoint, REQUEST_MS, err);
        rc = client ? restore_until_none(client, ns, seconds, err) : -EINVAL;
    }
    kube_client_destroy(client);
    kube_endpoint_release(&endpoint);
    return rc;
}
