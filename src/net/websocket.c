/*
 * websocket.c - a byte stream in binary frames, RFC 6455
 *
 * Reading takes raw bytes from below straight into the user's buffer and cuts
 * the frame heads out in place: only a head that is not complete and the
 * payload of a control frame are kept here. Writing builds one frame in `out`
 * for one write() below; nothing more is framed until it has left.
 *
 * A close frame ends the peer's direction. Ours is answered by shutdown or
 * close (5.5.1 allows the delay), so the half-close of a stream works as far as
 * what is on the way permits.
 */
#include "net/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/buf.h"
#include "net/stream_internal.h"
#include "net/websocket_internal.h"

/* With its head four whole TLS records. */
#define PAYLOAD_MAX (65536 - WEBSOCKET_HEAD_MAX)
#define OUT_MAX     (65536 + 4 * (WEBSOCKET_HEAD_MAX + WEBSOCKET_CONTROL_MAX))

/* Rounds of one read() that may bring no payload. */
#define READ_ROUNDS 16

enum close_code { CLOSE_NORMAL = 1000, CLOSE_PROTOCOL_ERROR = 1002 };

struct websocket {
    struct stream base;
    struct stream *below;
    uv_idle_t idle; /* brings the event for an error or the end */
    struct buf out;
    unsigned wanted;
    unsigned closing; /* parts that are not closed yet */
    int error;        /* negative errno that read and write say */
    int write_error;  /* that only write says */
    bool is_client;
    bool eof;      /* the peer sent a close frame */
    bool shut;     /* we did */
    bool pong_due; /* only the latest ping is answered, 5.5.3 */

    /* The frame that is being read. */
    uint8_t head[WEBSOCKET_HEAD_MAX];
    size_t head_len; /* bytes of an incomplete head */
    uint64_t left;   /* payload that has not come */
    uint64_t pos;    /* payload that has */
    uint8_t mask[4]; /* all zero: none */
    uint8_t opcode;  /* valid while in_frame */
    bool in_frame;   /* the head is complete */
    bool in_message; /* a fragment came, its continuation has to follow */
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    uint8_t pong[WEBSOCKET_CONTROL_MAX];
    size_t pong_len;
};

/* --- writing -------------------------------------------------------------- */

/* Puts a frame into `out`. 0 or a negative errno. */
static int add_frame(struct websocket *w, enum websocket_opcode opcode,
                     const void *data, size_t len)
{
    uint8_t *frame = buf_reserve(&w->out, WEBSOCKET_HEAD_MAX + len);
    size_t n;

    if (!frame)
        return -errno;
    n = websocket_head_make(frame, opcode, len, w->is_client);
    if (w->is_client) {
        uint8_t *mask = frame + n;

        if (RAND_bytes(mask, 4) != 1)
            return -EIO;
        n += 4;
        websocket_mask(frame + n, data, len, mask, 0);
    } else {
        memcpy(frame + n, data, len);
    }
    buf_commit(&w->out, n + len);
    return 0;
}

static int add_close(struct websocket *w, enum close_code code)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    w->shut = true;
    return add_frame(w, OP_CLOSE, payload, sizeof(payload));
}

/* Returns 0 when all has left, -EAGAIN, or the error, which is kept. */
static int ws_flush(struct websocket *w)
{
    if (w->write_error)
        return w->write_error;
    for (;;) {
        ssize_t n;

        if (buf_used(&w->out) == 0) {
            if (!w->pong_due || w->shut)
                return 0;
            w->pong_due = false;
            if (add_frame(w, OP_PONG, w->pong, w->pong_len) < 0)
                return 0;
        }
        n = stream_write(w->below, buf_head(&w->out), buf_used(&w->out));
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) {
            w->write_error = n < 0 ? (int)n : -EPIPE;
            buf_release(&w->out);
            return w->write_error;
        }
        buf_consume(&w->out, (size_t)n);
    }
}

/* --- events --------------------------------------------------------------- */

static void ws_update(struct websocket *w);

static void idle_cb(uv_idle_t *idle)
{
    struct websocket *w = idle->data;

    stream_emit(&w->base, w->wanted);
    ws_update(w);
}

