/*
 * serve.h - the far end of a stream that a peer opened: an address is dialled
 *
 * Connects a TCP socket (or makes a UDP one), answers the stream with what came
 * of it, and joins the two. Who may dial what is the caller's matter.
 */
#ifndef TP_TUNNEL_SERVE_H
#define TP_TUNNEL_SERVE_H

#include "tunnel/tunnel.h"

struct tunnel_serve_config {
    union sockaddr_any addr;
    bool udp;
    bool eof;            /* TCP: the peer has ended its direction already */
    int tos;             /* IP_TOS or IPV6_TCLASS; 0: as usual */
    uint32_t mark;       /* SO_MARK; 0: none */
    unsigned timeout_ms; /* TCP: for the connection */
    unsigned idle_ms;    /* UDP: of the flow; 0: 60 s */
};

struct tunnel_serve_ops {
    /* What the dialling gave: 0 or a negative errno, which the peer has been
     * told. Not called if the peer goes first. May be NULL. */
    void (*dialled_cb)(void *arg, int status);
    /* The last call, exactly once, from the loop. May be NULL. */
    void (*ended_cb)(void *arg);
};

/* 0, or a negative errno with which the caller refuses s; then no callback
 * comes. s is in the phase of open_cb. */
int tunnel_serve(uv_loop_t *loop, struct tunnel_stream *s,
                 const struct tunnel_serve_config *config,
                 const struct tunnel_serve_ops *ops, void *arg);

#endif
