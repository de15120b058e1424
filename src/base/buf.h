/*
 * buf.h - a byte queue with a maximum that it is given at birth
 *
 * Bytes are appended at the tail and consumed at the head. It grows on demand
 * up to its maximum and never beyond; buf_append() says -ENOBUFS instead.
 */
#ifndef TP_BASE_BUF_H
#define TP_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* start of the allocation, NULL while empty */
    size_t head;   /* first unread byte */
    size_t tail;   /* one past the last */
    size_t size;   /* of the allocation */
    size_t max;    /* never more unread bytes than this */
};

void buf_init(struct buf *b, size_t max);

/* Frees the memory; the buffer is empty and usable again. */
void buf_release(struct buf *b);

static inline size_t buf_used(const struct buf *b)
{
    return b->tail - b->head;
}

static inline size_t buf_room(const struct buf *b)
{
    return b->max - buf_used(b);
}

static inline uint8_t *buf_head(const struct buf *b)
{
    return b->data + b->head;
}

/* All or nothing. Returns 0, -ENOBUFS beyond the maximum, -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t len);

/* Room for len bytes at the tail, to be filled by the caller and then counted
 * with buf_commit(). NULL as buf_append() fails. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* Drops len bytes at the head; frees the memory when it becomes empty and
 * large, so that idle connections cost nothing. */
void buf_consume(struct buf *b, size_t len);

#endif
