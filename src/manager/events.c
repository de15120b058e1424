#include "manager/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* A client that does not read for so long is not listening. */
#define EVENTS_MAX 262144

struct event_stream {
    LIST_ENTRY(event_stream) entry;
    struct tunnel_stream *stream;
    struct buf out;
};

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct event_stream *e = arg;
    size_t n = buf_used(&e->out);

    if (n == 0)
        return -EAGAIN;
    if (n > len)
        n = len;
    memcpy(data, buf_head(&e->out), n);
    buf_consume(&e->out, n);
    return (ssize_t)n;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    (void)arg; /* a request ends; its answer goes on */
}

static void closed_cb(void *arg, int status)
{
    struct event_stream *e = arg;

    (void)status;
    LIST_REMOVE(e, entry);
    buf_release(&e->out);
    free(e);
}

static const struct tunnel_stream_ops ops = {
    .pull_cb = pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

void events_init(struct events *events)
{
    LIST_INIT(&events->streams);
}

int events_open(struct events *events, struct tunnel_stream *s)
{
    struct event_stream *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->stream = s;
    buf_init(&e->out, EVENTS_MAX);
    LIST_INSERT_HEAD(&events->streams, e, entry);
    tunnel_stream_set_user(s, &ops, e);
    return tunnel_stream_answer(s, 0);
}

unsigned events_count(const struct events *events)
{
    const struct event_stream *e;
    unsigned n = 0;

    LIST_FOREACH(e, &events->streams, entry)
    n++;
    return n;
}

static bool append_line(struct event_stream *e, const char *line)
{
    size_t len = strlen(line);

    return len < buf_room(&e->out) && buf_append(&e->out, line, len) == 0 &&
           buf_append(&e->out, "\n", 1) == 0;
}

void events_send(struct events *events, const char *line)
{
    struct event_stream *e, *next;

    for (e = LIST_FIRST(&events->streams); e; e = next) {
        next = LIST_NEXT(e, entry);
        if (append_line(e, line))
            tunnel_stream_resume(e->stream);
        else
            tunnel_stream_reset(e->stream, -ENOBUFS);
    }
}