static void ws_update(struct websocket *w)
{
    bool failed = w->error || w->write_error;
    unsigned below = w->wanted;

    if (w->closing)
        return;
    if (w->eof || w->error)
        below &= ~(unsigned)STREAM_READABLE;
    if (buf_used(&w->out) > 0)
        below |= STREAM_WRITABLE;
    if (failed)
        below &= ~(unsigned)STREAM_WRITABLE;
    stream_want(w->below, below);
    if (((w->eof || w->error) && w->wanted & STREAM_READABLE) ||
        (failed && w->wanted & STREAM_WRITABLE))
        uv_idle_start(&w->idle, idle_cb);
    else
        uv_idle_stop(&w->idle);
}

static void below_cb(void *arg, unsigned events)
{
    struct websocket *w = arg;
    unsigned fired = events & w->wanted;

    if (events & STREAM_WRITABLE && ws_flush(w) == -EAGAIN)
        fired &= ~(unsigned)STREAM_WRITABLE;
    stream_emit(&w->base, fired);
    ws_update(w);
}

/* --- reading -------------------------------------------------------------- */

/* 5.5: control frames are short and whole; 5.4: how messages are cut. */
static bool is_opcode_valid(const struct websocket *w,
                            const struct websocket_head *head)
{
    switch (head->opcode) {
    case OP_CONTINUATION:
        return w->in_message;
    case OP_BINARY:
        return !w->in_message;
    case OP_CLOSE:
    case OP_PING:
    case OP_PONG:
        return head->is_final && head->len <= WEBSOCKET_CONTROL_MAX;
    default:
        return false;
    }
}

/* The head is complete. 0 or -EBADMSG. */
static int begin_frame(struct websocket *w)
{
    struct websocket_head head;

    if (websocket_head_parse(&head, w->head) < 0 ||
        head.is_masked == w->is_client || !is_opcode_valid(w, &head))
        return -EBADMSG;
    if (head.opcode < OP_CLOSE)
        w->in_message = !head.is_final;
    memcpy(w->mask, head.mask, sizeof(w->mask));
    w->opcode = head.opcode;
    w->left = head.len;
    w->pos = 0;
    w->head_len = 0;
    w->in_frame = true;
    return 0;
}

/* Takes bytes of a head. Returns how many, or -EBADMSG. */
static ssize_t take_head(struct websocket *w, const uint8_t *data, size_t len)
{
    size_t taken = 0;

    while (taken < len) {
        w->head[w->head_len++] = data[taken++];
        if (w->head_len >= 2 && w->head_len == websocket_head_size(w->head)) {
            int rc = begin_frame(w);

            return rc < 0 ? rc : (ssize_t)taken;
        }
    }
    return (ssize_t)taken;
}

/* A control frame is complete. */
static void end_control(struct websocket *w)
{
    size_t len = (size_t)w->pos;

    if (w->opcode == OP_CLOSE) {
        if (len == 1)
            w->error = -EBADMSG;
        w->eof = true;
    } else if (w->opcode == OP_PING) {
        memcpy(w->pong, w->control, len);
        w->pong_len = len;
        w->pong_due = true;
    }
}

/* Takes payload: to `out` if it is the user's. Returns how much was taken. */
static size_t take_payload(struct websocket *w, uint8_t *out,
                           const uint8_t *data, size_t len)
{
    size_t n = w->left < len ? (size_t)w->left : len;
    bool is_control = w->opcode >= OP_CLOSE;
    uint8_t *to = is_control ? w->control + w->pos : out;

    memmove(to, data, n);
    if (!w->is_client)
        websocket_mask(to, to, n, w->mask, w->pos);
    w->pos += n;
    w->left -= n;
    if (w->left == 0) {
        w->in_frame = false;
        if (is_control)
            end_control(w);
    }
    return n;
}

/* Cuts the heads out of data in place; returns how much payload is left. */
static size_t decode(struct websocket *w, uint8_t *data, size_t len)
{
    size_t in = 0, out = 0;

    while ((in < len || (w->in_frame && w->left == 0)) && !w->eof) {
        size_t n;

        if (!w->in_frame) {
            ssize_t taken = take_head(w, data + in, len - in);

            if (taken < 0) {
                w->error = (int)taken;
                break;
            }
            in += (size_t)taken;
            continue;
        }
        n = take_payload(w, data + out, data + in, len - in);
        if (w->opcode < OP_CLOSE)
            out += n;
        in += n;
    }
    return out;
}

