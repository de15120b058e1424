/*
 * forward.h - joins two connected TCP sockets
 *
 * Bytes, half-close, reset (SO_LINGER 0) and backpressure pass in both
 * directions, by splice(2), unseen; where a tap wants to see what the client
 * sends, that direction is copied instead.
 */
#ifndef TP_AGENT_FORWARD_H
#define TP_AGENT_FORWARD_H

#include <stdint.h>

#include <uv.h>

#include "agent/pipes.h"
#include "agent/tee.h"

struct forward;

/* Called once, when both sides are closed. */
typedef void forward_end_cb(void *arg, uint64_t bytes);

/* Owns both sockets from here on (also on failure). `pipes` and `tap` (NULL or
 * empty: nobody wants to see) are borrowed until the end. NULL: out of memory
 * or descriptors; both are reset. */
struct forward *forward_create(uv_loop_t *loop, struct pipes *pipes, int client,
                               int app, struct tap *tap, forward_end_cb *cb,
                               void *arg);

/* Resets both sides; cb is called before it returns. */
void forward_abort(struct forward *f);

/* Closes a socket so that its peer sees a reset. */
void socket_reset(int fd);

#endif
