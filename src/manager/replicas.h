/*
 * replicas.h - where the managers are
 *
 * Agents connect to every replica, and no user may reach one, so both must
 * learn of a new replica at once: the Service's endpoint slices are watched. An
 * endpoint is there from when its pod has an address, long before it is ready.
 */
#ifndef TP_MANAGER_REPLICAS_H
#define TP_MANAGER_REPLICAS_H

#include <uv.h>

#include "base/error.h"
#include "manager/subnets.h"

struct agents;
struct json_object;
struct kube_endpoint;
struct options;
struct replicas;

/* What replicas need of the manager; all of it outlives them. */
struct replicas_env {
    uv_loop_t *loop;
    const struct kube_endpoint *endpoint;
    const struct options *options;
    struct agents *agents; /* agents_set_replicas() is called at each change */
    /* Then this, with the slices as {"items": [...]}, borrowed. */
    void (*changed_cb)(void *arg, struct json_object *slices);
    void *arg;
};

/* Starts to watch. NULL with err. */
struct replicas *replicas_create(const struct replicas_env *env,
                                 struct tp_error *err);
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