static ssize_t ws_read_some(struct websocket *w, void *data, size_t len)
{
    for (int i = 0; i < READ_ROUNDS; i++) {
        ssize_t n = stream_read(w->below, data, len);
        size_t payload;

        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) { /* the end without a close frame is a cut */
            w->error = n < 0 ? (int)n : -ECONNRESET;
            return w->error;
        }
        payload = decode(w, data, (size_t)n);
        if (payload > 0)
            return (ssize_t)payload;
        if (w->error)
            return w->error;
        if (w->eof)
            return 0;
    }
    return -EAGAIN; /* the rest makes another event */
}

static ssize_t ws_read(struct stream *s, void *data, size_t len)
{
    struct websocket *w = (struct websocket *)s;
    ssize_t n;

    if (w->error)
        return w->error;
    if (w->eof || len == 0)
        return 0;
    n = ws_read_some(w, data, len);
    if (w->pong_due)
        (void)ws_flush(w);
    ws_update(w);
    return n;
}

/* --- the stream ----------------------------------------------------------- */

static ssize_t ws_write(struct stream *s, const void *data, size_t len)
{
    struct websocket *w = (struct websocket *)s;
    int rc;

    if (w->error)
        return w->error;
    if (w->shut)
        return -EPIPE;
    rc = ws_flush(w);
    if (rc == 0 && len > 0) {
        if (len > PAYLOAD_MAX)
            len = PAYLOAD_MAX;
        rc = add_frame(w, OP_BINARY, data, len);
        if (rc == 0) {
            rc = ws_flush(w);
            if (rc == -EAGAIN)
                rc = 0;
        }
    }
    ws_update(w);
    return rc < 0 ? rc : (ssize_t)len;
}

static int ws_shutdown(struct stream *s)
{
    struct websocket *w = (struct websocket *)s;
    int rc = 0;

    if (w->error)
        return w->error;
    if (!w->shut)
        rc = add_close(w, CLOSE_NORMAL);
    if (rc == 0)
        rc = ws_flush(w);
    ws_update(w);
    return rc;
}

static void ws_want(struct stream *s, unsigned events)
{
    struct websocket *w = (struct websocket *)s;

    w->wanted = events;
    ws_update(w);
}

static void part_closed(struct websocket *w)
{
    if (--w->closing == 0)
        stream_finish_close(&w->base);
}

static void idle_closed_cb(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void below_closed_cb(void *arg)
{
    part_closed(arg);
}

static void ws_close(struct stream *s)
{
    struct websocket *w = (struct websocket *)s;

    if (!w->shut)
        (void)add_close(w, w->error == -EBADMSG ? CLOSE_PROTOCOL_ERROR
                                                : CLOSE_NORMAL);
    (void)ws_flush(w);
    buf_release(&w->out);
    w->closing = 2;
    uv_close((uv_handle_t *)&w->idle, idle_closed_cb);
    stream_close(w->below, below_closed_cb, w);
}

static int ws_fd(const struct stream *s)
{
    return stream_fd(((const struct websocket *)s)->below);
}

static const struct stream_ops websocket_ops = {
    .read = ws_read,
    .write = ws_write,
    .shutdown = ws_shutdown,
    .want = ws_want,
    .close = ws_close,
    .fd = ws_fd,
};

struct stream *websocket_create(struct stream *below, bool is_client)
{
    struct websocket *w = calloc(1, sizeof(*w));

    if (!w) {
        stream_close(below, NULL, NULL);
        return NULL;
    }
    stream_init(&w->base, &websocket_ops, below->loop);
    uv_idle_init(below->loop, &w->idle);
    w->idle.data = w;
    w->below = below;
    w->is_client = is_client;
    buf_init(&w->out, OUT_MAX);
    stream_set_callback(below, below_cb, w);
    stream_want(below, 0);
    return &w->base;
}
