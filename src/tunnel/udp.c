/*
 * udp.c - a UDP flow in a tunnel stream
 *
 * Both ends share the queue of datagrams that wait for the link and the
 * capsule reader; the far end has a connected socket in addition, whose ICMP
 * errors come back as errors of recv() and send().
 *
 * Ending in order: `ending` lets the queue run empty, then END_STREAM goes out;
 * the other side does the same when it sees it. A side that does not is reset
 * by the timer.
 */
#include "tunnel/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/capsule.h"
#include "tunnel/tunnel_internal.h"

#define QUEUE_MAX  (256 * 1024)    /* bytes that wait for the link */
#define QUEUE_STOP (QUEUE_MAX / 2) /* the socket is not read above this */
#define RECV_TURN  64
#define IDLE_MS    60000

struct tunnel_udp {
    struct tunnel_stream *stream;     /* NULL after closed_cb */
    const struct tunnel_udp_ops *ops; /* NULL: nobody wants to know */
    void *arg;
    struct chunkq out;
    struct capsule_reader reader;
    uv_timer_t timer;
    uv_poll_t poll; /* far end */
    uint64_t last_ms;
    unsigned idle_ms;
    int fd; /* far end; else -1 */
    int handles;
    bool polling;
    bool ending;
    bool refused; /* the socket said ECONNREFUSED */
};

static void release_cb(uv_handle_t *handle)
{
    struct tunnel_udp *u = handle->data;

    if (--u->handles > 0)
        return;
    chunkq_release(&u->out);
    capsule_reader_release(&u->reader);
    free(u);
}

static void release(struct tunnel_udp *u)
{
    if (u->fd >= 0) {
        u->handles++;
        uv_close((uv_handle_t *)&u->poll, release_cb);
        close(u->fd);
        u->fd = -1;
    }
    u->handles++;
    uv_close((uv_handle_t *)&u->timer, release_cb);
}

static void end_in_order(struct tunnel_udp *u)
{
    if (!u->stream)
        return;
    u->ending = true;
    tunnel_stream_resume(u->stream);
}

static void timer_cb(uv_timer_t *timer)
{
    struct tunnel_udp *u = timer->data;
    uint64_t idle = uv_now(timer->loop) - u->last_ms;

    if (u->ending) {
        tunnel_stream_reset(u->stream, -ETIMEDOUT);
        return;
    }
    if (idle >= u->idle_ms) {
        end_in_order(u);
        idle = 0;
    }
    uv_timer_start(timer, timer_cb, u->idle_ms - idle, 0);
}

static void touch(struct tunnel_udp *u)
{
    u->last_ms = uv_now(u->timer.loop);
}

static int enqueue(struct tunnel_udp *u, const void *data, size_t len)
{
    uint8_t head[CAPSULE_HEAD_MAX];
    size_t n = capsule_head(head, len);

    if (u->out.used + n + len > QUEUE_MAX)
        return -ENOBUFS;
    if (chunkq_append(&u->out, head, n) != 0)
        return -ENOBUFS;
    if (chunkq_append(&u->out, data, len) != 0) {
        tunnel_stream_reset(u->stream, -ENOMEM); /* half a capsule */
        return -ENOBUFS;
    }
    touch(u);
    return 0;
}

/* ---- the far end's socket ---------------------------------------------- */

static void poll_cb(uv_poll_t *poll, int status, int events);

static void poll_socket(struct tunnel_udp *u)
{
    bool want = u->fd >= 0 && u->out.used < QUEUE_STOP && !u->ending;

    if (want == u->polling)
        return;
    u->polling = want;
    if (want)
        uv_poll_start(&u->poll, UV_READABLE, poll_cb);
    else
        uv_poll_stop(&u->poll);
}

static void socket_refused(struct tunnel_udp *u)
{
    u->refused = true;
    tunnel_stream_reset(u->stream, -ECONNREFUSED);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct tunnel_udp *u = poll->data;
    uint8_t data[TUNNEL_UDP_MAX];

    (void)events;
    if (status < 0)
        u->polling = false; /* an ICMP error waits; libuv has stopped */
    for (int i = 0; i < RECV_TURN && u->out.used < QUEUE_STOP; i++) {
        ssize_t n = recv(u->fd, data, sizeof(data), MSG_DONTWAIT);

        if (n < 0 && errno == ECONNREFUSED) {
            socket_refused(u);
            return;
        }
        if (n < 0 && errno != EINTR)
            break;
        if (n >= 0)
            enqueue(u, data, (size_t)n);
        if (!u->stream)
            return;
    }
    tunnel_stream_resume(u->stream);
    poll_socket(u);
}

static int to_socket(struct tunnel_udp *u, const void *data, size_t len)
{
    ssize_t n = send(u->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ECONNREFUSED) {
        socket_refused(u);
        return -1;
    }
    return 0; /* a datagram that does not fit is lost, as datagrams are */
}

/* ---- the stream's callbacks -------------------------------------------- */

