/* exec_join.c - the standard streams of a program in a container, joined to a
 * socket here. Either side may stop reading for a while; the other direction
 * goes on meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/conn_internal.h"
#include "engine/exec_internal.h"

#define CHUNK    65536
#define OUT_HIGH (4 * CHUNK) /* then the program's output waits */

struct join {
    struct engine_exec *x;
    int fd;
    short conn_wants, fd_wants;
    bool moved;
    bool fd_ended; /* nothing more comes from fd */
    bool told;     /* and the program has been told */
    size_t at, len;
    uint8_t up[CHUNK]; /* from fd to the program */
};

static bool is_later(ssize_t n)
{
    return n == -EAGAIN || n == -EINTR;
}

/* fd -> up */
static int read_fd(struct join *j)
{
    ssize_t n;

    if (j->fd_ended || j->len > 0)
        return 0;
    n = recv(j->fd, j->up, sizeof(j->up), 0);
    n = n < 0 ? -errno : n;
    if (is_later(n)) {
        j->fd_wants |= POLLIN;
        return 0;
    }
    if (n < 0)
        return (int)n;
    j->moved = true;
    j->at = 0;
    j->len = (size_t)n;
    j->fd_ended = n == 0;
    return 0;
}

/* up -> the program */
static int write_program(struct join *j)
{
    short events;
    ssize_t n;

    if (j->fd_ended && j->len == 0 && !j->told) {
        j->told = true;
        return engine_conn_shutdown(j->x->conn);
    }
    if (j->len == 0)
        return 0;
    n = engine_conn_try_write(j->x->conn, j->up + j->at, j->len, &events);
    if (is_later(n)) {
        j->conn_wants |= events;
        return 0;
    }
    if (n < 0)
        return (int)n;
    j->moved = true;
    j->at += (size_t)n;
    j->len -= (size_t)n;
    return 0;
}

/* the program -> x->out */
static int read_program(struct join *j)
{
    struct engine_exec *x = j->x;
    uint8_t data[CHUNK];
    short events;
    ssize_t n;

    if (x->ended || buf_used(&x->out) >= OUT_HIGH)
        return 0;
    n = engine_conn_try_read(x->conn, data, sizeof(data), &events);
    if (is_later(n)) {
        j->conn_wants |= events;
        return 0;
    }
    if (n < 0)
        return (int)n;
    j->moved = true;
    x->ended = n == 0;
    return engine_frames_feed(&x->frames, data, (size_t)n, engine_exec_frame,
                              x);
}

/* x->out -> fd */
static int write_fd(struct join *j)
{
    struct buf *out = &j->x->out;
    ssize_t n;

    if (buf_used(out) == 0)
        return 0;
    n = send(j->fd, buf_head(out), buf_used(out), MSG_NOSIGNAL);
    n = n < 0 ? -errno : n;
    if (is_later(n)) {
        j->fd_wants |= POLLOUT;
        return 0;
    }
    if (n < 0)
        return (int)n;
    j->moved = true;
    buf_consume(out, (size_t)n);
    return 0;
}

static int wait(struct join *j)
{
    struct pollfd p[2] = {
        {.fd = j->x->conn->fd, .events = j->conn_wants},
        {.fd = j->fd, .events = j->fd_wants},
    };

    /* One that is only waited for by its hang-up would be seen again and
     * again. */
    if (!j->conn_wants)
        p[0].fd = -1;
    if (!j->fd_wants)
        p[1].fd = -1;
    return poll(p, 2, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int step(struct join *j)
{
    int (*const parts[])(struct join *) = {read_fd, write_program, read_program,
                                           write_fd};
    int rc = 0;

    j->conn_wants = j->fd_wants = 0;
    j->moved = false;
    for (size_t i = 0; rc == 0 && i < sizeof(parts) / sizeof(*parts); i++)
        rc = parts[i](j);
    return rc;
}

int engine_exec_join(struct engine_exec *x, int fd, struct tp_error *err)
{
    struct join j = {.x = x, .fd = fd};
    int rc = 0;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (rc == 0 && !(x->ended && buf_used(&x->out) == 0)) {
        rc = step(&j);
        if (rc == 0 && !j.moved)
            rc = wait(&j);
    }
    return rc < 0 ? engine_broken(x->engine, rc, err) : 0;
}
