/*
 * splice.c - joins a stream that a peer opened with one on another tunnel
 *
 * No buffer of its own. What comes in on one side (push_cb) is left where the
 * tunnel keeps it, in the stream's window, and the other side is told to pull;
 * when that one's link makes a frame (pull_cb), the first is drained straight
 * into it. So a far side that does not read fills the window of this stream
 * and nothing else, and the peer stops.
 *
 * Re-entrance: draining one tunnel inside another's pull is fine, because they
 * are two nghttp2 sessions; pulls happen at the end of a loop iteration only
 * and never inside a push, so that there is no way back into the first one.
 * Anything may end inside a callback: each open side and each pull that is
 * running hold the splice.
 */
#include "tunnel/splice.h"
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct side {
    struct splice *splice;
    struct side *other;
    struct tunnel_stream *stream; /* NULL after closed_cb */
    uint8_t *room;                /* the other one's frame, while it pulls */
    size_t room_len;
    uint64_t bytes; /* that came in here and went out there */
    bool eof;       /* nothing more comes in here */
};

struct splice {
    struct side in, out;
    struct tunnel_stream *handle; /* in; held for splice_abort() */
    splice_end_cb *cb;
    void *arg;
    int status; /* the first error */
    int refs;
    bool refused; /* in has its answer, which must go out */
};

static void put(struct splice *sp)
{
    if (--sp->refs > 0)
        return;
    if (sp->cb)
        sp->cb(sp->arg, sp->status, sp->in.bytes, sp->out.bytes);
    tstream_unref(sp->handle);
    free(sp);
}

static void resume(struct side *side)
{
    if (side->stream)
        tunnel_stream_resume(side->stream);
}

/* ---- the streams' callbacks -------------------------------------------- */

/* The far side's answer is ours. */
static void opened_cb(void *arg, int status)
{
    struct side *out = arg;
    struct splice *sp = out->splice;

    if (!sp->in.stream)
        return;
    if (status == 0)
        status = tunnel_stream_answer(sp->in.stream, 0);
    else
        sp->refused = tunnel_stream_answer(sp->in.stream, status) == 0;
    if (status != 0 && !sp->refused)
        tunnel_stream_reset(out->stream, status);
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct side *to = arg, *from = to->other;
    struct splice *sp = to->splice;
    ssize_t n;

    from->room = data;
    from->room_len = len;
    sp->refs++;
    if (from->stream)
        tunnel_stream_drain(from->stream);
    from->room = NULL;
    n = (ssize_t)(len - from->room_len);
    if (n == 0 && !from->eof)
        n = -EAGAIN;
    put(sp);
    return n;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct side *from = arg;

    if (!from->room) {
        resume(from->other);
        return 0;
    }
    if (len > from->room_len)
        len = from->room_len;
    memcpy(from->room, data, len);
    from->room += len;
    from->room_len -= len;
    from->bytes += len;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    struct side *from = arg;

    from->eof = true;
    resume(from->other);
}

static void closed_cb(void *arg, int status)
{
    struct side *side = arg;
    struct splice *sp = side->splice;
    struct tunnel_stream *other = side->other->stream;

    side->stream = NULL;
    if (status != 0 && sp->status == 0)
        sp->status = status;
    if (status == -EPIPE)
        status = -ECONNRESET; /* the other side's link is well */
    if (status != 0 && other && !sp->refused)
        tunnel_stream_reset(other, status);
    put(sp);
}

static const struct tunnel_stream_ops splice_ops = {opened_cb, pull_cb, push_cb,
                                                    eof_cb, closed_cb};

/* ---- life --------------------------------------------------------------- */

static struct splice *new_splice(struct tunnel_stream *in, splice_end_cb *cb,
                                 void *arg)
{
    struct splice *sp = calloc(1, sizeof(*sp));

    if (!sp)
        return NULL;
    sp->in.splice = sp->out.splice = sp;
    sp->in.other = &sp->out;
    sp->out.other = &sp->in;
    sp->in.stream = sp->handle = in;
    sp->cb = cb;
    sp->arg = arg;
    sp->refs = 2;
    return sp;
}

int tunnel_splice(struct tunnel_stream *in, const struct tunnel_open *open,
                  struct tunnel *out, const char *name, uint16_t port,
                  splice_end_cb *cb, void *arg)
{
    struct splice *sp;
    int error;

    if (in->tunnel == out || open->kind == TUNNEL_REQUEST)
        return -EINVAL;
    sp = new_splice(in, cb, arg);
    if (!sp)
        return -ENOMEM;
    sp->out.stream =
        open->kind == TUNNEL_UDP
            ? tunnel_open_udp_name(out, name, port, &splice_ops, &sp->out)
            : tunnel_open_tcp_name(out, name, port, &splice_ops, &sp->out);
    if (!sp->out.stream) {
        error = errno;
        free(sp);
        return -error;
    }
    tstream_ref(in);
    tunnel_stream_set_user(in, &splice_ops, &sp->in);
    return 0;
}

void splice_abort(struct tunnel_stream *in)
{
    struct splice *sp = ((struct side *)in->arg)->splice;
    struct tunnel_stream *left = sp->in.stream;

    sp->refused = false;
    tunnel_stream_reset(left ? left : sp->out.stream, -ECONNRESET);
}
