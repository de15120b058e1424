/*
 * tcp_capture.h - captured TCP connections, from the first SYN to the relay
 */
#ifndef TP_DAEMON_TCP_CAPTURE_H
#define TP_DAEMON_TCP_CAPTURE_H

#include <uv.h>

#include "base/error.h"
#include "daemon/capture_set.h"
#include "daemon/dns.h"
#include "daemon/hold_queue.h"
#include "daemon/shortcut.h"
#include "daemon/vnat.h"
#include "tunnel/tunnel.h"

/* SYNs and connections that wait for the far end, at most. Beyond it SYNs are
 * dropped and come again. */
#define TCP_CAPTURE_PENDING_MAX 4096

struct tcp_capture;

/* Without a queue every connection is accepted at once. `dns` is borrowed. */
struct tcp_capture *tcp_capture_create(uv_loop_t *loop, struct dns *dns,
                                       struct tp_error *err);
/* Resets what is open. */
void tcp_capture_destroy(struct tcp_capture *tc);

/* The listener's port, 0 if the namespace has not that family. */
uint16_t tcp_capture_port(const struct tcp_capture *tc, int family);

/* What may be accepted from now on, and what its addresses stand for; both are
 * borrowed until replaced.
 * Conversations with what is not captured any more are reset: their packets
 * would leave by another way. */
void tcp_capture_set_routes(struct tcp_capture *tc,
                            const struct capture_set *set,
                            const struct vnat *vnat,
                            const union sockaddr_any *dns);
void tcp_capture_set_tunnel(struct tcp_capture *tc, struct tunnel *t);

/* New connections ask it first. */
void tcp_capture_set_shortcuts(struct tcp_capture *tc,
                               const struct shortcuts *shortcuts);

/* Verdicts go to this queue; NULL before it is closed. */
void tcp_capture_set_queue(struct tcp_capture *tc, struct hold_queue *q);
/* A held SYN (hold_syn_cb); arg is the tcp_capture. */
void tcp_capture_syn(void *arg, uint32_t id, const struct packet_syn *syn);

struct tcp_capture_stats {
    unsigned relays;  /* joined conversations now */
    unsigned pending; /* waiting for the far end or for the local socket */
    uint64_t opened, refused;
    uint64_t local; /* joined with a local program */
};
void tcp_capture_get_stats(const struct tcp_capture *tc,
                           struct tcp_capture_stats *stats);

#endif
