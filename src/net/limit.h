/*
 * limit.h - a byte stream that is not faster than so many bytes a second
 *
 * A token bucket for each direction. What is too much is not read and not
 * written, so the peer is slowed down by TCP's own window and nothing is
 * buffered here.
 */
#ifndef TP_NET_LIMIT_H
#define TP_NET_LIMIT_H

#include <stdint.h>

#include "net/stream.h"

/* At most `rate` bytes a second in each direction of `below`, which it owns
 * from here on (also on failure), with bursts of a tenth of a second or 64 KiB.
 * NULL if out of memory. */
struct stream *limit_create(struct stream *below, uint64_t rate);

#endif
