#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An empty buffer keeps at most this much memory. */
#define BUF_KEEP 4096

void buf_init(struct buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void buf_release(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->head = b->tail = b->size = 0;
}

static size_t grown_size(const struct buf *b, size_t need)
{
    size_t size = b->size ? b->size : 256;

    while (size < need)
        size *= 2;
    return size < b->max ? size : b->max;
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
    size_t used = buf_used(b);

    if (len > b->max - used) {
        errno = ENOBUFS;
        return NULL;
    }
    if (b->size - b->tail >= len && b->data)
        return b->data + b->tail;
    if (b->head > 0) {
        memmove(b->data, b->data + b->head, used);
        b->head = 0;
        b->tail = used;
    }
    if (b->size - used < len || !b->data) {
        size_t size = grown_size(b, used + len);
        uint8_t *data = realloc(b->data, size ? size : 1);

        if (!data) {
            errno = ENOMEM;
            return NULL;
        }
        b->data = data;
        b->size = size;
    }
    return b->data + b->tail;
}

void buf_commit(struct buf *b, size_t len)
{
    assert(len <= b->size - b->tail);
    b->tail += len;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    uint8_t *room;

    if (len == 0)
        return 0;
    room = buf_reserve(b, len);
    if (!room)
        return -errno;
    memcpy(room, data, len);
    buf_commit(b, len);
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= buf_used(b));
    b->head += len;
    if (b->head < b->tail)
        return;
    b->head = b->tail = 0;
    if (b->size > BUF_KEEP)
        buf_release(b);
}
