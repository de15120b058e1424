/*
 * link_io.c - bytes between nghttp2 and the byte stream
 *
 * Sending. Whoever gives nghttp2 something to send calls tunnel_kick(), which
 * starts a check handle: the link sends once, at the end of the loop iteration,
 * whatever came together in it (the idle handle beside it makes an iteration
 * happen when the kick came from outside of the poll phase). Then frames are
 * made one at a time, while the socket takes them: a frame above COALESCE_MAX
 * is written from nghttp2's own buffer, into which the stream's user read it
 * from its socket; smaller ones are collected so that many cost one write.
 * What the socket does not take waits in `out` (small frames) and `pending`
 * (one large frame), nothing more is made until it is gone: with
 * TCP_NOTSENT_LOWAT at most 128 KiB plus one frame lie between a user's bytes
 * and the wire.
 *
 * Receiving. The DATA that one read brings a stream goes to its user in one
 * piece. At most two buffers (128 KiB) an event, then the loop's other
 * handles get their turn; events are level-triggered.
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define NOTSENT_LOWAT (128 * 1024)
#define COALESCE_MAX  8192      /* frames up to this are collected */
#define COALESCE_SIZE 32768     /* and written when so much has come together */
#define SEND_TURN     (1 << 20) /* bytes, then the loop gets its turn */
#define READ_SIZE     131072
#define READS_TURN    2
/* A peer that makes us answer and does not read the answers is not read. */
#define OUTBOUND_MAX 16384

static void update_want(struct tunnel *t)
{
    unsigned want = t->blocked ? STREAM_WRITABLE : 0;

    if (nghttp2_session_get_outbound_queue_size(t->h2) < OUTBOUND_MAX)
        want |= STREAM_READABLE;
    if (want == t->want)
        return;
    t->want = want;
    stream_want(t->io, want);
}

static void stop_kick(struct tunnel *t)
{
    uv_check_stop(&t->check);
    uv_idle_stop(&t->idle);
    t->kicked = false;
}

/* Each stream that is ready now once: one may become ready again by this. */
static void deliver_ready(struct tunnel *t)
{
    struct tunnel_stream *s;
    unsigned n = 0;

    TAILQ_FOREACH(s, &t->ready, ready_entry)
    n++;
    while (n-- > 0 && !t->ended && (s = TAILQ_FIRST(&t->ready))) {
        TAILQ_REMOVE(&t->ready, s, ready_entry);
        s->ready = false;
        s->stalled = false;
        tstream_deliver(s);
    }
}

static void check_cb(uv_check_t *check)
{
    struct tunnel *t = check->data;

    stop_kick(t);
    tunnel_enter(t);
    deliver_ready(t);
    link_io_send(t);
    tunnel_leave(t);
}

static void idle_cb(uv_idle_t *idle)
{
    (void)idle; /* only keeps the poll from waiting */
}

void tunnel_kick(struct tunnel *t)
{
    if (t->kicked || t->ended || (t->blocked && TAILQ_EMPTY(&t->ready)))
        return;
    t->kicked = true;
    uv_check_start(&t->check, check_cb);
    uv_idle_start(&t->idle, idle_cb);
}

