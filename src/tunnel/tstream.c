/*
 * tstream.c - life of a stream and its bytes
 *
 * nghttp2 knows a stream by its id and user data, which point here until
 * tstream_finish(); a stream that is finished may live on in nghttp2 (it then
 * sends END_STREAM and throws away what comes), and the other way round: what
 * was received is kept for a slow reader after nghttp2 closed the stream.
 * References are held around callbacks, in which a user may end anything.
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

ssize_t tunnel_hold_pull(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

ssize_t tunnel_hold_push(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

static ssize_t null_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    return (ssize_t)len;
}

static void null_eof_cb(void *arg)
{
    (void)arg;
}

static void null_status_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_stream_ops null_ops = {
    null_status_cb, tunnel_hold_pull, null_push_cb, null_eof_cb,
    null_status_cb};

struct tunnel_stream *tstream_create(struct tunnel *t, enum tunnel_kind kind)
{
    struct tunnel_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->tunnel = t;
    s->kind = kind;
    s->ops = &null_ops;
    s->refs = 1;
    LIST_INSERT_HEAD(&t->streams, s, entry);
    t->stats.streams++;
    return s;
}

void tstream_ref(struct tunnel_stream *s)
{
    s->refs++;
}

void tstream_unref(struct tunnel_stream *s)
{
    if (--s->refs > 0)
        return;
    chunkq_release(&s->in); /* push_cb may still have looked at it */
    head_free(s->head);
    free(s->body);
    free(s);
}

/* Takes the stream out of everything that could still call it. */
static void detach(struct tunnel_stream *s)
{
    struct tunnel *t = s->tunnel;

    LIST_REMOVE(s, entry);
    t->stats.streams--;
    if (s->ready)
        TAILQ_REMOVE(&t->ready, s, ready_entry);
    s->ready = false;
    if (!s->h2_closed && s->id)
        nghttp2_session_set_stream_user_data(t->h2, s->id, NULL);
    window_freed(t, s->in.used);
    window_release(s);
}

void tstream_finish(struct tunnel_stream *s, int status)
{
    enum tunnel_phase phase = s->phase;

    if (phase == TUNNEL_DONE)
        return;
    s->phase = TUNNEL_DONE;
    detach(s);
    if (s->opener && !s->told) {
        s->told = true;
        s->ops->opened_cb(s->arg, status ? status : -ECONNRESET);
    }
    if (phase != TUNNEL_HEAD)
        s->ops->closed_cb(s->arg, status);
    tunnel_kick(s->tunnel);
    tstream_unref(s);
}

void tunnel_stream_set_user(struct tunnel_stream *s,
                            const struct tunnel_stream_ops *ops, void *arg)
{
    s->ops = ops ? ops : &null_ops;
    s->arg = arg;
}

/* doc/protocol.md 2.1: a TCP RST is CONNECT_ERROR. */
static uint32_t reset_code(const struct tunnel_stream *s, int error)
{
    if (s->kind == TUNNEL_TCP && s->phase == TUNNEL_OPEN)
        return NGHTTP2_CONNECT_ERROR;
    if (s->kind == TUNNEL_UDP && error == -ECONNREFUSED)
        return NGHTTP2_CONNECT_ERROR;
    return NGHTTP2_CANCEL;
}

void tunnel_stream_reset(struct tunnel_stream *s, int error)
{
    struct tunnel *t = s->tunnel;

    if (s->phase == TUNNEL_DONE)
        return;
    if (error >= 0)
        error = -ECONNRESET;
    if (!s->h2_closed && !t->ended)
        nghttp2_submit_rst_stream(t->h2, NGHTTP2_FLAG_NONE, s->id,
                                  reset_code(s, error));
    t->stats.reset++;
    s->told = true;
    tstream_finish(s, error);
}

/* ---- sending --------------------------------------------------------- */

static ssize_t pull_body(struct tunnel_stream *s, uint8_t *data, size_t len,
                         uint32_t *flags)
{
    size_t left = s->body_len - s->body_off;

    if (len > left)
        len = left;
    if (len > 0)
        memcpy(data, s->body + s->body_off, len);
    s->body_off += len;
    if (s->body_off < s->body_len)
        return (ssize_t)len;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    s->out_eof = true;
    free(s->body);
    s->body = NULL;
    return (ssize_t)len;
}

