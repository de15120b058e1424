/*
 * chunkq.h - received bytes that nobody took yet
 *
 * A list of blocks: a reader that takes a little of a lot costs nothing (one
 * contiguous buffer would be moved all the time), and one-byte frames share
 * blocks, so that the memory stays near the number of bytes. The bound is the
 * stream's receive window, which the caller keeps.
 */
#ifndef TP_TUNNEL_CHUNKQ_H
#define TP_TUNNEL_CHUNKQ_H

#include <stddef.h>
#include <stdint.h>

struct chunk;

struct chunkq {
    struct chunk *first, *last;
    size_t used; /* bytes in all */
};

/* All or nothing; 0 or -ENOMEM. */
int chunkq_append(struct chunkq *q, const void *data, size_t len);

/* The first bytes, at least one unless the queue is empty. */
const uint8_t *chunkq_peek(const struct chunkq *q, size_t *len);

/* Drops len <= the peeked length. */
void chunkq_consume(struct chunkq *q, size_t len);

void chunkq_release(struct chunkq *q);

#endif
