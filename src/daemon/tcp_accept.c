#include "daemon/tcp_accept.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/transparent.h"

#define ACCEPT_BATCH    64
#define ACCEPT_PAUSE_MS 100 /* when descriptors run out */

struct listener {
    struct tcp_accept *owner;
    uv_poll_t poll;
    int fd; /* -1: this family is not there */
    uint16_t port;
};

struct tcp_accept {
    uv_loop_t *loop;
    struct listener v4, v6;
    uv_timer_t pause;
    tcp_accept_cb *cb;
    void *arg;
    unsigned handles; /* to be closed */
};

static void on_resume(uv_timer_t *timer);

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        union sockaddr_any src, dst;
        socklen_t len = sizeof(src), dst_len = sizeof(dst);
        int fd = accept4(l->fd, &src.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            log_warn("no descriptor for a connection; raise `ulimit -n`");
            uv_poll_stop(poll);
            uv_timer_start(&l->owner->pause, on_resume, ACCEPT_PAUSE_MS, 0);
            return;
        }
        if (fd < 0)
            return;
        if (getsockname(fd, &dst.sa, &dst_len) < 0)
            close(fd);
        else
            l->owner->cb(l->owner->arg, fd, &src, &dst);
    }
}

static void listener_start(struct listener *l)
{
    if (l->fd >= 0)
        uv_poll_start(&l->poll, UV_READABLE, on_listener);
}

static void on_resume(uv_timer_t *timer)
{
    struct tcp_accept *a = timer->data;

    listener_start(&a->v4);
    listener_start(&a->v6);
}

static int listener_open(struct listener *l, int family)
{
    int rc;

    l->fd = transparent_listen(family, SOCK_STREAM, &l->port);
    if (l->fd < 0) {
        rc = l->fd;
        l->fd = -1;
        return rc;
    }
    rc = uv_poll_init(l->owner->loop, &l->poll, l->fd);
    if (rc) {
        close(l->fd);
        l->fd = -1;
        return rc;
    }
    l->owner->handles++;
    l->poll.data = l;
    return 0;
}

static int open_listeners(struct tcp_accept *a, struct tp_error *err)
{
    int rc = listener_open(&a->v4, AF_INET);

    if (rc == -EPERM)
        return tp_error_set(err, rc,
                            "no right to listen transparently: the container "
                            "needs the capability NET_ADMIN");
    if (rc)
        return tp_error_errno(err, rc, "transparent listener");
    rc = listener_open(&a->v6, AF_INET6);
    if (rc)
        log_debug("no IPv6 in this namespace: errno %d", -rc);
    return 0;
}

static void handle_closed(struct tcp_accept *a)
{
    if (--a->handles == 0)
        free(a);
}

static void on_pause_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    close(l->fd);
    handle_closed(l->owner);
}

struct tcp_accept *tcp_accept_create(uv_loop_t *loop, tcp_accept_cb *cb,
                                     void *arg, struct tp_error *err)
{
    struct tcp_accept *a = calloc(1, sizeof(*a));

    if (!a) {
        tp_error_errno(err, -ENOMEM, "transparent listener");
        return NULL;
    }
    a->loop = loop;
    a->cb = cb;
    a->arg = arg;
    a->v4.owner = a->v6.owner = a;
    a->v4.fd = a->v6.fd = -1;
    uv_timer_init(loop, &a->pause);
    a->pause.data = a;
    a->handles = 1;
    if (open_listeners(a, err) < 0) {
        tcp_accept_close(a);
        return NULL;
    }
    listener_start(&a->v4);
    listener_start(&a->v6);
    return a;
}

void tcp_accept_close(struct tcp_accept *a)
{
    if (!a)
        return;
    if (a->v4.fd >= 0)
        uv_close((uv_handle_t *)&a->v4.poll, on_listener_closed);
    if (a->v6.fd >= 0)
        uv_close((uv_handle_t *)&a->v6.poll, on_listener_closed);
    uv_close((uv_handle_t *)&a->pause, on_pause_closed);
}

uint16_t tcp_accept_port(const struct tcp_accept *a, int family)
{
    const struct listener *l = family == AF_INET6 ? &a->v6 : &a->v4;

    return l->fd >= 0 ? l->port : 0;
}
