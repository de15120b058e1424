/*
 * limit.c - token buckets
 *
 * A bucket may go into debt by one read or write, so that these stay large; it
 * then has to be paid off before the next one. A direction in debt wants no
 * events from below; the timer wakes it.
 */
#include "net/limit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bucket.h"
#include "net/stream_internal.h"

#define BURST_MIN 65536
#define WAKE_MS   5

struct direction {
    struct bucket bytes;
    unsigned event;
    bool dry;
};

struct limit {
    struct stream base;
    struct stream *below;
    uv_timer_t timer;
    struct direction in, out;
    unsigned wanted;
    unsigned closing; /* parts that are not closed yet */
};

static void fill(struct limit *l, struct direction *d)
{
    d->dry = bucket_fill(&d->bytes, uv_now(l->base.loop)) <= 0;
}

static unsigned dry_events(const struct limit *l)
{
    return (l->in.dry ? l->in.event : 0) | (l->out.dry ? l->out.event : 0);
}

static void timer_cb(uv_timer_t *timer);

static void update(struct limit *l)
{
    unsigned dry = dry_events(l);

    if (l->closing)
        return;
    stream_want(l->below, l->wanted & ~dry);
    if (!(l->wanted & dry))
        uv_timer_stop(&l->timer);
    else if (!uv_is_active((uv_handle_t *)&l->timer))
        uv_timer_start(&l->timer, timer_cb, WAKE_MS, WAKE_MS);
}

static void timer_cb(uv_timer_t *timer)
{
    struct limit *l = timer->data;

    fill(l, &l->in);
    fill(l, &l->out);
    update(l); /* events are level-triggered: they come from below */
}

static void below_cb(void *arg, unsigned events)
{
    struct limit *l = arg;

    stream_emit(&l->base, events & l->wanted);
}

/* Returns false if nothing may move now. */
static bool may_move(struct limit *l, struct direction *d)
{
    fill(l, d);
    if (d->dry)
        update(l);
    return !d->dry;
}

static ssize_t limit_read(struct stream *s, void *data, size_t len)
{
    struct limit *l = (struct limit *)s;
    ssize_t n;

    if (!may_move(l, &l->in))
        return -EAGAIN;
    n = stream_read(l->below, data, len);
    if (n > 0)
        bucket_spend(&l->in.bytes, (double)n);
    return n;
}

static ssize_t limit_write(struct stream *s, const void *data, size_t len)
{
    struct limit *l = (struct limit *)s;
    ssize_t n;

    if (!may_move(l, &l->out))
        return -EAGAIN;
    n = stream_write(l->below, data, len);
    if (n > 0)
        bucket_spend(&l->out.bytes, (double)n);
    return n;
}

static int limit_shutdown(struct stream *s)
{
    return stream_shutdown(((struct limit *)s)->below);
}

static void limit_want(struct stream *s, unsigned events)
{
    struct limit *l = (struct limit *)s;

    l->wanted = events;
    update(l);
}

static void part_closed(struct limit *l)
{
    if (--l->closing == 0)
        stream_finish_close(&l->base);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void below_closed_cb(void *arg)
{
    part_closed(arg);
}

static void limit_close(struct stream *s)
{
    struct limit *l = (struct limit *)s;

    l->closing = 2;
    uv_close((uv_handle_t *)&l->timer, timer_closed_cb);
    stream_close(l->below, below_closed_cb, l);
}

static int limit_fd(const struct stream *s)
{
    return stream_fd(((const struct limit *)s)->below);
}

static const struct stream_ops limit_ops = {
    .read = limit_read,
    .write = limit_write,
    .shutdown = limit_shutdown,
    .want = limit_want,
    .close = limit_close,
    .fd = limit_fd,
};

static void fill_first(struct limit *l, double rate)
{
    double burst = rate / 10 > BURST_MIN ? rate / 10 : BURST_MIN;
    uint64_t now = uv_now(l->base.loop);

    bucket_init(&l->in.bytes, rate, burst, now);
    bucket_init(&l->out.bytes, rate, burst, now);
}

struct stream *limit_create(struct stream *below, uint64_t rate)
{
    struct limit *l = calloc(1, sizeof(*l));

    if (!l) {
        stream_close(below, NULL, NULL);
        return NULL;
    }
    stream_init(&l->base, &limit_ops, below->loop);
    l->below = below;
    l->in.event = STREAM_READABLE;
    l->out.event = STREAM_WRITABLE;
    fill_first(l, (double)rate);
    uv_timer_init(below->loop, &l->timer);
    l->timer.data = l;
    stream_set_callback(below, below_cb, l);
    stream_want(below, 0);
    return &l->base;
}