/* Writes; returns what was taken (0 if blocked) or a negative errno. */
static ssize_t put(struct tunnel *t, const uint8_t *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = stream_write(t->io, data + done, len - done);

        if (n == -EAGAIN) {
            t->blocked = true;
            break;
        }
        if (n < 0) {
            tunnel_end(t, (int)n, "the link's connection broke");
            return n;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* What the socket did not take last time. True when all is gone. */
static bool put_rest(struct tunnel *t)
{
    ssize_t n;

    if (buf_used(&t->out) > 0) {
        n = put(t, buf_head(&t->out), buf_used(&t->out));
        if (n < 0)
            return false;
        buf_consume(&t->out, (size_t)n);
    }
    if (t->pending_len > 0 && !t->blocked) {
        n = put(t, t->pending, t->pending_len);
        if (n < 0)
            return false;
        t->pending += n;
        t->pending_len -= (size_t)n;
    }
    return !t->blocked;
}

struct collector {
    size_t len;
    uint8_t data[COALESCE_SIZE];
};

/* Writes what was collected. True when all is gone. */
static bool put_collected(struct tunnel *t, struct collector *c)
{
    ssize_t n = put(t, c->data, c->len);

    if (n >= 0 && (size_t)n < c->len &&
        buf_append(&t->out, c->data + n, c->len - (size_t)n) != 0)
        tunnel_end(t, -ENOMEM, "out of memory");
    c->len = 0;
    return n >= 0 && !t->blocked;
}

/* One frame: collects or writes it. True if the next one may be made. */
static bool put_frame(struct tunnel *t, struct collector *c,
                      const uint8_t *data, size_t len)
{
    bool go = true;

    if (len <= COALESCE_MAX) {
        if (c->len + len > sizeof(c->data))
            go = put_collected(t, c);
        memcpy(c->data + c->len, data, len);
        c->len += len;
        return go || put_collected(t, c);
    }
    if (c->len > 0)
        put_collected(t, c);
    t->pending = data;
    t->pending_len = len;
    return !t->ended && !t->blocked && put_rest(t);
}

static void send_frames(struct tunnel *t)
{
    struct collector c;
    size_t sent = 0;
    bool go = true;

    c.len = 0;
    while (go && !t->ended) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(t->h2, &data);

        if (n < 0)
            tunnel_end(t, -EPROTO, nghttp2_strerror((int)n));
        if (n <= 0)
            break;
        go = put_frame(t, &c, data, (size_t)n);
        sent += (size_t)n;
        if (sent > SEND_TURN && go) {
            tunnel_kick(t);
            break;
        }
    }
    if (c.len > 0 && !t->ended)
        put_collected(t, &c);
}

/* After a protocol error, or with a drained link, nghttp2 wants nothing. */
static void check_done(struct tunnel *t)
{
    if (t->blocked || nghttp2_session_want_write(t->h2))
        return;
    if (t->goaway_error)
        tunnel_end(t, -EPROTO, nghttp2_http2_strerror(t->goaway_error));
    else if (!nghttp2_session_want_read(t->h2) && LIST_EMPTY(&t->streams))
        tunnel_end(t, 0, "drained");
}

void link_io_send(struct tunnel *t)
{
    if (t->ended || t->blocked)
        return;
    if (put_rest(t))
        send_frames(t);
    if (!t->ended)
        check_done(t);
    if (!t->ended)
        update_want(t);
}

void link_io_goodbye(struct tunnel *t)
{
    const uint8_t *data;
    ssize_t n;

    nghttp2_session_terminate_session(t->h2, NGHTTP2_NO_ERROR);
    if (t->blocked || !put_rest(t))
        return;
    while ((n = nghttp2_session_mem_send(t->h2, &data)) > 0)
        if (put(t, data, (size_t)n) < n)
            break;
}

static void feed(struct tunnel *t, uint8_t *data, size_t len)
{
    ssize_t n = nghttp2_session_mem_recv(t->h2, data, len);

    tstream_flush_received(t);
    if (n < 0 && !t->ended)
        tunnel_end(t, -EPROTO, nghttp2_strerror((int)n));
}

static void receive(struct tunnel *t)
{
    uint8_t data[READ_SIZE];

    for (int i = 0; i < READS_TURN && !t->ended; i++) {
        ssize_t n = stream_read(t->io, data, sizeof(data));

        if (n == -EAGAIN)
            return;
        if (n == 0) {
            tunnel_end(t, tunnel_is_draining(t) ? 0 : -ECONNRESET,
                       "the peer closed the link");
        } else if (n < 0) {
            tunnel_end(t, (int)n, strerror((int)-n));
        } else {
            feed(t, data, (size_t)n);
            if ((size_t)n < sizeof(data) / 4)
                return; /* nothing more there, most likely */
        }
    }
}

void link_io_event(void *arg, unsigned events)
{
    struct tunnel *t = arg;

    tunnel_enter(t);
    if (events & STREAM_WRITABLE)
        t->blocked = false;
    if (events & STREAM_READABLE)
        receive(t);
    tunnel_kick(t);
    tunnel_leave(t);
}

int link_io_create(struct tunnel *t)
{
    int fd = stream_fd(t->io), on = 1, lowat = NOTSENT_LOWAT;

    if (fd >= 0) { /* fails on a UNIX socket, which has neither */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    }
    buf_init(&t->out, 2 * COALESCE_SIZE);
    stream_set_callback(t->io, link_io_event, t);
    t->want = STREAM_READABLE;
    stream_want(t->io, t->want);
    return 0;
}

void link_io_stop(struct tunnel *t)
{
    if (t->kicked)
        stop_kick(t);
}
