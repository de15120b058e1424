/*
 * forward.c - joins two connected TCP sockets
 *
 * A *half* is one direction. Its bytes go from the socket into a pipe (or, if
 * they must be seen, into the scratch buffer) and at once on into the other
 * socket. Only what that does not take waits, in the pipe resp. in `rest`, and
 * then the half reads no more: this is the backpressure.
 *
 * Ends. A FIN is passed on when everything before it is. A socket that failed
 * to be written has been reset by its peer: it is still read to its end (an
 * answer may have come before the reset), then both are reset. A socket that
 * failed to be read resets the other at once, unless bytes still wait.
 */
#include "net/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/socket.h"

#define ROUNDS 4 /* of reading and writing in one turn of the loop */

struct side {
    struct forward *forward;
    uv_poll_t poll;
    int fd;
    int armed;    /* libuv events */
    bool failed;  /* a write did: whatever ends now is a reset */
    bool stopped; /* libuv has given it up; it can still be read */
    bool hung_up; /* UV_PRIORITIZED fires without an error */
};

struct half {
    struct side *from, *to;
    int pipe[2]; /* -1: none held */
    size_t piped;
    struct buf rest;
    uint64_t bytes;
    uint64_t limit; /* no more are read */
    bool copy;      /* no splice */
    bool eof;       /* nothing more to be read */
    bool done;      /* and everything passed on, FIN too */
};

struct forward {
    struct side client, app;
    struct half up, down; /* client to app, app to client */
    struct pipes *pipes;
    struct forward_tap tap;  /* write_cb NULL: none */
    forward_bound_cb *bound; /* of what the client sends; or NULL */
    void *bound_arg;
    forward_end_cb *cb;
    void *arg;
    int handles;
    bool ended;
};

/* ---- the end ------------------------------------------------------------- */

static void poll_closed_cb(uv_handle_t *handle)
{
    struct side *s = handle->data;

    if (--s->forward->handles == 0)
        free(s->forward);
}

static void half_release(struct half *h, struct pipes *pipes)
{
    if (h->piped > 0)
        pipes_drop(h->pipe);
    else
        pipes_put(pipes, h->pipe);
    buf_release(&h->rest);
}

static void forward_end(struct forward *f, bool reset)
{
    if (f->ended)
        return;
    f->ended = true;
    uv_close((uv_handle_t *)&f->client.poll, poll_closed_cb);
    uv_close((uv_handle_t *)&f->app.poll, poll_closed_cb);
    if (reset) {
        socket_abort(f->client.fd);
        socket_abort(f->app.fd);
    } else {
        close(f->client.fd);
        close(f->app.fd);
    }
    half_release(&f->up, f->pipes);
    half_release(&f->down, f->pipes);
    if (f->tap.end_cb)
        f->tap.end_cb(f->tap.arg, reset);
    f->cb(f->arg, f->up.bytes + f->down.bytes);
}

void forward_abort(struct forward *f)
{
    forward_end(f, true);
}

/* ---- one direction --------------------------------------------------------
 */

static size_t waiting(const struct half *h)
{
    return h->piped + buf_used(&h->rest);
}

static struct half *other_half(struct half *h)
{
    struct forward *f = h->from->forward;

    return h == &f->up ? &f->down : &f->up;
}

static ssize_t result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

