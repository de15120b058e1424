/*
 * stream.h - a non-blocking byte stream, in layers
 *
 * TCP, TLS on TCP and WebSocket frames on either look alike to their user:
 *
 *   read, write      never block; -EAGAIN says "wait for the event"
 *   stream_want()    which events are wanted; the callback gets them,
 *                    level-triggered, from the loop
 *
 * A layer owns the stream below it. Nothing is buffered above what one TLS
 * record or one frame header needs, so a reader that does not read stops the
 * peer by TCP's own window: backpressure is a property of the type.
 *
 * Life: create -> use -> stream_close(). close may be called in a callback of
 * the stream itself; no callback comes after it, except the close callback,
 * which comes from the loop and is the place to free what `arg` points to.
 */
#ifndef TP_NET_STREAM_H
#define TP_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <uv.h>

enum stream_event {
    STREAM_READABLE = 1, /* read() has bytes, the end or an error */
    STREAM_WRITABLE = 2, /* write() would take something */
};

struct stream;

typedef void stream_event_cb(void *arg, unsigned events);
typedef void stream_close_cb(void *arg);

/* What a layer implements. */
struct stream_ops {
    ssize_t (*read)(struct stream *s, void *data, size_t len);
    ssize_t (*write)(struct stream *s, const void *data, size_t len);
    int (*shutdown)(struct stream *s);
    void (*want)(struct stream *s, unsigned events);
    void (*close)(struct stream *s);
    int (*fd)(const struct stream *s);
};

/* The common head of every layer's object; only layers look inside. */
struct stream {
    const struct stream_ops *ops;
    stream_event_cb *event_cb;
    stream_close_cb *close_cb;
    void *arg;
    uv_loop_t *loop;
};

/* A stream on a connected socket, which it owns from here on (also on
 * failure). NULL if memory or the loop's descriptor fails. */
struct stream *stream_create_fd(uv_loop_t *loop, int fd);

/* Sets who gets the events. May be called again: a stream changes hands. */
void stream_set_callback(struct stream *s, stream_event_cb *cb, void *arg);

/* The events that are wanted from now on (0 for none). */
void stream_want(struct stream *s, unsigned events);

/* Returns > 0 bytes, 0 at the end of the stream, -EAGAIN, or another negative
 * errno (-ECONNRESET and so on; then the stream is good for closing only). */
ssize_t stream_read(struct stream *s, void *data, size_t len);

/* Returns the number of bytes taken, perhaps fewer than len; errors as
 * stream_read(). After -EAGAIN the same bytes must be offered again first
 * (TLS), though they may lie elsewhere and be more. */
ssize_t stream_write(struct stream *s, const void *data, size_t len);

/* Ends the writing direction (FIN, close_notify). 0, -EAGAIN or an error. */
int stream_shutdown(struct stream *s);

/* Closes and frees the stream and the layers below. cb may be NULL. */
void stream_close(struct stream *s, stream_close_cb *cb, void *arg);

/* The socket at the bottom, for socket options and names. Borrowed. */
int stream_fd(const struct stream *s);

#endif
