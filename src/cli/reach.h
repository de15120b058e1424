/*
 * reach.h - how the daemon's container reaches the API server
 *
 * A server on the workstation's loopback (kind, k3d, minikube) is a port that
 * a container publishes: the daemon joins that container's network and dials
 * the container itself, verifying the original name. A server inside a Docker
 * network: the daemon joins that network and dials the address. Else it is
 * dialled as it is. What a name stands for is what this machine resolves: it
 * may be in its /etc/hosts only.
 */
#ifndef TP_CLI_REACH_H
#define TP_CLI_REACH_H

#include <stdbool.h>

#include "base/error.h"
#include "engine/engine.h"

struct json_object;

struct reach {
    char *host; /* to dial: name or address */
    unsigned short port;
    char *network; /* to join, or NULL */
    bool sole;     /* it leads outside too: no other network is needed */
};

struct reach_target {
    const char *what; /* "API server" or "proxy", for messages */
    const char *host;
    const char *address; /* what this machine resolves host to, or NULL */
    unsigned short port;
};

/* Resolves the host here, too. 0 or a negative errno with err filled. r must be
 * released in both cases. */
int reach_find(struct reach *r, struct engine *e, const char *what,
               const char *host, unsigned short port, struct tp_error *err);
void reach_release(struct reach *r);

/* The choice, from GET /containers/json and GET /networks; for tests. */
int reach_choose(struct reach *r, struct json_object *containers,
                 struct json_object *networks, const struct reach_target *t,
                 struct tp_error *err);

/* Subnets of the engine's networks and of this host: owned array of texts. */
int reach_host_subnets(struct engine *e, struct json_object **out,
                       struct tp_error *err);

#endif
