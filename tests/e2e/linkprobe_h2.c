#include "linkprobe_h2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_MAX (1U << 20)

struct h2 {
    nghttp2_session *session;
    struct stream *stream;
    const uint8_t *pending; /* nghttp2's, not yet written */
    size_t pending_len;
    char end[160];
    bool ended;
};

static void end(struct h2 *h, const char *why)
{
    if (h->ended)
        return;
    h->ended = true;
    snprintf(h->end, sizeof(h->end), "%s", why);
    stream_want(h->stream, 0);
}

/* ---- nghttp2's callbacks ---- */

static int header_cb(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    struct h2_exchange *x =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    const char *error;

    (void)name_len;
    (void)value_len;
    (void)flags;
    (void)arg;
    if (!x)
        return 0;
    if (!strcmp((const char *)name, ":status"))
        x->status = atoi((const char *)value);
    error = strstr((const char *)value, "error=");
    if (!strcmp((const char *)name, "proxy-status") && error)
        snprintf(x->error, sizeof(x->error), "%s", error + strlen("error="));
    return 0;
}

static int data_cb(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t len, void *arg)
{
    struct h2_exchange *x = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    (void)arg;
    if (x)
        buf_append(&x->in, data, len); /* more than the maximum is dropped */
    return 0;
}

static int close_cb(nghttp2_session *session, int32_t id, uint32_t code,
                    void *arg)
{
    struct h2_exchange *x = nghttp2_session_get_stream_user_data(session, id);

    (void)arg;
    if (x) {
        x->closed = true;
        x->code = code;
    }
    return 0;
}

static int frame_cb(nghttp2_session *session, const nghttp2_frame *frame,
                    void *arg)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        end(arg, "GOAWAY");
    return 0;
}

static ssize_t read_cb(nghttp2_session *session, int32_t id, uint8_t *data,
                       size_t len, uint32_t *flags, nghttp2_data_source *source,
                       void *arg)
{
    struct h2_exchange *x = source->ptr;
    size_t n = len < x->out_len ? len : x->out_len;

    (void)session;
    (void)id;
    (void)arg;
    if (n == 0 && !x->out_end)
        return NGHTTP2_ERR_DEFERRED;
    if (n > 0) /* x->out may be NULL without bytes */
        memcpy(data, x->out, n);
    x->out = (const char *)x->out + n;
    x->out_len -= n;
    if (x->out_len == 0 && x->out_end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* ---- bytes ---- */

/* True once all is written. */
static bool write_pending(struct h2 *h)
{
    while (h->pending_len > 0) {
        ssize_t n = stream_write(h->stream, h->pending, h->pending_len);

        if (n < 0) {
            if (n != -EAGAIN)
                end(h, strerror((int)-n));
            return false;
        }
        h->pending += n;
        h->pending_len -= (size_t)n;
    }
    return true;
}

static void flush(struct h2 *h)
{
    unsigned events = STREAM_READABLE;

    while (!h->ended && write_pending(h)) {
        ssize_t n = nghttp2_session_mem_send(h->session, &h->pending);

        if (n <= 0)
            break;
        h->pending_len = (size_t)n;
    }
    if (h->pending_len > 0)
        events |= STREAM_WRITABLE;
    stream_want(h->stream, h->ended ? 0 : events);
}

static void take(struct h2 *h)
{
    static uint8_t data[65536];
    ssize_t n;

    while (!h->ended) {
        n = stream_read(h->stream, data, sizeof(data));
        if (n == -EAGAIN)
            return;
        if (n <= 0)
            end(h, n == 0 ? "closed" : strerror((int)-n));
        else if (nghttp2_session_mem_recv(h->session, data, (size_t)n) < 0)
            end(h, "HTTP/2 error");
    }
}

static void event_cb(void *arg, unsigned events)
{
    struct h2 *h = arg;

    if (events & STREAM_READABLE)
        take(h);
    flush(h);
}

/* ---- life ---- */

static int make_session(struct h2 *h)
{
    static const nghttp2_settings_entry iv[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1U << 20},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_session_callbacks *cb;
    int rc;

    if (nghttp2_session_callbacks_new(&cb) < 0)
        return -1;
    nghttp2_session_callbacks_set_on_header_callback(cb, header_cb);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_cb);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, close_cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_cb);
    rc = nghttp2_session_client_new(&h->session, cb, h);
    nghttp2_session_callbacks_del(cb);
    if (rc < 0)
        return -1;
    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, iv, 2);
}

struct h2 *h2_create(uv_loop_t *loop, struct stream *s)
{
    struct h2 *h = calloc(1, sizeof(*h));

    (void)loop;
    if (!h || make_session(h) < 0) {
        stream_close(s, NULL, NULL);
        free(h);
        return NULL;
    }
    h->stream = s;
    stream_set_callback(s, event_cb, h);
    flush(h);
    return h;
}

void h2_destroy(struct h2 *h)
{
    if (!h)
        return;
    stream_close(h->stream, NULL, NULL);
    nghttp2_session_del(h->session);
    free(h);
}

int h2_open(struct h2 *h, struct h2_exchange *x, const nghttp2_nv *nv,
            size_t count)
{
    nghttp2_data_provider provider = {.source.ptr = x,
                                      .read_callback = read_cb};

    buf_init(&x->in, IN_MAX);
    if (h->ended)
        return NGHTTP2_ERR_SESSION_CLOSING;
    x->id = nghttp2_submit_request(h->session, NULL, nv, count, &provider, x);
    flush(h);
    return x->id < 0 ? x->id : 0;
}

void h2_forget(struct h2 *h, struct h2_exchange *x, uint32_t code)
{
    nghttp2_session_set_stream_user_data(h->session, x->id, NULL);
    if (!x->closed && !h->ended) {
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, x->id, code);
        flush(h);
    }
}

void h2_exchange_release(struct h2_exchange *x)
{
    buf_release(&x->in);
}

const char *h2_end(const struct h2 *h)
{
    return h->ended ? h->end : NULL;
}

size_t h2_send_raw(struct h2 *h, const void *data, size_t len)
{
    ssize_t n;

    if (h->ended || !write_pending(h))
        return 0;
    n = stream_write(h->stream, data, len);
    if (n < 0 && n != -EAGAIN)
        end(h, strerror((int)-n));
    return n < 0 ? 0 : (size_t)n;
}
