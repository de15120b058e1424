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

#include <uv.h>

#include "manager/engagements.h"
#include "tunnel/tunnel.h"

struct agent_judge;
struct agents;
struct metrics;
struct parts;
struct server_request;

/* What agents need of the manager; all of it outlives them. */
struct agents_env {
    uv_loop_t *loop;
    struct metrics *metrics;
    const struct parts *parts;
    const struct agent_judge *judge; /* says whose token is whose */
    void *judge_arg;
};

/* NULL if out of memory. */
struct agents *agents_create(const struct agents_env *env);
/* Tells all agents to turn to the other replicas; no new ones are taken. */
void agents_drain(struct agents *a);
/* Ends all connections at once. NULL is fine. */
void agents_close(struct agents *a);
/* After the loop has ended. NULL is fine. */
void agents_destroy(struct agents *a);

/* A server_request_cb of the agents' port; arg is the struct agents. */
void agents_request_cb(void *arg, struct server_request *req);

/* Where the managers are, the own address first: an array of texts, which is
 * taken over. Agents are told when it changes. */
void agents_set_replicas(struct agents *a, struct json_object *replicas);

/* Pods that are connected. */
size_t agents_count(const struct agents *a);

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

/* The `in` tunnel of one agent of a workload, the same one as long as it is
 * connected; NULL if there is none. Good until the loop turns. */
struct tunnel *agents_in_tunnel(const struct agents *a,
                                const struct workload_ref *workload);

/* Is that port in the list? */
bool engagement_has_port(const struct engagement_port *ports, size_t count,
                         uint16_t port, bool udp);

/* Of its streams to files: this port, or the next that is no toPod port. */
#define ENGAGEMENT_FILES_PORT 22
uint16_t engagement_files_port(const struct engagement *eng);

/* Engagements, or incoming links, have changed: agents whose list differs from
 * what they were told last are told. Cheap: it is done once, at the loop's next
 * turn. */
void agents_announce(struct agents *a);

/* links: is an incoming link of that session on this replica? */
struct links;
bool links_has_incoming(const struct links *links, const char *session);

#endif
