/*
 * replicas.h - where the managers are
 *
 * Agents connect to every replica, so they must learn of a new one within
 * seconds: the Service's endpoint slices are read each few seconds while an
 * agent is connected, and not at all otherwise.
 */
#ifndef TP_MANAGER_REPLICAS_H
#define TP_MANAGER_REPLICAS_H

#include <uv.h>

#include "manager/subnets.h"

struct agents;
struct api;
struct json_object;
struct options;
struct replicas;

/* Starts to read; agents_set_replicas() gets what was read. What is given
 * outlives it. NULL if out of memory. */
struct replicas *replicas_create(uv_loop_t *loop, struct api *api,
                                 const struct options *options,
                                 struct agents *agents);
void replicas_close(struct replicas *r);
/* After the loop has ended. NULL is fine. */
void replicas_destroy(struct replicas *r);

/* The array of texts for agents: the own address, then those of the ready
 * endpoints of the same family. `own` are all addresses of this pod: the one
 * that is an endpoint counts, else the first that others can reach. The caller
 * owns it. */
struct json_object *replicas_list(const struct subnets *own,
                                  struct json_object *slices);

/* The addresses of this pod. */
void replicas_add_own(struct subnets *out);

#endif
