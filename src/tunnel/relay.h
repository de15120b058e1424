/*
 * relay.h - joins a connected TCP socket and a tunnel stream
 *
 * The same on both ends of a link. Bytes, half-close, reset and backpressure
 * pass in both directions: a FIN becomes END_STREAM and back, an RST becomes
 * RST_STREAM(CONNECT_ERROR) and back (SO_LINGER 0).
 */
#ifndef TP_TUNNEL_RELAY_H
#define TP_TUNNEL_RELAY_H

#include "tunnel/tunnel.h"

struct relay;

/* Called once, when both sides are finished and everything is freed. */
typedef void relay_end_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out);

/* Owns the socket and the stream's user from here on. The stream must be
 * answered/opened already. NULL if out of memory (both are reset). */
struct relay *relay_create(uv_loop_t *loop, int fd, struct tunnel_stream *s,
                           relay_end_cb *cb, void *arg);

/* Shows what the socket sends before the stream gets it; len 0: its end. */
typedef void relay_tap_cb(void *arg, const void *data, size_t len);
void relay_set_tap(struct relay *r, relay_tap_cb *cb, void *arg);

/* Resets both sides. */
void relay_abort(struct relay *r);

#endif