static void opened_cb(void *arg, int status)
{
    struct tunnel_udp *u = arg;

    if (u->ops && u->ops->opened_cb)
        u->ops->opened_cb(u->arg, status);
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct tunnel_udp *u = arg;
    uint8_t *out = data;
    size_t done = 0;

    while (done < len && u->out.used > 0) {
        size_t n;
        const uint8_t *piece = chunkq_peek(&u->out, &n);

        if (n > len - done)
            n = len - done;
        memcpy(out + done, piece, n);
        chunkq_consume(&u->out, n);
        done += n;
    }
    poll_socket(u);
    if (done > 0)
        return (ssize_t)done;
    return u->ending ? 0 : -EAGAIN;
}

static int datagram_cb(void *arg, const void *data, size_t len)
{
    struct tunnel_udp *u = arg;

    touch(u);
    if (u->fd >= 0)
        return to_socket(u, data, len);
    if (u->ops && u->ops->datagram_cb)
        u->ops->datagram_cb(u->arg, data, len);
    return u->stream ? 0 : -1;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct tunnel_udp *u = arg;
    int rc = capsule_read(&u->reader, data, len, datagram_cb, u);

    if (rc < 0 && u->stream)
        return rc;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    end_in_order(arg);
}

static void closed_cb(void *arg, int status)
{
    struct tunnel_udp *u = arg;

    u->stream = NULL;
    release(u);
    if (u->refused)
        status = -ECONNREFUSED;
    if (u->ops && u->ops->closed_cb)
        u->ops->closed_cb(u->arg, status);
}

static const struct tunnel_stream_ops udp_ops = {opened_cb, pull_cb, push_cb,
                                                 eof_cb, closed_cb};

/* ---- life --------------------------------------------------------------- */

static struct tunnel_udp *new_udp(uv_loop_t *loop, unsigned idle_ms,
                                  const struct tunnel_udp_ops *ops, void *arg)
{
    struct tunnel_udp *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->fd = -1;
    u->ops = ops;
    u->arg = arg;
    u->idle_ms = idle_ms ? idle_ms : IDLE_MS;
    u->last_ms = uv_now(loop);
    capsule_reader_init(&u->reader);
    uv_timer_init(loop, &u->timer);
    u->timer.data = u;
    uv_timer_start(&u->timer, timer_cb, u->idle_ms, 0);
    return u;
}

/* What an opener gives back: u if it has its stream, else NULL with errno. */
static struct tunnel_udp *opened(struct tunnel_udp *u)
{
    int error = errno;

    if (u->stream)
        return u;
    release(u);
    errno = error;
    return NULL;
}

struct tunnel_udp *tunnel_udp_open(struct tunnel *t,
                                   const union sockaddr_any *addr,
                                   unsigned idle_ms,
                                   const struct tunnel_udp_ops *ops, void *arg)
{
    struct tunnel_udp *u = new_udp(t->loop, idle_ms, ops, arg);

    if (!u)
        return NULL;
    u->stream = open_udp(t, addr, &udp_ops, u);
    return opened(u);
}

struct tunnel_udp *tunnel_udp_open_name(struct tunnel *t, const char *name,
                                        uint16_t port, unsigned idle_ms,
                                        const struct tunnel_udp_ops *ops,
                                        void *arg)
{
    struct tunnel_udp *u = new_udp(t->loop, idle_ms, ops, arg);

    if (!u)
        return NULL;
    u->stream = tunnel_open_udp_name(t, name, port, &udp_ops, u);
    return opened(u);
}

int tunnel_udp_send(struct tunnel_udp *u, const void *data, size_t len)
{
    int rc;

    if (len > TUNNEL_UDP_MAX)
        return -EMSGSIZE;
    if (!u->stream || u->ending)
        return -ENOBUFS;
    rc = enqueue(u, data, len);
    if (rc == 0)
        tunnel_stream_resume(u->stream);
    return rc;
}

void tunnel_udp_close(struct tunnel_udp *u)
{
    if (!u)
        return;
    u->ops = NULL;
    end_in_order(u);
}

/* Takes the socket. 0 or a negative errno; the socket is closed then. */
static int take_socket(struct tunnel_udp *u, uv_loop_t *loop, int fd)
{
    int rc = uv_poll_init(loop, &u->poll, fd);

    if (rc != 0) {
        close(fd);
        return rc;
    }
    u->fd = fd;
    u->poll.data = u;
    return 0;
}

struct tunnel_udp *tunnel_udp_serve(uv_loop_t *loop, struct tunnel_stream *s,
                                    int fd, unsigned idle_ms,
                                    const struct tunnel_udp_ops *ops, void *arg)
{
    struct tunnel_udp *u = new_udp(loop, idle_ms, ops, arg);

    if (!u) {
        close(fd);
        tunnel_stream_answer(s, -ENOMEM);
        return NULL;
    }
    if (take_socket(u, loop, fd) != 0 || tunnel_stream_answer(s, 0) != 0) {
        release(u);
        tunnel_stream_answer(s, -ENOMEM);
        return NULL;
    }
    u->stream = s;
    tunnel_stream_set_user(s, &udp_ops, u);
    poll_socket(u);
    return u;
}
