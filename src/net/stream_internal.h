/*
 * stream_internal.h - what the layers of src/net share
 */
#ifndef TP_NET_STREAM_INTERNAL_H
#define TP_NET_STREAM_INTERNAL_H

#include "net/stream.h"

void stream_init(struct stream *s, const struct stream_ops *ops,
                 uv_loop_t *loop);

/* Calls the user. The stream may be closing afterwards. */
void stream_emit(struct stream *s, unsigned events);

/* For the layer's last close callback: tells the user and frees the layer's
 * object, which starts at `s` (struct stream is its first member). */
void stream_finish_close(struct stream *s);

/* Puts bytes that were read too early back in front of `below`, which it owns
 * from here on (also on failure). With len 0 it returns `below` itself. */
struct stream *stream_prepend(struct stream *below, const void *data,
                              size_t len);

#endif
