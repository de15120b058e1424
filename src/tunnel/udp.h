/*
 * udp.h - a UDP flow in a tunnel stream (RFC 9298 connect-udp, RFC 9297)
 *
 * Datagrams travel as DATAGRAM capsules with context id 0. A datagram that
 * finds the queue full is dropped, as a router would. A flow that is idle for
 * its time ends by itself.
 */
#ifndef TP_TUNNEL_UDP_H
#define TP_TUNNEL_UDP_H

#include "tunnel/tunnel.h"

#define TUNNEL_UDP_MAX 65507 /* longest payload of a datagram */

struct tunnel_udp;

struct tunnel_udp_ops {
    /* Opener: 0, or why the far end refused. */
    void (*opened_cb)(void *arg, int status);
    void (*datagram_cb)(void *arg, const void *data, size_t len);
    /* Last call. -EPIPE: link gone; -ECONNREFUSED: ICMP port unreachable came
     * back; 0: idle or ended in order. */
    void (*closed_cb)(void *arg, int status);
};

/* The opener's end. Sending may start at once. idle_ms 0: 60 s. NULL with
 * errno. */
struct tunnel_udp *tunnel_udp_open(struct tunnel *t,
                                   const union sockaddr_any *addr,
                                   unsigned idle_ms,
                                   const struct tunnel_udp_ops *ops, void *arg);

/* The same by name, see tunnel_open_udp_name(). */
struct tunnel_udp *tunnel_udp_open_name(struct tunnel *t, const char *name,
                                        uint16_t port, unsigned idle_ms,
                                        const struct tunnel_udp_ops *ops,
                                        void *arg);

/* 0, or -ENOBUFS (dropped), -EMSGSIZE. */
int tunnel_udp_send(struct tunnel_udp *u, const void *data, size_t len);
/* What was sent still goes out. No callback comes after this. */
void tunnel_udp_close(struct tunnel_udp *u);

/* The far end: answers stream s and moves datagrams between it and the
 * connected UDP socket fd (owned from here on) until either ends. ops may be
 * NULL; only its closed_cb is called. NULL if out of memory: fd is closed and
 * the stream refused. */
struct tunnel_udp *tunnel_udp_serve(uv_loop_t *loop, struct tunnel_stream *s,
                                    int fd, unsigned idle_ms,
                                    const struct tunnel_udp_ops *ops,
                                    void *arg);

#endif
