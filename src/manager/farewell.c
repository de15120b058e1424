/*
 * farewell.c - taking the APIService along when the namespace goes
 *
 * An APIService without a server keeps every namespace of the cluster from
 * being deleted, the manager's own included (KUBERNETES 13). `kubectl delete
 * namespace` does not remove it, as it belongs to no namespace; so the manager
 * does.
 *
 * When: the namespace controller waits 5 s between Terminating and its first
 * deletion (namespaceDeletionGracePeriod); afterwards the service account may
 * be gone before SIGTERM comes. So the phase is looked at each 4 s, and at
 * SIGTERM.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "manager/api.h"
#include "manager/manager_internal.h"
#include "manager/options.h"

#define POLL_MS 4000

struct question {
    struct manager *m;
    char ns_path[128], apiservice_path[256];
    bool terminating, gone;
    int status; /* of the deletion */
};

/* In a worker thread. */
static void ask(void *arg, struct kube_client *client)
{
    struct question *q = arg;
    struct json_object *ns = NULL;
    int status = kube_request(client, "GET", q->ns_path, NULL, NULL, &ns, NULL);

    q->terminating =
        status == 200 &&
        !strcmp(json_get_str(ns, "status.phase", ""), "Terminating");
    json_object_put(ns);
    if (!q->terminating)
        return;
    q->status = kube_request(client, "DELETE", q->apiservice_path, NULL, NULL,
                             NULL, NULL);
    q->gone = (q->status >= 200 && q->status < 300) || q->status == 404;
}

static void answered_cb(void *arg, const struct tp_error *err)
{
    struct question *q = arg;
    struct manager *m = q->m;

    m->asking_namespace = false;
    if (!err && q->terminating) {
        if (q->gone)
            log_info("namespace %s is going away: APIService %s deleted",
                     m->options->ns, m->options->apiservice);
        else
            log_error("namespace %s is going away, but APIService %s cannot be "
                      "deleted: status %d",
                      m->options->ns, m->options->apiservice, q->status);
    }
    m->apiservice_gone = m->apiservice_gone || q->gone;
    free(q);
}

static void ask_now(struct manager *m)
{
    struct question *q;

    if (m->asking_namespace || m->apiservice_gone)
        return;
    q = calloc(1, sizeof(*q));
    if (!q)
        return;
    q->m = m;
    snprintf(q->ns_path, sizeof(q->ns_path), "/api/v1/namespaces/%.63s",
             m->options->ns);
    snprintf(q->apiservice_path, sizeof(q->apiservice_path),
             "/apis/apiregistration.k8s.io/v1/apiservices/%.150s",
             m->options->apiservice);
    if (api_run(m->api, ask, answered_cb, q) < 0)
        free(q);
    else
        m->asking_namespace = true;
}

static void timer_cb(uv_timer_t *timer)
{
    ask_now(timer->data);
}

void farewell_start(struct manager *m)
{
    if (m->options->apiservice)
        uv_timer_start(&m->namespace_timer, timer_cb, 0, POLL_MS);
}
