#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* Connections taken in one turn of the loop. */
#define ACCEPT_BATCH 32

struct listener {
    uv_poll_t poll;
    listener_cb *cb;
    void *arg;
    int fd;
    int reserve; /* given up for a moment when there is no other descriptor */
    bool closing;
};

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: takes one connection off the queue and drops it. Returns
 * false if even that is impossible. */
static bool drop_one(struct listener *l)
{
    int fd;

    if (l->reserve >= 0)
        close(l->reserve);
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        log_warn("connection dropped: no file descriptor left");
    }
    l->reserve = open_reserve();
    return fd >= 0;
}

/* Errors of the connection that was about to be accepted, accept(2). */
static bool is_transient(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO ||
           error == ENETDOWN || error == ENETUNREACH || error == EHOSTUNREACH ||
           error == EHOSTDOWN || error == ENOPROTOOPT || error == EOPNOTSUPP ||
           error == ENONET || error == EPERM;
}

/* Returns false when there is nothing more to accept. */
static bool accept_one(struct listener *l)
{
    union sockaddr_any peer;
    socklen_t len = sizeof(peer);
    int fd;

    memset(&peer, 0, sizeof(peer));
    fd = accept4(l->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->cb(l->arg, fd, &peer);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE)
        return drop_one(l);
    return is_transient(errno);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)events;
    if (status < 0) { /* stopped by libuv on a socket error; go on */
        uv_poll_start(poll, UV_READABLE, poll_cb);
        return;
    }
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (!accept_one(l) || l->closing)
            return;
    }
}

/* Returns the socket, or a negative errno. */
static int open_socket(const union sockaddr_any *addr, int backlog)
{
    int one = 1, zero = 0, error;
    int fd = socket(addr->sa.sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (addr->sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, &addr->sa, sockaddr_len(addr)) == 0 &&
        listen(fd, backlog) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

struct listener *listener_create(uv_loop_t *loop,
                                 const union sockaddr_any *addr, int backlog,
                                 listener_cb *cb, void *arg,
                                 struct tp_error *err)
{
    char text[SOCKADDR_TEXT];
    int fd = open_socket(addr, backlog);

    if (fd < 0) {
        tp_error_errno(err, fd, "listen on %s", sockaddr_format(addr, text));
        return NULL;
    }
    return listener_create_fd(loop, fd, cb, arg, err);
}

struct listener *listener_create_fd(uv_loop_t *loop, int fd, listener_cb *cb,
                                    void *arg, struct tp_error *err)
{
    struct listener *l = calloc(1, sizeof(*l));
    int rc = l ? uv_poll_init(loop, &l->poll, fd) : -ENOMEM;

    if (rc < 0) {
        close(fd);
        free(l);
        tp_error_errno(err, rc, "listener");
        return NULL;
    }
    l->cb = cb;
    l->arg = arg;
    l->fd = fd;
    l->reserve = open_reserve();
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, poll_cb);
    return l;
}

/* umask() is the process's, so chmod() comes before listen(). */
int listener_bind_unix(const char *path, int backlog, struct tp_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(addr.sun_path))
        return tp_error_errno(err, -ENAMETOOLONG, "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return tp_error_errno(err, -errno, "%s", path);
    strcpy(addr.sun_path, path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
        chmod(path, 0600) == 0 && listen(fd, backlog) == 0)
        return fd;
    rc = tp_error_errno(err, -errno, "%s", path);
    close(fd);
    return rc;
}

void listener_get_addr(const struct listener *l, union sockaddr_any *addr)
{
    socklen_t len = sizeof(*addr);

    memset(addr, 0, sizeof(*addr));
    (void)getsockname(l->fd, &addr->sa, &len);
}

static void closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_close(struct listener *l)
{
    if (!l)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->poll, closed_cb);
    close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
}
