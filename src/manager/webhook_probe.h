/*
 * webhook_probe.h - does the API server reach the webhook?
 *
 * Where it does not (a managed control plane, a firewall), no pod ever gets an
 * agent by it (KUBERNETES 6). A pod with PROBE_LABEL is created in the
 * managers' namespace, by a dry run, for which the chart has a webhook of its
 * own; if it comes back with another label, the webhook has been asked.
 */
#ifndef TP_MANAGER_WEBHOOK_PROBE_H
#define TP_MANAGER_WEBHOOK_PROBE_H

#include <stdbool.h>

#include "manager/inject.h"

#define PROBE_LABEL   "tp.internal/probe"
#define PROBE_REACHED "tp-webhook-reached"

struct kube_client;

/* In a worker thread. False only if it is sure: the pod was let in and nobody
 * has touched it. */
bool webhook_is_reached(struct kube_client *client, const char *manager_ns);

/* May the agent be written into this workload's template instead? Not where the
 * chart's selectors leave its namespace or pods out. In a worker thread; 0, or
 * -EACCES with the reason. */
int webhook_may_replace(const struct inject_settings *s,
                        struct kube_client *client, const char *ns,
                        struct json_object *pod_template, struct tp_error *err);

#endif
