/*
 * datapath.h - the transparent network path of the shared namespace
 *
 * Captures TCP and UDP of every process in the network namespace that goes to
 * the cluster's subnets (nftables, TPROXY, policy routing; NET_ADMIN only),
 * holds the first SYN until the far end has answered, and joins what was
 * accepted to tunnel streams. Everything else in the namespace is untouched.
 *
 * Fail closed: packets for captured subnets never leave by another way. Rules
 * stay when the process dies; `tp-daemon fail-closed` (run by the supervisor)
 * turns them into a reject.
 */
#ifndef TP_DAEMON_DATAPATH_H
#define TP_DAEMON_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "daemon/shortcut.h"
#include "tunnel/tunnel.h"

/* The mark on the daemon's own sockets: such traffic is never captured. It
 * grants nothing (SECURITY 14). */
#define DATAPATH_BYPASS_MARK 0x74700000u

struct datapath;
struct dns;

struct datapath_routes {
    const struct subnet *capture; /* service, pod and also-proxy subnets */
    size_t n_capture;
    const struct subnet *bypass; /* never-proxy; the longest prefix wins */
    size_t n_bypass;
    union sockaddr_any dns; /* port 53 of it goes to the dns module;
                               family 0: none */
};

struct datapath_stats {
    unsigned tcp, udp; /* conversations now */
    unsigned pending;  /* TCP: the far end is being asked */
    uint64_t opened, refused;
    uint64_t local; /* TCP, to a local program (shortcut.h) */
    uint64_t bytes_in, bytes_out;
    const char *hold; /* "nfqueue", "xt-nfqueue", "none" */
};

/* Probes the kernel, opens the listeners; captures nothing yet. The dns module
 * is borrowed. NULL with err filled (names what is missing). */
struct datapath *datapath_create(uv_loop_t *loop, struct dns *dns,
                                 struct tp_error *err);

/* Replaces what is captured, in one transaction; running conversations stay.
 * n_capture 0: captures nothing. */
int datapath_set_routes(struct datapath *dp,
                        const struct datapath_routes *routes,
                        struct tp_error *err);

/* The link to use from now on; NULL while there is none: new connections get
 * EHOSTUNREACH after a short grace in which a new link may come. The datapath
 * never destroys it and must be told before it is destroyed. */
void datapath_set_tunnel(struct datapath *dp, struct tunnel *t);

/* Bytes that former links have moved since they were replaced. */
void datapath_add_bytes(struct datapath *dp, uint64_t in, uint64_t out);

/* Who is asked for shortcuts; NULL: there are none. */
void datapath_set_shortcuts(struct datapath *dp, shortcut_cb *find_cb,
                            void *arg);

/* Is this address (unmapped) captured now? */
bool datapath_captures(const struct datapath *dp,
                       const union sockaddr_any *addr);

void datapath_get_stats(const struct datapath *dp,
                        struct datapath_stats *stats);

/* Removes the rules (clean end of the session) or leaves them rejecting. */
void datapath_destroy(struct datapath *dp, bool leave_rejecting);

/* For `tp-daemon fail-closed`: replaces what a dead daemon left by a reject of
 * the same subnets, at once. No rules left: does nothing. */
int datapath_fail_closed(struct tp_error *err);

#endif
