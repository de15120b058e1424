#include "daemon/udp_local.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH    64
#define DATAGRAM 65536

struct udp_local {
    uv_poll_t poll; /* first: freed as it */
    int fd;
    udp_local_cb *cb;
    void *arg;
    uint8_t data[DATAGRAM];
};

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct udp_local *l = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < BATCH && l->fd >= 0; i++) {
        ssize_t n = recv(l->fd, l->data, sizeof(l->data), MSG_DONTWAIT);

        if (n < 0)
            return; /* a refusal is met by the next one that is sent */
        l->cb(l->arg, l->data, (size_t)n);
    }
}

static int open_socket(const struct shortcut *way)
{
    int fd = socket(way->addr.sa.sa_family,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fd;
    if ((way->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &way->mark,
                                 sizeof(way->mark)) < 0) ||
        connect(fd, &way->addr.sa, sockaddr_len(&way->addr)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct udp_local *udp_local_open(uv_loop_t *loop, const struct shortcut *way,
                                 udp_local_cb *cb, void *arg)
{
    struct udp_local *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->fd = open_socket(way);
    if (l->fd < 0 || uv_poll_init(loop, &l->poll, l->fd) < 0) {
        if (l->fd >= 0)
            close(l->fd);
        free(l);
        return NULL;
    }
    l->cb = cb;
    l->arg = arg;
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, poll_cb);
    return l;
}

/* On loopback the ICMP error is there when send() returns; elsewhere the next
 * datagram meets it. */
static bool is_refused(const struct udp_local *l)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
           error == ECONNREFUSED;
}

int udp_local_send(struct udp_local *l, const void *data, size_t len)
{
    ssize_t n = send(l->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if ((n < 0 && errno == ECONNREFUSED) || is_refused(l))
        return -ECONNREFUSED;
    return 0;
}

static void closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

void udp_local_close(struct udp_local *l)
{
    if (!l)
        return;
    uv_close((uv_handle_t *)&l->poll, closed_cb);
    close(l->fd);
    l->fd = -1;
}
