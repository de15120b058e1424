/*
 * path_internal.h - what the files of the agent's data path share
 *
 *   path.c      the list of engagements, life, statistics, drain
 *   port.c      TCP listeners; where a connection was meant to go
 *   conn.c      one connection: offered, dialled, joined
 *   forward.c   two sockets, joined by splice(2)
 *   tee.c       copies for mirrors
 *   udp_port.c  UDP listeners
 *   udp_flow.c  one UDP conversation
 *   listening.c whether the app still listens
 *   rules.c     redirect rules (nftables)
 */
#ifndef TP_AGENT_PATH_INTERNAL_H
#define TP_AGENT_PATH_INTERNAL_H

#include <sys/queue.h>

#include "agent/path.h"
#include "net/pipes.h"
#include "agent/tee.h"
#include "base/flow_table.h"
#include "net/listen.h"

enum {
    PATH_SWEEP_MS = 500,
    PATH_OFFER_MS = 5000, /* for the answer to an offer */
    PATH_DIAL_MS = 30000, /* for the app's */
    PATH_FLOW_IDLE_MS = 60000,
    PATH_FLOWS_MAX = 4096,
    PATH_HELD_MAX = 8192, /* bytes of datagrams, of one flow's offer */
    PATH_HELD_ALL = 1024 * 1024,
};

struct conn;
struct flow;
struct copy;
LIST_HEAD(conn_list, conn);
TAILQ_HEAD(flow_list, flow);

struct port;

/* One family's socket of a UDP port. */
struct receiver {
    struct port *port;
    uv_poll_t poll;
    int fd; /* -1: this family is not there */
};

/* A port of the configuration, or a probe. */
struct port {
    struct agent_path *path;
    struct agent_port_config config;
    bool probe;               /* never engaged */
    struct listener *v4, *v6; /* TCP; NULL: this family is not there */
    struct receiver udp4, udp6;
    uint64_t conns, bytes;
};

struct agent_path {
    uv_loop_t *loop;
    struct agent_path_config config; /* without ports and probes */
    struct port *ports;              /* probes after the ports */
    size_t n_ports, n_probes;
    struct agent_engagement *engagements;
    size_t n_engagements;
    struct conn_list conns;
    struct flow_list flows; /* the least recently used last */
    struct flow_table flow_table;
    size_t held; /* bytes of datagrams whose offer is not answered */
    unsigned n_copies;
    struct tees tees;
    uv_timer_t sweep;
    struct agent_path_stats stats;
    unsigned handles; /* that must be closed before the memory may go */
    uint64_t drain_at, gone_at; /* uv_now(); 0: not yet */
    bool draining, closing;
    struct pipes pipes; /* large; last */
};

/* ---- path.c ----------------------------------------------------------------
 */

/* The nth engagement, from 0, that takes the port's connections; NULL. */
const struct agent_engagement *path_engaged(const struct port *port,
                                            unsigned nth);
/* The nth one that wants copies. */
const struct agent_engagement *path_mirror(const struct port *port,
                                           unsigned nth);
/* There is something with a deadline. */
void path_wake(struct agent_path *p);
/* One more, one less of what must end before the memory may go. */
void path_hold(struct agent_path *p);
void path_unhold(struct agent_path *p);
/* Where the app is, for clients of that family; false: nowhere but here. */
bool path_app_address(const struct port *port, int family,
                      union sockaddr_any *addr);
/* A socket for the app, not blocking, with AGENT_APP_TOS; or a negative
 * errno. */
int path_app_socket(int family, int type);

/* ---- port.c ----------------------------------------------------------------
 */

int port_open(struct port *port, struct tp_error *err);
void port_close(struct port *port);
/* A listening or receiving socket of the port; or a negative errno. */
int port_socket(const struct port *port, int family, int type);
/* Says which port failed; with -EACCES, why. */
int port_error(const struct port *port, int rc, struct tp_error *err);

/* ---- conn.c ----------------------------------------------------------------
 */

/* A connection of a client (fd, owned) that was meant for `app`. */
void conn_start(struct port *port, int fd, const union sockaddr_any *app);
/* True while some have a deadline. */
bool conns_sweep(struct agent_path *p, uint64_t now);
void conns_release(struct agent_path *p);

/* ---- udp_port.c ------------------------------------------------------------
 */

int udp_port_open(struct port *port, struct tp_error *err);
void udp_port_close(struct port *port);

/* ---- udp_flow.c ------------------------------------------------------------
 */

/* A datagram in the path's scratch buffer. */
void flow_datagram(struct receiver *r, size_t len,
                   const union sockaddr_any *client,
                   const union sockaddr_any *local);
/* Ends the flows that would go elsewhere by the present list. */
void flows_follow(struct agent_path *p);
bool flows_sweep(struct agent_path *p, uint64_t now);
void flows_release(struct agent_path *p);

/* ---- listening.c -----------------------------------------------------------
 */

/* Does anybody but the agent listen on one of the ports, in this network
 * namespace? */
bool path_app_listens(const struct agent_path *p);

#endif
