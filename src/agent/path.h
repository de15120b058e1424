/*
 * path.h - the agent's ports: from the app's clients to the app, or elsewhere
 *
 * One listener for each port of the pod that tp has taken over. Nothing
 * engaged: the connection is spliced to the app, nobody looks at its bytes.
 * Engaged (intercept, replace): it is offered to the engagement's tunnel first;
 * refused, or without an answer in time, it goes to the app after all (fail
 * open). Mirrors get a copy of what the client sends, and are dropped rather
 * than waited for.
 *
 * Engagements hold for new connections; those that run go on, whatever becomes
 * of the list, until an end or their tunnel ends. Two exceptions: a mirror that
 * is not in the list any more gets no further byte, and UDP flows follow the
 * list at once (a datagram has no connection that could break).
 */
#ifndef TP_AGENT_PATH_H
#define TP_AGENT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "tunnel/tunnel.h"

#define AGENT_PORTS_MAX 64 /* ports; as many probes */
#define AGENT_ID_SIZE   27 /* an engagement's id and the NUL */

/* IP_TOS and IPV6_TCLASS of what the agent itself sends to the app: the
 * redirect rules let it pass. DSCP 3, no ECN bits. */
#define AGENT_APP_TOS 0x0c

enum agent_port_mode {
    PORT_NAMED,    /* a Service's named port leads to `listen` */
    PORT_REDIRECT, /* rules lead packets for `port` to `listen` */
    PORT_DIRECT,   /* the agent is the app: listen == port */
};

struct agent_port_config {
    char container[64];
    uint16_t port; /* the app's */
    bool udp;
    enum agent_port_mode mode;
    uint16_t listen; /* 0: any free one (tests) */
    char name[16];
};

/* Probes of the kubelet never leave the pod. TCP. */
struct agent_probe_config {
    uint16_t port, listen;
};

struct agent_path_config {
    const struct agent_port_config *ports; /* copied */
    size_t n_ports;
    const struct agent_probe_config *probes; /* copied */
    size_t n_probes;
    union sockaddr_any pod_ip4, pod_ip6; /* family 0: none */
    /* After agent_path_drain(): nothing is left to be done. May be NULL. */
    void (*drained_cb)(void *arg);
    void *arg;
};

enum agent_engagement_type {
    AGENT_INTERCEPT,
    AGENT_REPLACE,
    AGENT_MIRROR,
    AGENT_INGEST,
};

struct agent_engaged_port {
    uint16_t port; /* the app's */
    bool udp;
};

struct agent_engagement {
    char id[AGENT_ID_SIZE];
    enum agent_engagement_type type;
    struct agent_engaged_port ports[AGENT_PORTS_MAX];
    size_t n_ports;
    struct tunnel *tunnel;
};

struct agent_port_stats {
    uint16_t port;
    bool udp;
    uint64_t conns; /* connections, or flows, since the start */
    uint64_t bytes; /* both ways, of those that have ended */
};

struct agent_path_stats {
    unsigned running;      /* TCP connections and UDP flows now */
    uint64_t engaged;      /* that went to a workstation */
    uint64_t failed_open;  /* that should have, and went to the app */
    uint64_t refused;      /* no app: reset */
    uint64_t copies;       /* mirrored connections and flows */
    uint64_t copies_ended; /* of these, before their end: too slow, refused */
    unsigned n_ports;
    struct agent_port_stats ports[AGENT_PORTS_MAX];
};

struct agent_path; /* all ports of the pod */

/* Listens on all ports. NULL with err filled, which names the port. */
struct agent_path *agent_path_create(uv_loop_t *loop,
                                     const struct agent_path_config *config,
                                     struct tp_error *err);

/* Replaces the whole list. The tunnels are borrowed until the next call: call
 * again without a tunnel's entries before it is destroyed. */
void agent_path_set_engagements(struct agent_path *p,
                                const struct agent_engagement *list, size_t n);

/* The pod ends (SIGTERM): goes on serving, and calls drained_cb once the app
 * listens no more and its connections have ended. */
void agent_path_drain(struct agent_path *p);

void agent_path_get_stats(const struct agent_path *p,
                          struct agent_path_stats *stats);

/* Resets what runs. The memory goes with the handles. NULL is fine. */
void agent_path_destroy(struct agent_path *p);

/* The port that is really listened on, for the i-th port; probes follow the
 * ports. */
uint16_t agent_path_listen_port(const struct agent_path *p, size_t i);

#endif