/* pull_cb, once more if it was resumed meanwhile. */
static ssize_t call_pull(struct tunnel_stream *s, uint8_t *data, size_t len)
{
    ssize_t n;

    s->pulling = true;
    s->again = false;
    n = s->ops->pull_cb(s->arg, data, len);
    if (n == -EAGAIN && s->again && s->phase != TUNNEL_DONE)
        n = s->ops->pull_cb(s->arg, data, len);
    s->pulling = false;
    return n;
}

ssize_t tstream_pull(struct tunnel_stream *s, uint8_t *data, size_t len,
                     uint32_t *flags)
{
    struct tunnel *t = s->tunnel;
    ssize_t n;

    if (s->body)
        return pull_body(s, data, len, flags);
    if (s->phase == TUNNEL_ASKED && s->kind == TUNNEL_TCP) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    n = call_pull(s, data, len);
    if (t->ended)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (s->phase == TUNNEL_DONE) /* reset: its RST_STREAM goes next */
        return NGHTTP2_ERR_DEFERRED;
    if (n > 0) {
        t->stats.bytes_out += (uint64_t)n;
    } else if (n == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        s->out_eof = true;
    } else if (n == -EAGAIN) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    } else {
        tunnel_stream_reset(s, (int)n);
        return t->ended ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_DEFERRED;
    }
    return n;
}

