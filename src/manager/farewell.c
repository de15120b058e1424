/*
 * farewell.c - taking along what the namespace does not hold when it goes
 *
 * An APIService without a server keeps every namespace of the cluster from
 * being deleted, the manager's own included (KUBERNETES 13); a webhook without
 * one is asked in vain for each pod that wants an agent. `kubectl delete
 * namespace` does not remove them, as they belong to no namespace; so the
 * manager does.
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
#include "manager/engagements.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/service_switch_run.h"

#define POLL_MS 4000

enum { APISERVICE, WEBHOOK, OBJECTS };

static const char *const kinds[OBJECTS] = {
    [APISERVICE] = "APIService",
    [WEBHOOK] = "MutatingWebhookConfiguration",
};

struct question {
    struct manager *m;
    char ns_path[128];
    char paths[OBJECTS][256]; /* "": nothing to delete */
    int status[OBJECTS];      /* of the deletion */
    bool services;            /* are put back, too */
    bool nobody_switches;     /* this replica, any more */
    int services_status;
    bool terminating;
};

static bool is_gone(int status)
{
    return (status >= 200 && status < 300) || status == 404;
}

/* In a worker thread. */
static void ask(void *arg, struct kube_client *client)
{
    struct question *q = arg;
    struct json_object *ns = NULL;
    struct tp_error err = {0};
    int status = kube_request(client, "GET", q->ns_path, NULL, NULL, &ns, NULL);

    q->terminating =
        status == 200 &&
        !strcmp(json_get_str(ns, "status.phase", ""), "Terminating");
    json_object_put(ns);
    if (q->terminating && q->services)
        q->services_status = switch_restore_all(client, &err);
    if (q->services_status < 0)
        log_warn("Services: %s", err.text);
    for (int i = 0; q->terminating && i < OBJECTS; i++) {
        if (*q->paths[i])
            q->status[i] = kube_request(client, "DELETE", q->paths[i], NULL,
                                        NULL, NULL, NULL);
    }
}

/* True if nothing is left to delete. */
static bool report(const struct manager *m, const struct question *q)
{
    bool all = true;

    for (int i = 0; i < OBJECTS; i++) {
        if (!*q->paths[i])
            continue;
        if (is_gone(q->status[i])) {
            log_info("namespace %s is going away: %s deleted", m->options->ns,
                     kinds[i]);
            continue;
        }
        log_error("namespace %s is going away, but its %s cannot be deleted: "
                  "status %d",
                  m->options->ns, kinds[i], q->status[i]);
        all = false;
    }
    return all;
}

static bool is_restored(const struct question *q)
{
    return !q->services || (q->nobody_switches && q->services_status == 0);
}

static void ask_now(struct manager *m);

static void answered_cb(void *arg, const struct tp_error *err)
{
    struct question *q = arg;
    struct manager *m = q->m;

    m->asking_namespace = false;
    if (!err && q->terminating && report(m, q) && is_restored(q))
        m->farewell_said = true;
    if (!err && q->terminating && q->services && !q->nobody_switches) {
        m->services_left = true;
        engagements_leave_services(m->parts.engagements);
        ask_now(m); /* what was switched while it was put back */
    }
    free(q);
}

static struct question *new_question(struct manager *m)
{
    const struct options *o = m->options;
    struct question *q = calloc(1, sizeof(*q));

    if (!q)
        return NULL;
    q->m = m;
    q->services = o->switch_services;
    q->nobody_switches = m->services_left;
    snprintf(q->ns_path, sizeof(q->ns_path), "/api/v1/namespaces/%.63s", o->ns);
    if (o->apiservice)
        snprintf(q->paths[APISERVICE], sizeof(q->paths[APISERVICE]),
                 "/apis/apiregistration.k8s.io/v1/apiservices/%.150s",
                 o->apiservice);
    if (o->webhook)
        snprintf(q->paths[WEBHOOK], sizeof(q->paths[WEBHOOK]),
                 "/apis/admissionregistration.k8s.io/v1/"
                 "mutatingwebhookconfigurations/%.150s",
                 o->webhook);
    return q;
}

static void ask_now(struct manager *m)
{
    struct question *q;

    if (m->asking_namespace || m->farewell_said)
        return;
    q = new_question(m);
    if (!q)
        return;
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
    if (m->options->apiservice || m->options->webhook)
        uv_timer_start(&m->namespace_timer, timer_cb, 0, POLL_MS);
}
