/* pump_pipe.c - joins two streams: what one reads the other writes. */
#include "pump.h"

#include <errno.h>
#include <stdlib.h>

#define TURN 16 /* reads, then the loop's others get their turn */

struct side {
    struct pipe *pipe;
    struct stream *stream;
    size_t head, tail; /* of what was read here and goes to the other side */
    uint8_t data[PUMP_SIZE];
};

struct pipe {
    struct side sides[2];
    int open;
};

static struct side *other(struct side *s)
{
    return s == &s->pipe->sides[0] ? &s->pipe->sides[1] : &s->pipe->sides[0];
}

static void closed_cb(void *arg)
{
    struct pipe *p = ((struct side *)arg)->pipe;

    if (--p->open == 0)
        free(p);
}

/* 0: nothing more now; negative: an end, in order or not. */
static int move(struct side *s)
{
    for (int i = 0; i < TURN; i++) {
        ssize_t n;

        if (s->head == s->tail) {
            n = stream_read(s->stream, s->data, sizeof(s->data));
            if (n <= 0)
                return n == -EAGAIN ? 0 : -EPIPE;
            s->head = 0;
            s->tail = (size_t)n;
        }
        n = stream_write(other(s)->stream, s->data + s->head,
                         s->tail - s->head);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        s->head += (size_t)n;
    }
    return 0;
}

static void want(struct side *s)
{
    const struct side *o = other(s);
    unsigned events = s->head == s->tail ? STREAM_READABLE : 0;

    if (o->head < o->tail)
        events |= STREAM_WRITABLE;
    stream_want(s->stream, events);
}

static void event_cb(void *arg, unsigned events)
{
    struct pipe *p = ((struct side *)arg)->pipe;

    (void)events;
    if (move(&p->sides[0]) == 0 && move(&p->sides[1]) == 0) {
        want(&p->sides[0]);
        want(&p->sides[1]);
        return;
    }
    for (int i = 0; i < 2; i++)
        stream_close(p->sides[i].stream, closed_cb, &p->sides[i]);
}

int pump_join(struct stream *a, struct stream *b)
{
    struct pipe *p = calloc(1, sizeof(*p));

    if (!p) {
        stream_close(a, NULL, NULL);
        stream_close(b, NULL, NULL);
        return -ENOMEM;
    }
    p->open = 2;
    p->sides[0].stream = a;
    p->sides[1].stream = b;
    for (int i = 0; i < 2; i++) {
        p->sides[i].pipe = p;
        stream_set_callback(p->sides[i].stream, event_cb, &p->sides[i]);
        stream_want(p->sides[i].stream, STREAM_READABLE);
    }
    return 0;
}
