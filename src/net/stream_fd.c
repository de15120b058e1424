/*
 * stream_fd.c - the layer at the bottom: a socket
 *
 * `wanted` is what the user asked for, `armed` what epoll was told. armed is
 * always a superset: an event that is not wanted any more is taken out only
 * when it fires. uv_poll_start() costs two epoll_ctl() calls, and users switch
 * events off and on again within one turn of the loop all the time.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream.h"
#include "net/stream_internal.h"

#define KEEPALIVE_IDLE_S  60
#define KEEPALIVE_INTVL_S 20
#define KEEPALIVE_COUNT   3

struct stream_fd {
    struct stream base;
    uv_poll_t poll;
    int fd;
    unsigned wanted;
    unsigned armed;
    bool closing;
};

static void poll_cb(uv_poll_t *poll, int status, int events);

static void fd_arm(struct stream_fd *f)
{
    int events = (f->wanted & STREAM_READABLE ? UV_READABLE : 0) |
                 (f->wanted & STREAM_WRITABLE ? UV_WRITABLE : 0);

    f->armed = f->wanted;
    if (events)
        uv_poll_start(&f->poll, events, poll_cb);
    else
        uv_poll_stop(&f->poll);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct stream_fd *f = poll->data;
    unsigned fired = (events & UV_READABLE ? STREAM_READABLE : 0) |
                     (events & UV_WRITABLE ? STREAM_WRITABLE : 0);

    if (status < 0) {
        /* The socket has an error: libuv has stopped the handle. read() and
         * write() will say which one. */
        fired = STREAM_READABLE | STREAM_WRITABLE;
        f->armed = 0;
    }
    if (fired & f->armed & ~f->wanted)
        fd_arm(f);
    stream_emit(&f->base, fired & f->wanted);
    if (!f->closing && f->wanted & ~f->armed)
        fd_arm(f);
}

static ssize_t fd_read(struct stream *s, void *data, size_t len)
{
    const struct stream_fd *f = (const struct stream_fd *)s;
    ssize_t n;

    do
        n = recv(f->fd, data, len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t fd_write(struct stream *s, const void *data, size_t len)
{
    const struct stream_fd *f = (const struct stream_fd *)s;
    ssize_t n;

    do
        n = send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int fd_shutdown(struct stream *s)
{
    const struct stream_fd *f = (const struct stream_fd *)s;

    return shutdown(f->fd, SHUT_WR) < 0 ? -errno : 0;
}

static void fd_want(struct stream *s, unsigned events)
{
    struct stream_fd *f = (struct stream_fd *)s;

    f->wanted = events;
    if (events & ~f->armed)
        fd_arm(f);
}

static void closed_cb(uv_handle_t *handle)
{
    struct stream_fd *f = handle->data;

    stream_finish_close(&f->base);
}

static void fd_close(struct stream *s)
{
    struct stream_fd *f = (struct stream_fd *)s;

    f->closing = true;
    f->wanted = 0;
    uv_close((uv_handle_t *)&f->poll, closed_cb);
    close(f->fd);
    f->fd = -1;
}

static int fd_fd(const struct stream *s)
{
    return ((const struct stream_fd *)s)->fd;
}

static const struct stream_ops fd_ops = {
    .read = fd_read,
    .write = fd_write,
    .shutdown = fd_shutdown,
    .want = fd_want,
    .close = fd_close,
    .fd = fd_fd,
};

/* Fails, and may, on sockets that are not TCP. */
static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTVL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name,
                         &options[i].value, sizeof(options[i].value));
}

struct stream *stream_create_fd(uv_loop_t *loop, int fd)
{
    struct stream_fd *f = calloc(1, sizeof(*f));

    if (!f || uv_poll_init(loop, &f->poll, fd) < 0) {
        free(f);
        close(fd);
        return NULL;
    }
    stream_init(&f->base, &fd_ops, loop);
    f->poll.data = f;
    f->fd = fd;
    set_tcp_options(fd);
    return &f->base;
}
