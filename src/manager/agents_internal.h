/*
 * agents_internal.h - what the files of the agents share
 *
 *   agents.c        the registry: pods and their connections, rechecks, the end
 *   agents_gate.c   requests on the agents' port: who comes in
 *   agent_conn.c    one connection: hello, events, the end
 *   agent_list.c    which engagements an agent is told of
 *   agent_route.c   engaged connections: from an agent to an incoming link
 */
#ifndef TP_MANAGER_AGENTS_INTERNAL_H
#define TP_MANAGER_AGENTS_INTERNAL_H

#include <sys/queue.h>

#include "manager/agent_pod.h"
#include "manager/agents.h"
#include "base/bucket.h"
#include "manager/events.h"
#include "net/stream.h"

enum agent_direction {
    AGENT_OUT, /* the agent opens streams; tp-agent/1 */
    AGENT_IN,  /* the manager does; tp-agent-in/1 */
};

/* A pod. It is there as long as it has a connection. */
struct agent {
    TAILQ_ENTRY(agent) entry;
    struct agents *agents;
    struct agent_pod pod;
    TAILQ_HEAD(, agent_conn) conns; /* the newest first */
    uint64_t check_at;              /* uv_now() */
    uint64_t failing_since;         /* of the first failed recheck; 0: none */
    bool checking;
};

struct agent_conn {
    TAILQ_ENTRY(agent_conn) entry;
    struct agent *agent;
    enum agent_direction direction;
    struct tunnel *tunnel;
    uv_timer_t timer;      /* out: hello is late */
    bool greeted, listens; /* out */
    bool closing;
    struct events events;   /* out */
    char *told_list;        /* the line that was sent last */
    unsigned told_replicas; /* its agents.replicas_version */
    struct bucket denials;  /* lines of the audit log */
    uint64_t suppressed;
};

struct agents {
    struct agents_env env;
    TAILQ_HEAD(agent_list, agent) list;
    size_t count;
    struct json_object *replicas; /* an array */
    unsigned replicas_version;    /* from 1 */
    uv_timer_t announce;
    uv_timer_t sweep;    /* rechecks */
    struct bucket noise; /* audit lines about callers that are no agents */
    uint64_t suppressed;
    bool draining, closing;
};

/* agents.c: the pod becomes (or is) an agent with one more connection on
 * stream, which is owned from here on; pod is taken over. */
void agents_add(struct agents *a, struct agent_pod *pod,
                enum agent_direction direction, struct stream *stream);
/* A connection has left; the last one takes the agent along. */
void agents_removed(struct agents *a, struct agent *agent);

/* agent_conn.c: on the agent's list; NULL if out of memory. */
struct agent_conn *agent_conn_create(struct agent *agent,
                                     enum agent_direction direction,
                                     struct stream *stream);
/* Ends it now, and perhaps its agent. */
void agent_conn_close(struct agent_conn *conn, const char *reason);
/* Sends what it does not know yet. */
void agent_conn_announce(struct agent_conn *conn);
void agent_conn_drain(struct agent_conn *conn);

/* agent_list.c: the line of events; the caller frees it. */
char *agent_list_build(const struct agent *agent);

/* agent_route.c: 0, or why the stream is refused. */
int agent_route(struct agent_conn *conn, struct tunnel_stream *s,
                const struct tunnel_open *open);

bool workload_equal(const struct workload_ref *a, const struct workload_ref *b);
#endif
