/*
 * destinations.h - addresses that lead to engaged ports of a workload
 *
 * Pure functions, for engage_destinations.c: a client that has taken a port
 * over may go straight to its own program for these.
 */
#ifndef TP_MANAGER_DESTINATIONS_H
#define TP_MANAGER_DESTINATIONS_H

#include "manager/engagements.h"
#include "manager/workload_ports.h"

#define DESTINATIONS_MAX 1000

/* Adds {"address", "port", "protocol", "to"} for each port of a Service that
 * leads to one of the ports: its cluster IPs. Headless ones have none. */
void destinations_add_services(struct json_object *list,
                               struct json_object *pod_template,
                               struct json_object *services,
                               const struct engagement *eng);
/* The same for a pod's addresses, but of ports that are taken by a Service's
 * name only: whoever comes to the pod itself meets the app. */
void destinations_add_pod(struct json_object *list, struct json_object *pod,
                          const struct resolved *ports);

#endif
