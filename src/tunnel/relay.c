/*
 * relay.c - joins a connected TCP socket and a tunnel stream
 *
 * No buffers: pull_cb reads the socket straight into the frame that is about
 * to be sent, push_cb writes from the bytes that were received, and what the
 * socket does not take stays in the stream's window.
 *
 * The poll handle. Changing its events costs two epoll_ctl(), so an event is
 * switched off only when it comes and is of no use: a readable socket that the
 * link does not want to read yet (`readable`: resume was called, the pull has
 * not come) or a writable one with nothing waiting. With nothing to wait for,
 * UV_PRIORITIZED stays on, so that a reset by the socket's peer is seen even
 * while both directions are blocked.
 */
#include "net/socket.h"
#include "tunnel/relay.h"
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct relay {
    uv_poll_t poll;
    struct tunnel_stream *stream; /* NULL after closed_cb */
    int fd;
    int armed;     /* libuv events */
    bool readable; /* resumed; the socket may have bytes */
    bool read_end; /* no more reading: FIN or error was passed on */
    bool blocked;  /* push_cb waits for room in the socket */
    bool broken;   /* the socket has an error: read what is left */
    bool hung_up;  /* UV_PRIORITIZED fires without an error */
    uint64_t bytes_in, bytes_out;
    relay_end_cb *cb;
    void *arg;
    relay_tap_cb *tap; /* NULL: nobody looks */
    void *tap_arg;
};

static void poll_cb(uv_poll_t *poll, int status, int events);

static void arm(struct relay *r)
{
    int events = r->hung_up ? 0 : UV_PRIORITIZED;

    if (!r->readable && !r->read_end)
        events |= UV_READABLE;
    if (r->blocked)
        events |= UV_WRITABLE;
    if (events == r->armed || r->broken)
        return;
    r->armed = events;
    if (events)
        uv_poll_start(&r->poll, events, poll_cb);
    else
        uv_poll_stop(&r->poll);
}

/* Makes sure that these events are on; more than these may be. */
static void need(struct relay *r, int events)
{
    if ((r->armed & events) != events)
        arm(r);
}

/* The socket's peer reset it (or worse). What it sent before is still to be
 * had; without a chance to send that, the stream is reset at once. */
static void socket_broke(struct relay *r)
{
    bool again = r->readable;

    r->broken = true;
    r->armed = 0;
    if (r->read_end || again) {
        tunnel_stream_reset(r->stream, -ECONNRESET);
        return;
    }
    r->readable = true;
    tunnel_stream_resume(r->stream);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct relay *r = poll->data;

    if (status < 0) {
        socket_broke(r);
        return;
    }
    if (events & UV_PRIORITIZED && !(events & (UV_READABLE | UV_WRITABLE)))
        r->hung_up = true;
    if (events & UV_READABLE && !r->readable && !r->read_end) {
        r->readable = true;
        events &= ~UV_READABLE;
        tunnel_stream_resume(r->stream);
    }
    if (events & UV_WRITABLE && r->blocked) {
        r->blocked = false;
        events &= ~UV_WRITABLE;
        tunnel_stream_drain(r->stream);
    }
    if (r->stream && (events || r->hung_up))
        arm(r);
}

/* ---- the stream's callbacks ------------------------------------------- */

static void opened_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct relay *r = arg;
    ssize_t n;

    if (!r->readable)
        return -EAGAIN;
    do
        n = recv(r->fd, data, len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        r->bytes_out += (uint64_t)n;
        if (r->tap)
            r->tap(r->tap_arg, data, (size_t)n);
        if ((size_t)n < len && !r->broken) {
            r->readable = false; /* most likely nothing more is there */
            need(r, UV_READABLE);
        }
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        r->readable = false;
        need(r, UV_READABLE);
        return -EAGAIN;
    }
    r->read_end = true;
    r->readable = false;
    if (n == 0 && !r->broken) {
        if (r->tap)
            r->tap(r->tap_arg, NULL, 0);
        return 0;
    }
    return -ECONNRESET;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct relay *r = arg;
    ssize_t n;

    do
        n = send(r->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        n = 0;
    if (n < 0)
        return -ECONNRESET;
    r->bytes_in += (uint64_t)n;
    if ((size_t)n < len) {
        r->blocked = true;
        need(r, UV_WRITABLE);
    }
    return n;
}

static void eof_cb(void *arg)
{
    struct relay *r = arg;

    shutdown(r->fd, SHUT_WR);
}

static void poll_closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

static void closed_cb(void *arg, int status)
{
    struct relay *r = arg;

    r->stream = NULL;
    uv_close((uv_handle_t *)&r->poll, poll_closed_cb);
    if (status != 0)
        socket_abort(r->fd);
    else
        close(r->fd);
    r->fd = -1;
    if (r->cb)
        r->cb(r->arg, r->bytes_in, r->bytes_out);
}

static const struct tunnel_stream_ops relay_ops = {opened_cb, pull_cb, push_cb,
                                                   eof_cb, closed_cb};

/* ---- life -------------------------------------------------------------- */

static void set_options(int fd)
{
    static const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

struct relay *relay_create(uv_loop_t *loop, int fd, struct tunnel_stream *s,
                           relay_end_cb *cb, void *arg)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r || uv_poll_init(loop, &r->poll, fd) != 0) {
        free(r);
        socket_abort(fd);
        tunnel_stream_set_user(s, NULL, NULL);
        tunnel_stream_reset(s, -ENOMEM);
        return NULL;
    }
    r->poll.data = r;
    r->stream = s;
    r->fd = fd;
    r->cb = cb;
    r->arg = arg;
    set_options(fd);
    tunnel_stream_set_user(s, &relay_ops, r);
    arm(r);
    tstream_make_ready(s); /* for what came before */
    return r;
}

void relay_set_tap(struct relay *r, relay_tap_cb *cb, void *arg)
{
    r->tap = cb;
    r->tap_arg = arg;
}

void relay_abort(struct relay *r)
{
    if (r->stream)
        tunnel_stream_reset(r->stream, -ECONNRESET);
}