/* Writes what waits. 0: all; -EAGAIN: the socket is full; other: it failed. */
static int half_flush(struct half *h)
{
    ssize_t n = 0;

    while (h->piped > 0 && n >= 0) {
        n = result(splice(h->pipe[0], NULL, h->to->fd, NULL, h->piped,
                          SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
        if (n > 0)
            h->piped -= (size_t)n;
        else if (n == 0)
            n = -EPIPE;
    }
    while (buf_used(&h->rest) > 0 && n >= 0) {
        n = result(send(h->to->fd, buf_head(&h->rest), buf_used(&h->rest),
                        MSG_DONTWAIT | MSG_NOSIGNAL));
        if (n > 0)
            buf_consume(&h->rest, (size_t)n);
    }
    return n < 0 ? (int)n : 0;
}

static size_t most(const struct half *h, size_t size)
{
    uint64_t left = h->limit - h->bytes;

    return left < size ? (size_t)left : size;
}

static bool is_full(const struct half *h)
{
    return h->bytes >= h->limit;
}

/* Reads into a pipe; falls back to copying where that cannot be done. */
static ssize_t half_splice(struct half *h)
{
    ssize_t n;

    if (h->pipe[0] < 0 && pipes_take(h->from->forward->pipes, h->pipe) < 0) {
        h->copy = true;
        return -EINVAL;
    }
    n = result(splice(h->from->fd, NULL, h->pipe[1], NULL, most(h, PIPES_SIZE),
                      SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
    if (n > 0)
        h->piped = (size_t)n;
    else if (n == -EINVAL)
        h->copy = true;
    return n;
}

/* How many of n bytes that were read may pass; negative: the forward ended. */
static ssize_t half_bounded(struct half *h, const void *data, ssize_t n)
{
    struct forward *f = h->from->forward;
    bool last = false;
    ssize_t used = f->bound(f->bound_arg, data, (size_t)n, &last);

    if (used < 0)
        forward_end(f, true);
    else if (last)
        h->limit = h->bytes + (uint64_t)used;
    return used;
}

/* Reads into the scratch buffer, shows it to the tap, writes what can be. */
static ssize_t half_copy(struct half *h)
{
    struct forward *f = h->from->forward;
    uint8_t *data = f->pipes->scratch;
    ssize_t n =
        result(recv(h->from->fd, data, most(h, PIPES_SCRATCH), MSG_DONTWAIT));
    ssize_t sent;

    if (n > 0 && h == &f->up && f->bound)
        n = half_bounded(h, data, n);
    if (n <= 0)
        return n;
    if (h == &f->up && f->tap.write_cb)
        f->tap.write_cb(f->tap.arg, data, (size_t)n);
    sent =
        result(send(h->to->fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (sent < 0)
        sent = 0; /* half_flush() will meet the error */
    if (sent < n &&
        buf_append(&h->rest, data + sent, (size_t)(n - sent)) != 0) {
        forward_end(f, true);
        return -ENOMEM;
    }
    return n;
}

static ssize_t half_read(struct half *h)
{
    ssize_t n = h->copy ? -EINVAL : half_splice(h);

    if (h->copy && n == -EINVAL)
        n = half_copy(h);
    if (n > 0)
        h->bytes += (uint64_t)n;
    return n;
}

/* No more bytes; everything is written. */
static void half_finish(struct half *h)
{
    struct forward *f = h->from->forward;

    if (h->done)
        return;
    h->done = true;
    if (h == &f->up && f->tap.end_cb)
        f->tap.end_cb(f->tap.arg, false);
    if (f->up.done && f->down.done)
        forward_end(f, false);
    else
        shutdown(h->to->fd, SHUT_WR);
}

static void half_read_end(struct half *h, ssize_t n)
{
    if (n == 0 && !h->from->failed) {
        h->eof = true;
        half_finish(h);
    } else {
        forward_end(h->from->forward, true);
    }
}

static void half_pump(struct half *h);

/* The peer of `to` has reset it. */
static void half_write_failed(struct half *h)
{
    struct half *back = other_half(h);

    h->eof = true;
    h->done = true;
    half_release(h, h->from->forward->pipes);
    h->piped = 0;
    h->to->failed = true;
    if (back->eof || is_full(back))
        forward_end(h->from->forward, true);
    else
        half_pump(back);
}

/* Writes what waits; true if the half may read on. */
static bool half_push(struct half *h)
{
    int rc = half_flush(h);

    if (rc < 0 && rc != -EAGAIN)
        half_write_failed(h);
    return rc == 0;
}

/* One round; true if another one is worth it. */
static bool half_step(struct half *h)
{
    struct forward *f = h->from->forward;
    bool stopped = h->from->stopped; /* no event will come */
    ssize_t n;

    if (!half_push(h) || h->eof || is_full(h))
        return false;
    n = half_read(h);
    if (f->ended || (n == -EAGAIN && !stopped))
        return false;
    if (n <= 0) {
        half_read_end(h, n);
        return false;
    }
    return half_push(h) && (n >= PIPES_SCRATCH || stopped);
}

/* Moves what can be moved now. The forward may have ended after it. */
static void half_pump(struct half *h)
{
    struct forward *f = h->from->forward;

    for (int i = 0; half_step(h); i++) {
        if (i >= ROUNDS && !h->from->stopped)
            break;
    }
    if (!f->ended && h->piped == 0)
        pipes_put(f->pipes, h->pipe);
}

/* ---- events ---------------------------------------------------------------
 */

static void poll_cb(uv_poll_t *poll, int status, int events);

static void arm(struct side *s)
{
    struct forward *f = s->forward;
    struct half *out = s == &f->client ? &f->up : &f->down;
    struct half *in = other_half(out);
    int events = s->hung_up ? 0 : UV_PRIORITIZED;

    if (!out->eof && waiting(out) == 0)
        events |= is_full(out) ? UV_DISCONNECT : UV_READABLE;
    if (waiting(in) > 0)
        events |= UV_WRITABLE;
    if (events == s->armed || s->stopped)
        return;
    s->armed = events;
    if (events)
        uv_poll_start(&s->poll, events, poll_cb);
    else
        uv_poll_stop(&s->poll);
}

/* An error on the socket: what came before it is still to be had, if it can be
 * passed on. */
static void side_broke(struct side *s, struct half *out)
{
    s->stopped = true;
    s->armed = 0;
    if (out->eof || waiting(out) > 0 || is_full(out))
        forward_end(s->forward, true);
    else
        half_pump(out);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct side *s = poll->data;
    struct forward *f = s->forward;
    struct half *out = s == &f->client ? &f->up : &f->down;

    if (status < 0)
        side_broke(s, out);
    else if (events & UV_PRIORITIZED && !(events & (UV_READABLE | UV_WRITABLE)))
        s->hung_up = true;
    if (status == 0 && events & UV_READABLE && !out->eof)
        half_pump(out);
    if (status == 0 && events & UV_DISCONNECT && !out->eof && is_full(out))
        half_read_end(out, 0);
    if (status == 0 && events & UV_WRITABLE && !f->ended)
        half_pump(other_half(out));
    if (f->ended)
        return;
    arm(&f->client);
    arm(&f->app);
}

/* ---- life ------------------------------------------------------------------
 */

static int side_init(struct forward *f, struct side *s, uv_loop_t *loop, int fd)
{
    s->forward = f;
    s->fd = fd;
    s->poll.data = s;
    return uv_poll_init(loop, &s->poll, fd);
}

static void half_init(struct half *h, struct side *from, struct side *to)
{
    h->from = from;
    h->to = to;
    h->pipe[0] = h->pipe[1] = -1;
    h->limit = UINT64_MAX;
    buf_init(&h->rest, PIPES_SCRATCH);
}

/* Both polls or none that is not being closed. */
static int start(struct forward *f, uv_loop_t *loop, int client, int app)
{
    int rc = side_init(f, &f->client, loop, client);

    if (rc < 0) {
        free(f);
        return rc;
    }
    f->handles = 1;
    rc = side_init(f, &f->app, loop, app);
    if (rc < 0) {
        uv_close((uv_handle_t *)&f->client.poll, poll_closed_cb);
        return rc;
    }
    f->handles = 2;
    half_init(&f->up, &f->client, &f->app);
    half_init(&f->down, &f->app, &f->client);
    return 0;
}

struct forward *forward_create(uv_loop_t *loop, struct pipes *pipes, int client,
                               int app, const struct forward_tap *tap,
                               forward_end_cb *cb, void *arg)
{
    struct forward *f = calloc(1, sizeof(*f));

    if (!f || start(f, loop, client, app) < 0) {
        socket_abort(client);
        socket_abort(app);
        return NULL;
    }
    f->pipes = pipes;
    if (tap)
        f->tap = *tap;
    f->cb = cb;
    f->arg = arg;
    f->up.copy = tap != NULL;
    arm(&f->client);
    arm(&f->app);
    return f;
}

int forward_begin(struct forward *f, const void *data, size_t len,
                  uint64_t limit)
{
    int rc = len ? buf_append(&f->up.rest, data, len) : 0;

    f->up.limit = limit;
    arm(&f->client);
    arm(&f->app);
    return rc;
}

void forward_bind(struct forward *f, forward_bound_cb *cb, void *arg)
{
    f->bound = cb;
    f->bound_arg = arg;
    f->up.copy = true;
}
