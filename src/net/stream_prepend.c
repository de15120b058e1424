/*
 * stream_prepend.c - a layer that returns some bytes before those below
 *
 * Needed where a head was read together with the first bytes that follow it.
 * The rest is level-triggered like everything: an idle handle runs while there
 * are bytes and the user wants them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/stream_internal.h"

struct stream_prepend {
    struct stream base;
    struct stream *below;
    uv_idle_t idle;
    unsigned wanted;
    unsigned closing; /* handles that are not closed yet */
    size_t pos, len;
    char data[];
};

static void update(struct stream_prepend *p)
{
    if (p->closing)
        return;
    if (p->pos == p->len) {
        uv_idle_stop(&p->idle);
        stream_want(p->below, p->wanted);
        return;
    }
    stream_want(p->below, p->wanted & ~(unsigned)STREAM_READABLE);
}

static void idle_cb(uv_idle_t *idle)
{
    struct stream_prepend *p = idle->data;

    if (p->pos == p->len || !(p->wanted & STREAM_READABLE)) {
        uv_idle_stop(idle);
        return;
    }
    stream_emit(&p->base, STREAM_READABLE);
}

static void below_cb(void *arg, unsigned events)
{
    struct stream_prepend *p = arg;

    stream_emit(&p->base, events & p->wanted);
}

static ssize_t prepend_read(struct stream *s, void *data, size_t len)
{
    struct stream_prepend *p = (struct stream_prepend *)s;
    size_t n = p->len - p->pos;

    if (n == 0)
        return stream_read(p->below, data, len);
    if (n > len)
        n = len;
    memcpy(data, p->data + p->pos, n);
    p->pos += n;
    if (p->pos == p->len)
        update(p);
    return (ssize_t)n;
}

static ssize_t prepend_write(struct stream *s, const void *data, size_t len)
{
    return stream_write(((struct stream_prepend *)s)->below, data, len);
}

static int prepend_shutdown(struct stream *s)
{
    return stream_shutdown(((struct stream_prepend *)s)->below);
}

static void prepend_want(struct stream *s, unsigned events)
{
    struct stream_prepend *p = (struct stream_prepend *)s;

    p->wanted = events;
    if (p->pos < p->len && events & STREAM_READABLE)
        uv_idle_start(&p->idle, idle_cb);
    update(p);
}

static void part_closed(struct stream_prepend *p)
{
    if (--p->closing == 0)
        stream_finish_close(&p->base);
}

static void idle_closed_cb(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void below_closed_cb(void *arg)
{
    part_closed(arg);
}

static void prepend_close(struct stream *s)
{
    struct stream_prepend *p = (struct stream_prepend *)s;

    p->wanted = 0;
    p->closing = 2;
    uv_close((uv_handle_t *)&p->idle, idle_closed_cb);
    stream_close(p->below, below_closed_cb, p);
}

static int prepend_fd(const struct stream *s)
{
    return stream_fd(((const struct stream_prepend *)s)->below);
}

static const struct stream_ops prepend_ops = {
    .read = prepend_read,
    .write = prepend_write,
    .shutdown = prepend_shutdown,
    .want = prepend_want,
    .close = prepend_close,
    .fd = prepend_fd,
};

struct stream *stream_prepend(struct stream *below, const void *data,
                              size_t len)
{
    struct stream_prepend *p;

    if (len == 0)
        return below;
    p = calloc(1, sizeof(*p) + len);
    if (!p) {
        stream_close(below, NULL, NULL);
        return NULL;
    }
    stream_init(&p->base, &prepend_ops, below->loop);
    uv_idle_init(below->loop, &p->idle);
    p->idle.data = p;
    p->below = below;
    p->len = len;
    memcpy(p->data, data, len);
    stream_set_callback(below, below_cb, p);
    stream_want(below, 0);
    return &p->base;
}
