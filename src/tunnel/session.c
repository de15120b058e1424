/*
 * session.c - nghttp2's settings, limits and callbacks
 *
 * Limits on what a peer can make us do, besides windows (window.c):
 *   header list            16 KiB, then the stream is refused (head.c); 64
 *                          KiB, then the link ends: HPACK makes 4 KiB of a
 *                          byte, and nghttp2 checks each one
 *   CONTINUATION frames    8 (nghttp2's default where it has the limit)
 *   SETTINGS and PING      1000 answers waiting (nghttp2), 16384 frames
 *                          waiting in all stop the reading (link_io.c)
 *   RST_STREAM             40 000 at once, 10 000 a second (tunnel.c)
 *   streams                config.max_streams
 * nghttp2's own limit of resets (1000, then 33 a second; server only) is far
 * too low for a proxy whose user kills a load generator: it is switched off.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <string.h>

static struct tunnel_stream *find(nghttp2_session *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2, id);
}

/* What every callback returns: stops mem_recv and mem_send at once when the
 * link was ended or destroyed in it. */
static int verdict(const struct tunnel *t)
{
    return t->ended ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int begin_headers_cb(nghttp2_session *h2, const nghttp2_frame *frame,
                            void *arg)
{
    struct tunnel *t = arg;
    struct tunnel_stream *s;

    t->list_size = 0;
    if (frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return verdict(t);
    s = tstream_create(t, TUNNEL_REQUEST);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    s->id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(h2, s->id, s);
    return verdict(t);
}

static int header_cb(nghttp2_session *h2, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    struct tunnel_stream *s = find(h2, frame->hd.stream_id);
    struct tunnel *t = arg;

    (void)flags;
    t->list_size += name_len + value_len + 32;
    if (t->list_size > TUNNEL_LIST_MAX)
        tunnel_end(t, -EPROTO, "a header list is too large");
    else if (s && head_add(s, name, name_len, value, value_len) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return verdict(t);
}

static int data_cb(nghttp2_session *h2, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t len, void *arg)
{
    struct tunnel_stream *s = find(h2, id);

    (void)flags;
    nghttp2_session_consume_connection(h2, len);
    if (s) /* nghttp2 hands on where it lies in link_io.c's buffer */
        tstream_received(s, (uint8_t *)(uintptr_t)data, len);
    else
        nghttp2_session_consume_stream(h2, id, len);
    return verdict(arg);
}

static void got_headers(struct tunnel_stream *s, const nghttp2_frame *frame)
{
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    switch (frame->headers.cat) {
    case NGHTTP2_HCAT_REQUEST:
        head_complete(s, end);
        return;
    case NGHTTP2_HCAT_RESPONSE:
    case NGHTTP2_HCAT_HEADERS: /* after a 1xx, or trailers */
        if (s->opener && s->phase == TUNNEL_ASKED)
            head_response(s);
        break;
    default:
        return;
    }
    if (end)
        tstream_received_eof(s);
}

static void got_goaway(struct tunnel *t, const nghttp2_goaway *goaway)
{
    t->peer_draining = true;
    if (goaway->error_code != NGHTTP2_NO_ERROR)
        tunnel_end(t, -EPROTO, nghttp2_http2_strerror(goaway->error_code));
}

static int frame_recv_cb(nghttp2_session *h2, const nghttp2_frame *frame,
                         void *arg)
{
    struct tunnel_stream *s = NULL;
    struct tunnel *t = arg;

    if (frame->hd.type != NGHTTP2_DATA ||
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        tstream_flush_received(t);
    if (frame->hd.stream_id != 0)
        s = find(h2, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (s) {
            tstream_ref(s);
            got_headers(s, frame);
            tstream_unref(s);
        }
        break;
    case NGHTTP2_DATA:
        if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            tstream_received_eof(s);
        break;
    case NGHTTP2_RST_STREAM:
        if (!tunnel_count_reset(t))
            tunnel_end(t, -EPROTO, "too many resets");
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            tunnel_got_pong(t, frame->ping.opaque_data);
        break;
    case NGHTTP2_GOAWAY:
        got_goaway(t, &frame->goaway);
        break;
    default:
        break;
    }
    return verdict(t);
}

static int frame_send_cb(nghttp2_session *h2, const nghttp2_frame *frame,
                         void *arg)
{
    struct tunnel *t = arg;
    struct tunnel_stream *s;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        t->goaway_error = frame->goaway.error_code;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return verdict(t);
    s = find(h2, frame->hd.stream_id);
    if (s && s->phase == TUNNEL_REFUSED)
        tstream_finish(s, s->error);
    return verdict(t);
}

static int frame_not_send_cb(nghttp2_session *h2, const nghttp2_frame *frame,
                             int error, void *arg)
{
    struct tunnel_stream *s;

    (void)error;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        s = find(h2, frame->hd.stream_id);
        if (s)
            tstream_finish(s, -EPIPE);
    }
    return verdict(arg);
}

static int h2_close_cb(nghttp2_session *h2, int32_t id, uint32_t code,
                       void *arg)
{
    struct tunnel_stream *s;

    tstream_flush_received(arg);
    s = find(h2, id);
    if (s)
        tstream_h2_closed(s, code);
    return verdict(arg);
}

/* How much the next DATA frame may carry. */
static ssize_t read_length_cb(nghttp2_session *h2, uint8_t type, int32_t id,
                              int32_t session_window, int32_t stream_window,
                              uint32_t max_frame, void *arg)
{
    ssize_t len = TUNNEL_DATA_MAX;

    (void)h2;
    (void)type;
    (void)id;
    (void)arg;
    if (len > session_window)
        len = session_window;
    if (len > stream_window)
        len = stream_window;
    return (size_t)len > max_frame ? (ssize_t)max_frame : len;
}

static void set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
                                                            begin_headers_cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, header_cb);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_recv_cb);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, frame_send_cb);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb,
                                                             frame_not_send_cb);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_close_cb);
    nghttp2_session_callbacks_set_data_source_read_length_callback(
        cb, read_length_cb);
}

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, TUNNEL_STREAMS);
#ifdef HAVE_NGHTTP2_OPTION_SET_STREAM_RESET_RATE_LIMIT
    nghttp2_option_set_stream_reset_rate_limit(option, 1U << 30, 1U << 30);
