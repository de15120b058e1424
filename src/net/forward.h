/*
 * forward.h - joins two connected TCP sockets
 *
 * Bytes, half-close, reset (SO_LINGER 0) and backpressure pass in both
 * directions, by splice(2), unseen; where a tap wants to see what the client
 * sends, that direction is copied instead.
 */
#ifndef TP_NET_FORWARD_H
#define TP_NET_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "net/pipes.h"

struct forward;

/* Who wants to see what the client sends; never waits and never fails. */
struct forward_tap {
    void (*write_cb)(void *arg, const void *data, size_t len);
    /* No further byte; reset: the client has gone. May be called again. */
    void (*end_cb)(void *arg, bool reset);
    void *arg;
};

/* Called once, when both sides are closed. */
typedef void forward_end_cb(void *arg, uint64_t bytes);

/* Owns both sockets from here on (also on failure). `pipes` is borrowed until
 * the end; `tap` (NULL: nobody wants to see) is copied. NULL: out of memory or
 * descriptors; both are reset. */
struct forward *forward_create(uv_loop_t *loop, struct pipes *pipes, int client,
                               int app, const struct forward_tap *tap,
                               forward_end_cb *cb, void *arg);

/* Right after forward_create(): the len bytes of the client that its user has
 * read before go to the app first (at most PIPES_SCRATCH), and then not more
 * than `limit` of the client's (UINT64_MAX: all). Once it has sent these, its
 * end is passed on, and no further byte. 0, -ENOBUFS or -ENOMEM. */
int forward_begin(struct forward *f, const void *data, size_t len,
                  uint64_t limit);

/* Says how many of the client's next len bytes may pass; *last: none after
 * these. Negative: both sides are reset. */
typedef ssize_t forward_bound_cb(void *arg, const void *data, size_t len,
                                 bool *last);

/* Right after forward_begin(): every byte of the client's that is still to come
 * is shown first. */
void forward_bind(struct forward *f, forward_bound_cb *cb, void *arg);

/* Resets both sides; cb is called before it returns. */
void forward_abort(struct forward *f);

#endif
