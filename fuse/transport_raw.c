#include "fuse/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int raw_open(struct transport *t, struct tp_error *err)
{
    struct pollfd p = {.fd = t->fd, .events = POLLOUT};
    int failure = 0;
    socklen_t len = sizeof(failure);

    if (poll(&p, 1, 0) == 0)
        return -EAGAIN;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 && failure)
        return tp_error_errno(err, -failure, "connect");
    return 0;
}

static ssize_t raw_read(struct transport *t, void *buf, size_t len)
{
    ssize_t n = read(t->fd, buf, len);

    return n < 0 ? -errno : n;
}

static ssize_t raw_write(struct transport *t, const struct iovec *iov, int n)
{
    ssize_t done = writev(t->fd, iov, n);

    return done < 0 ? -errno : done;
}

static int raw_flush(struct transport *t)
{
    (void)t;
    return 0;
}

static short raw_events(struct transport *t, bool wants_write)
{
    (void)t;
    return (short)(POLLIN | (wants_write ? POLLOUT : 0));
}

static void raw_destroy(struct transport *t)
{
    close(t->fd);
    free(t);
}

static const struct transport_ops raw_ops = {
    .open = raw_open,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .events = raw_events,
    .destroy = raw_destroy,
};

struct transport *transport_create_raw(int fd)
{
    struct transport *t = calloc(1, sizeof(*t));

    if (!t) {
        close(fd);
        return NULL;
    }
    t->ops = &raw_ops;
    t->fd = fd;
    return t;
}
