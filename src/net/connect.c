/*
 * connect.c - one non-blocking TCP connect with a time-out
 *
 * The callback always comes from the loop, also when connect() is done or fails
 * at once: the timer then fires immediately.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/sockaddr.h"
#include "net/dial.h"
#include "net/socket.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

struct connect_op {
    uv_poll_t poll;
    uv_timer_t timer;
    connect_cb *cb;
    void *arg;
    int fd;
    int status;       /* what the timer reports */
    unsigned handles; /* that are not closed yet */
};

static void closed_cb(uv_handle_t *handle)
{
    struct connect_op *op = handle->data;

    if (--op->handles == 0)
        free(op);
}

/* Frees the operation; returns the socket, which is the caller's now. */
static int op_end(struct connect_op *op)
{
    int fd = op->fd;

    op->fd = -1;
    op->handles = 1;
    if (op->poll.data) {
        op->handles = 2;
        uv_close((uv_handle_t *)&op->poll, closed_cb);
    }
    uv_close((uv_handle_t *)&op->timer, closed_cb);
    return fd;
}

static void op_report(struct connect_op *op, int status)
{
    int fd = op_end(op);

    if (status < 0 && fd >= 0) {
        socket_abort(fd);
        fd = -1;
    }
    op->cb(op->arg, status, fd);
}

static void timer_cb(uv_timer_t *timer)
{
    struct connect_op *op = timer->data;

    op_report(op, op->status);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct connect_op *op = poll->data;
    int error = 0;
    socklen_t len = sizeof(error);

    (void)events;
    if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0 && status < 0)
        error = -status;
    op_report(op, -error);
}

/* connect() takes a local port of every second number first. Once those are all
 * in TIME_WAIT towards one address, after 14 000 connections in a minute that
 * the near side closed first, it looks at each of them again, 2.5 ms a
 * connect() (doc/decisions.md). A socket with a range of its own takes any, the
 * next one at once (Linux 6.8; without effect before). Numbers outside of the
 * system's range stand for its ends. */
static void use_all_ports(int fd)
{
    static const uint32_t range = 1 | UINT32_C(65535) << 16;

    (void)setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range,
                     sizeof(range));
}

/* A socket, or a negative errno. */
static int open_socket(int family, uint32_t mark)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    use_all_ports(fd);
    if (mark == 0 ||
        setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

/* Returns 0 if connected, -EINPROGRESS with the connect under way, or another
 * negative errno. */
static int op_connect(struct connect_op *op, const union sockaddr_any *addr)
{
    int rc;

    if (op->fd < 0)
        return op->fd;
    if (connect(op->fd, &addr->sa, sockaddr_len(addr)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    rc = uv_poll_init(op->timer.loop, &op->poll, op->fd);
    if (rc < 0)
        return rc;
    op->poll.data = op;
    rc = uv_poll_start(&op->poll, UV_WRITABLE, poll_cb);
    return rc < 0 ? rc : -EINPROGRESS;
}

struct connect_op *connect_start(uv_loop_t *loop,
                                 const union sockaddr_any *addr, uint32_t mark,
                                 unsigned timeout_ms, connect_cb *cb, void *arg)
{
    return connect_start_fd(loop, open_socket(addr->sa.sa_family, mark), addr,
                            timeout_ms, cb, arg);
}

struct connect_op *connect_start_fd(uv_loop_t *loop, int fd,
                                    const union sockaddr_any *addr,
                                    unsigned timeout_ms, connect_cb *cb,
                                    void *arg)
{
    struct connect_op *op = calloc(1, sizeof(*op));

    if (!op) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    op->cb = cb;
    op->arg = arg;
    op->fd = fd;
    uv_timer_init(loop, &op->timer);
    op->timer.data = op;
    op->status = op_connect(op, addr);
    if (op->status == -EINPROGRESS)
        op->status = -ETIMEDOUT;
    else
        timeout_ms = 0;
    uv_timer_start(&op->timer, timer_cb, timeout_ms, 0);
    return op;
}

/* The connection may be there already, unseen. An orderly close would keep its
 * port for a minute (TIME_WAIT): a peer that opens and resets thousands of
 * streams would use them all up, and each connect() would search for
 * milliseconds. */
void connect_cancel(struct connect_op *op)
{
    int fd = op_end(op);

    if (fd >= 0)
        socket_abort(fd);
}