ssize_t tstream_read_cb(nghttp2_session *h2, int32_t id, uint8_t *data,
                        size_t len, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    struct tunnel_stream *s = nghttp2_session_get_stream_user_data(h2, id);
    ssize_t n;

    (void)source;
    (void)arg;
    if (!s) { /* finished on our side: end it in order */
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    tstream_ref(s);
    n = tstream_pull(s, data, len, flags);
    tstream_unref(s);
    return n;
}

void tunnel_stream_resume(struct tunnel_stream *s)
{
    if (s->phase == TUNNEL_DONE)
        return;
    if (s->pulling)
        s->again = true;
    if (!s->deferred || s->h2_closed || s->tunnel->ended)
        return;
    if (s->phase == TUNNEL_ASKED && s->kind == TUNNEL_TCP)
        return;
    s->deferred = false;
    nghttp2_session_resume_data(s->tunnel->h2, s->id);
    tunnel_kick(s->tunnel);
}

/* ---- receiving ------------------------------------------------------- */

static void finish_if_complete(struct tunnel_stream *s)
{
    if (s->h2_closed && s->eof_told && s->in.used == 0)
        tstream_finish(s, 0);
}

/* Gives bytes to the user: how many it took, negative: the stream is gone. */
static ssize_t push(struct tunnel_stream *s, const uint8_t *data, size_t len)
{
    ssize_t n;

    s->pushing = true;
    n = s->ops->push_cb(s->arg, data, len);
    s->pushing = false;
    if (s->phase == TUNNEL_DONE)
        return -EPIPE;
    if (n < 0) {
        tunnel_stream_reset(s, (int)n);
        return n;
    }
    s->stalled = (size_t)n < len;
    window_consumed(s, (size_t)n);
    return n;
}

/* Keeps bytes that cannot be given to the user now. */
static void store(struct tunnel_stream *s, const uint8_t *data, size_t len)
{
    if (chunkq_append(&s->in, data, len) != 0) {
        tunnel_stream_reset(s, -ENOMEM);
        return;
    }
    if (!window_stored(s->tunnel, len))
        tunnel_stream_reset(s, -ENOBUFS);
}

static void receive(struct tunnel_stream *s, const uint8_t *data, size_t len)
{
    if (s->phase == TUNNEL_OPEN && s->in.used == 0 && !s->stalled &&
        !s->pushing) {
        ssize_t n = push(s, data, len);

        if (n < 0)
            return;
        data += n;
        len -= (size_t)n;
    }
    if (len > 0)
        store(s, data, len);
}

/* Joins a piece to what the same stream got before it in the same read. What
 * lies between them is parsed: the shorter one is moved over it. */
static void gather(struct tunnel *t, uint8_t *data, size_t len)
{
    if (len <= t->got_len) {
        memmove(t->got + t->got_len, data, len);
    } else {
        memmove(data - t->got_len, t->got, t->got_len);
        t->got = data - t->got_len;
    }
    t->got_len += len;
}

void tstream_received(struct tunnel_stream *s, uint8_t *data, size_t len)
{
    struct tunnel *t = s->tunnel;

    if (s->phase == TUNNEL_HEAD || s->phase == TUNNEL_REFUSED) {
        tstream_ref(s);
        if (s->phase == TUNNEL_HEAD)
            head_store_body(s, data, len);
        window_consumed(s, len);
        tstream_unref(s);
        return;
    }
    if (s->kind != TUNNEL_REQUEST)
        t->stats.bytes_in += len;
    if (t->got_stream == s) {
        gather(t, data, len);
        return;
    }
    tstream_ref(s);
    tstream_flush_received(t); /* which may end s */
    t->got_stream = s;
    t->got = data;
    t->got_len = len;
}

void tstream_flush_received(struct tunnel *t)
{
    struct tunnel_stream *s = t->got_stream;

    if (!s)
        return;
    t->got_stream = NULL;
    if (s->phase != TUNNEL_DONE)
        receive(s, t->got, t->got_len);
    tstream_unref(s);
}

void tstream_received_eof(struct tunnel_stream *s)
{
    if (s->phase == TUNNEL_DONE)
        return;
    s->in_eof = true;
    if (s->phase == TUNNEL_HEAD)
        head_complete(s, true);
    else if (s->phase == TUNNEL_OPEN)
        tstream_deliver(s);
}

static void deliver_bytes(struct tunnel_stream *s)
{
    while (s->phase == TUNNEL_OPEN && s->in.used > 0 && !s->stalled) {
        size_t len;
        const uint8_t *data = chunkq_peek(&s->in, &len);
        ssize_t n = push(s, data, len);

        if (n < 0)
            return;
        chunkq_consume(&s->in, (size_t)n);
        window_freed(s->tunnel, (size_t)n);
    }
}

void tstream_deliver(struct tunnel_stream *s)
{
    if (s->phase != TUNNEL_OPEN || s->pushing)
        return;
    tstream_ref(s);
    deliver_bytes(s);
    if (s->phase == TUNNEL_OPEN && s->in_eof && s->in.used == 0 &&
        !s->eof_told) {
        s->eof_told = true;
        s->ops->eof_cb(s->arg);
    }
    if (s->phase == TUNNEL_OPEN)
        finish_if_complete(s);
    tstream_unref(s);
}

void tunnel_stream_drain(struct tunnel_stream *s)
{
    struct tunnel *t = s->tunnel;

    if (s->phase != TUNNEL_OPEN || (!s->stalled && !s->pushing))
        return;
    if (s->pushing) { /* by push_cb itself: a little later */
        tstream_make_ready(s);
        return;
    }
    s->stalled = false;
    tunnel_enter(t);
    tstream_deliver(s);
    tunnel_kick(t);
    tunnel_leave(t);
}

void tstream_make_ready(struct tunnel_stream *s)
{
    struct tunnel *t = s->tunnel;

    if (!s->ready && s->phase != TUNNEL_DONE && !t->ended) {
        s->ready = true;
        TAILQ_INSERT_TAIL(&t->ready, s, ready_entry);
    }
    tunnel_kick(t);
}

/* ---- answers and the end ---------------------------------------------- */

void tstream_answered(struct tunnel_stream *s, int status)
{
    tstream_ref(s);
    s->told = true;
    if (status == 0) {
        s->phase = TUNNEL_OPEN;
        s->ops->opened_cb(s->arg, 0);
        tunnel_stream_resume(s);
    } else {
        struct tunnel *t = s->tunnel;

        t->stats.refused++;
        s->ops->opened_cb(s->arg, status);
        tstream_finish(s, status);
        /* The read callback now says END_STREAM. */
        if (s->deferred && !s->h2_closed && !t->ended)
            nghttp2_session_resume_data(t->h2, s->id);
    }
    tstream_unref(s);
}

static int close_status(const struct tunnel_stream *s, uint32_t code)
{
    if (code == NGHTTP2_CONNECT_ERROR && s->kind == TUNNEL_UDP)
        return -ECONNREFUSED;
    if (code == NGHTTP2_REFUSED_STREAM)
        return s->tunnel->peer_draining ? -EPIPE : -EMFILE;
    return -ECONNRESET;
}

void tstream_h2_closed(struct tunnel_stream *s, uint32_t code)
{
    s->h2_closed = true;
    tstream_ref(s);
    if (code == NGHTTP2_NO_ERROR && s->in_eof && s->out_eof) {
        finish_if_complete(s);
    } else {
        s->tunnel->stats.reset++;
        tstream_finish(s, close_status(s, code));
    }
    tstream_unref(s);
}
