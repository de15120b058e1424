/*
 * agents.h - the agents that are connected to this replica
 *
 * An agent is known by the pod that its token is bound to; workload, namespace,
 * address and configuration are the API server's words, never its own
 * (SECURITY 21). Each has two tunnels: `out`, on which it opens streams of
 * engaged connections, and `in`, on which the manager asks it.
 */
#ifndef TP_MANAGER_AGENTS_H
#define TP_MANAGER_AGENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "manager/engagements.h"
#include "tunnel/tunnel.h"

struct agents;

/* Of a connected agent. Borrowed, good until the loop turns. */
struct agent_info {
    struct workload_ref workload;
    char pod[254];
    char uid[64];
    char ip[64];
    struct json_object *config; /* CONFIG of its pod, an object */
    bool in, out;               /* which tunnels are there */
};

typedef void agents_each_cb(void *arg, const struct agent_info *agent);
/* workload NULL: all. */
void agents_each(const struct agents *a, const struct workload_ref *workload,
                 agents_each_cb *cb, void *arg);

/* Asks one agent of a workload (pod NULL: any) by its `in` tunnel. 0, or
 * -ENOENT if none is connected; cb as tunnel_request(). */
int agents_request(struct agents *a, const struct workload_ref *workload,
                   const char *pod, const char *path, tunnel_response_cb *cb,
                   void *arg);

/* Engagements, or incoming links, have changed: agents whose list differs from
 * what they were told last are told. Cheap. */
void agents_announce(struct agents *a);

/* links: is an incoming link of that session on this replica? */
struct links;
bool links_has_incoming(const struct links *links, const char *session);

#endif
