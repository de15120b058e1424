#include "net/stream.h"

#include <stdlib.h>

#include "net/stream_internal.h"

void stream_init(struct stream *s, const struct stream_ops *ops,
                 uv_loop_t *loop)
{
    s->ops = ops;
    s->loop = loop;
}

void stream_set_callback(struct stream *s, stream_event_cb *cb, void *arg)
{
    s->event_cb = cb;
    s->arg = arg;
}

void stream_emit(struct stream *s, unsigned events)
{
    if (events && s->event_cb)
        s->event_cb(s->arg, events);
}

void stream_want(struct stream *s, unsigned events)
{
    s->ops->want(s, events);
}

ssize_t stream_read(struct stream *s, void *data, size_t len)
{
    return s->ops->read(s, data, len);
}

ssize_t stream_write(struct stream *s, const void *data, size_t len)
{
    return s->ops->write(s, data, len);
}

int stream_shutdown(struct stream *s)
{
    return s->ops->shutdown(s);
}

void stream_close(struct stream *s, stream_close_cb *cb, void *arg)
{
    s->event_cb = NULL;
    s->close_cb = cb;
    s->arg = arg;
    s->ops->close(s);
}

void stream_finish_close(struct stream *s)
{
    stream_close_cb *cb = s->close_cb;
    void *arg = s->arg;

    free(s);
    if (cb)
        cb(arg);
}

int stream_fd(const struct stream *s)
{
    return s->ops->fd(s);
}