#endif
}

static int new_session(struct tunnel *t, const nghttp2_session_callbacks *cb,
                       const nghttp2_option *option)
{
    if (t->config.role == TUNNEL_CLIENT)
        return nghttp2_session_client_new2(&t->h2, cb, t, option);
    return nghttp2_session_server_new2(&t->h2, cb, t, option);
}

static int submit_settings(struct tunnel *t)
{
    nghttp2_settings_entry iv[] = {
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, TUNNEL_FRAME_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, TUNNEL_WINDOW_BASE},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, TUNNEL_HEAD_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, t->config.max_streams},
    };
    size_t n = sizeof(iv) / sizeof(*iv);

    /* A server sends the last two instead of ENABLE_PUSH. */
    if (t->config.role == TUNNEL_CLIENT)
        n -= 2;
    else
        memmove(&iv[3], &iv[4], 2 * sizeof(*iv));
    return nghttp2_submit_settings(t->h2, NGHTTP2_FLAG_NONE, iv,
                                   t->config.role == TUNNEL_CLIENT ? n : n - 1);
}

/* The connection's window bounds nothing, streams' windows do: it is given
 * back at once, and large enough not to be felt. */
static int open_connection_window(struct tunnel *t)
{
    size_t size = t->config.budget;

    if (size < TUNNEL_WINDOW_MAX)
        size = TUNNEL_WINDOW_MAX;
    if (size > 1U << 30)
        size = 1U << 30;
    return nghttp2_session_set_local_window_size(t->h2, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)size);
}

int tunnel_session_create(struct tunnel *t)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *option = NULL;
    int rc = -ENOMEM;

    if (nghttp2_session_callbacks_new(&cb) == 0 &&
        nghttp2_option_new(&option) == 0) {
        set_callbacks(cb);
        set_options(option);
        if (new_session(t, cb, option) == 0 && submit_settings(t) == 0 &&
            open_connection_window(t) == 0)
            rc = 0;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
    return rc;
}
