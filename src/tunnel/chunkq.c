#include "tunnel/chunkq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 2048

struct chunk {
    struct chunk *next;
    size_t head, tail, size;
    uint8_t data[];
};

static struct chunk *new_chunk(size_t len)
{
    size_t size = len < CHUNK_MIN ? CHUNK_MIN : len;
    struct chunk *c = malloc(sizeof(*c) + size);

    if (c) {
        c->next = NULL;
        c->head = c->tail = 0;
        c->size = size;
    }
    return c;
}

static void fill(struct chunkq *q, struct chunk *c, const uint8_t *data,
                 size_t len)
{
    memcpy(c->data + c->tail, data, len);
    c->tail += len;
    q->used += len;
}

int chunkq_append(struct chunkq *q, const void *data, size_t len)
{
    struct chunk *last = q->last, *fresh = NULL;
    size_t room = last ? last->size - last->tail : 0;
    size_t first = len < room ? len : room;

    if (len > first) {
        fresh = new_chunk(len - first);
        if (!fresh)
            return -ENOMEM;
    }
    if (first > 0)
        fill(q, last, data, first);
    if (!fresh)
        return 0;
    fill(q, fresh, (const uint8_t *)data + first, len - first);
    if (last)
        last->next = fresh;
    else
        q->first = fresh;
    q->last = fresh;
    return 0;
}

const uint8_t *chunkq_peek(const struct chunkq *q, size_t *len)
{
    *len = q->first ? q->first->tail - q->first->head : 0;
    return q->first ? q->first->data + q->first->head : NULL;
}

void chunkq_consume(struct chunkq *q, size_t len)
{
    struct chunk *c = q->first;

    if (len == 0)
        return;
    assert(c && len <= c->tail - c->head);
    c->head += len;
    q->used -= len;
    if (c->head < c->tail)
        return;
    q->first = c->next;
    if (!q->first)
        q->last = NULL;
    free(c);
}

void chunkq_release(struct chunkq *q)
{
    struct chunk *next;

    for (struct chunk *c = q->first; c; c = next) {
        next = c->next;
        free(c);
    }
    q->first = q->last = NULL;
    q->used = 0;
}
