/*
 * Fuzz target: WebSocket frames, read from a stream that gives the input in
 * pieces. The first byte chooses the role and the sizes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stream_internal.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    struct stream base;
    const uint8_t *data;
    size_t left, piece;
    uv_idle_t idle;
};

static ssize_t source_read(struct stream *s, void *data, size_t len)
{
    struct source *src = (struct source *)s;
    size_t n = src->piece < len ? src->piece : len;

    if (n > src->left)
        n = src->left;
    if (n)
        memcpy(data, src->data, n);
    src->data += n;
    src->left -= n;
    return (ssize_t)n;
}

/* Takes one byte at a time, and none every third time. */
static ssize_t source_write(struct stream *s, const void *data, size_t len)
{
    (void)data;
    (void)len;
    return ((struct source *)s)->left % 3 ? 1 : -EAGAIN;
}

static int source_shutdown(struct stream *s)
{
    (void)s;
    return 0;
}

static void source_want(struct stream *s, unsigned events)
{
    (void)s;
    (void)events;
}

static void closed_cb(uv_handle_t *handle)
{
    stream_finish_close(handle->data);
}

static void source_close(struct stream *s)
{
    uv_close((uv_handle_t *)&((struct source *)s)->idle, closed_cb);
}

static int source_fd(const struct stream *s)
{
    (void)s;
    return -1;
}

static const struct stream_ops source_ops = {
    source_read, source_write, source_shutdown,
    source_want, source_close, source_fd,
};

static struct stream *source_create(uv_loop_t *loop, const uint8_t *data,
                                    size_t len, size_t piece)
{
    struct source *src = calloc(1, sizeof(*src));

    if (!src)
        abort();
    stream_init(&src->base, &source_ops, loop);
    uv_idle_init(loop, &src->idle);
    src->idle.data = src;
    src->data = data;
    src->left = len;
    src->piece = piece;
    return &src->base;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uv_loop_t loop;
    struct stream *s;
    char out[300];
    size_t total = 0, want;
    ssize_t n;

    if (size == 0 || uv_loop_init(&loop) != 0)
        return 0;
    want = (size_t)(data[0] >> 4) * 19 + 1;
    s = websocket_create(source_create(&loop, data + 1, size - 1,
                                       (size_t)(data[0] >> 1 & 7) * 5 + 1),
                         data[0] & 1);
    stream_want(s, STREAM_READABLE);
    do {
        n = stream_read(s, out, want);
        if (n > (ssize_t)want)
            abort();
        total += n > 0 ? (size_t)n : 0;
    } while (n > 0 || n == -EAGAIN);
    if (total >= size)
        abort();
    if (stream_read(s, out, want) != n) /* an end is final */
        abort();
    stream_close(s, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        abort();
    return 0;
}
