/*
 * splice.h - joins a stream that a peer opened with one on another tunnel
 *
 *     peer ==in==> here ==out==> far end of another tunnel
 *
 * What the far side answers or refuses is what the peer gets, as the same
 * errno. Bytes, half-close, reset and backpressure pass in both directions; of
 * UDP it is the capsules that pass, unread. A link that is lost is a reset for
 * the other side, or a refusal (EIO) if nothing was answered yet.
 */
#ifndef TP_TUNNEL_SPLICE_H
#define TP_TUNNEL_SPLICE_H

#include "tunnel/tunnel.h"

/* Called once, from the loop or in splice_abort(), when both streams have
 * ended. status 0: in order; else the first error of the two: why it was
 * refused, -ECONNRESET, -EPIPE (a link is gone). */
typedef void splice_end_cb(void *arg, int status, uint64_t bytes_to_out,
                           uint64_t bytes_to_in);

/* Opens a stream of the same kind on `out` by name and joins it to `in`, which
 * is not answered yet and belongs to the splice from here on. cb may be NULL.
 * 0, or a negative errno as of tunnel_open_tcp_name() (-EINVAL also if both
 * are one tunnel, or for a request): `in` is still the caller's to refuse. */
int tunnel_splice(struct tunnel_stream *in, const struct tunnel_open *open,
                  struct tunnel *out, const char *name, uint16_t port,
                  splice_end_cb *cb, void *arg);

/* Resets both sides; cb comes before this returns. `in` is good for this until
 * cb was called, even when its own link is gone. */
void splice_abort(struct tunnel_stream *in);

#endif
