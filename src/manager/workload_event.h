/*
 * workload_event.h - Kubernetes Events on an engaged workload
 *
 * For people who wonder about a workload: kubectl describe shows them. The
 * audit log, not these, is the record.
 */
#ifndef TP_MANAGER_WORKLOAD_EVENT_H
#define TP_MANAGER_WORKLOAD_EVENT_H

#include "manager/engagements.h"

struct json_object;
struct kube_client;

/* "engaged" or "ended" of an engagement; owned, NULL if out of memory. */
struct json_object *workload_event_build(const struct engagement *eng,
                                         bool engaged, const char *replica);
/* In a worker thread. A failure is nobody's business. */
void workload_event_post(struct kube_client *client, struct json_object *event);

#endif
