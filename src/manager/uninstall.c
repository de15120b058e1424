#include "manager/uninstall.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/engage_internal.h"

#define REQUEST_MS 10000
#define PAUSE_S    2
#define FAILURES   5 /* of the API server, in a row */

/* ---- what would bring agents back -----------------------------------------
 */

static int remove_webhook(struct kube_client *client, const char *name,
                          struct tp_error *err)
{
    char path[256];
    int rc;

    if (!*name)
        return 0;
    snprintf(path, sizeof(path),
             "/apis/admissionregistration.k8s.io/v1/"
             "mutatingwebhookconfigurations/%.150s",
             name);
    rc = kube_call(client, "DELETE", path, NULL, NULL, NULL, err);
    if (rc == 0)
        log_info("webhook %s is removed: no pod gets an agent any more", name);
    return rc == -ENOENT ? 0 : rc;
}

/* Their clients are told why. */
static int end_engagements(struct kube_client *client, const char *ns,
                           struct tp_error *err)
{
    cleanup_json struct json_object *list = NULL;
    struct json_object *items;
    char path[ENGAGE_PATH];
    int rc;

    engage_path(ns, "engagements", "", path);
    rc = kube_get(client, path, &list, err);
    items = json_get_array(list, "items");
    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++) {
        struct engagement eng;

        if (engagement_parse(&eng, json_object_array_get_idx(items, i), NULL) ==
            0)
            rc = engage_end_object(client, ns, &eng,
                                   "tp is being removed from the cluster", err);
        engagement_release(&eng);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* ---- rounds ---------------------------------------------------------------
 */

static int run_rounds(struct uninstall *u)
{
    unsigned failures = 0;
    int rc;

    u->everywhere = true;
    do {
        json_object_put(u->owners);
        u->owners = json_object_new_object();
        rc = uninstall_round(u);
        if (rc == -EACCES || (rc < 0 && ++failures == FAILURES))
            return rc;
        if (rc < 0)
            log_warn("%s", u->err->text);
        else
            failures = u->everywhere = 0;
        if (rc == 0 && u->left == 0)
            return 0;
        sleep(PAUSE_S);
    } while (time(NULL) < u->deadline);
    return 0;
}

static int run(struct uninstall *u, const char *ns, const char *webhook)
{
    int rc = remove_webhook(u->client, webhook, u->err);

    if (rc == 0)
        rc = end_engagements(u->client, ns, u->err);
    if (rc == 0)
        rc = uninstall_templates(u);
    if (rc == 0)
        rc = run_rounds(u);
    if (rc < 0)
        return tp_error_wrap(u->err, "agents cannot be removed");
    if (u->left == 0)
        log_info("no pod that can be restarted has an agent");
    else
        log_warn("time is over: %u pods still have an agent, which goes with "
                 "their next restart and lets all traffic through until then",
                 u->left);
    return 0;
}

int uninstall_run(const char *ns, const char *webhook, unsigned seconds,
                  struct tp_error *err)
{
    struct kube_endpoint endpoint = {0};
    struct uninstall u = {.deadline = (int64_t)time(NULL) + seconds,
                          .namespaces = json_object_new_object(),
                          .restarted = json_object_new_object(),
                          .err = err};
    int rc = kube_endpoint_in_cluster(&endpoint, err);

    if (rc == 0) {
        u.client = kube_client_create(&endpoint, REQUEST_MS, err);
        rc = u.client ? run(&u, ns, webhook) : -EINVAL;
    }
    kube_client_destroy(u.client);
    kube_endpoint_release(&endpoint);
    json_object_put(u.namespaces);
    json_object_put(u.restarted);
    json_object_put(u.owners);
    return rc;
}
