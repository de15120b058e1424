/* route_watch.c - the kernel's word that routes have changed */
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "daemon/route_list.h"

struct route_watch {
    struct mnl_socket *nl;
    uv_poll_t poll;
    uv_timer_t timer;
    void (*changed_cb)(void *arg);
    void *arg;
    unsigned handles;
};

static void on_timer(uv_timer_t *timer)
{
    struct route_watch *w = timer->data;

    w->changed_cb(w->arg);
}

/* What it says does not matter: all routes are read anew. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct route_watch *w = poll->data;
    char buf[8192];

    (void)status;
    (void)events;
    while (recv(mnl_socket_get_fd(w->nl), buf, sizeof(buf), MSG_DONTWAIT) > 0)
        ;
    if (!uv_is_active((uv_handle_t *)&w->timer))
        uv_timer_start(&w->timer, on_timer, ROUTE_WATCH_MS, 0);
}

static int open_socket(struct route_watch *w)
{
    w->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!w->nl)
        return -1;
    if (mnl_socket_bind(w->nl, RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
                        MNL_SOCKET_AUTOPID) == 0)
        return 0;
    mnl_socket_close(w->nl);
    return -1;
}

struct route_watch *route_watch_create(uv_loop_t *loop,
                                       void (*changed_cb)(void *arg), void *arg)
{
    struct route_watch *w = calloc(1, sizeof(*w));

    if (!w || open_socket(w) < 0) {
        free(w);
        return NULL;
    }
    if (uv_poll_init(loop, &w->poll, mnl_socket_get_fd(w->nl)) < 0) {
        mnl_socket_close(w->nl);
        free(w);
        return NULL;
    }
    uv_timer_init(loop, &w->timer);
    w->poll.data = w->timer.data = w;
    w->handles = 2;
    w->changed_cb = changed_cb;
    w->arg = arg;
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    return w;
}

static void on_closed(uv_handle_t *handle)
{
    struct route_watch *w = handle->data;

    if (--w->handles > 0)
        return;
    mnl_socket_close(w->nl);
    free(w);
}

void route_watch_destroy(struct route_watch *w)
{
    if (!w)
        return;
    uv_close((uv_handle_t *)&w->poll, on_closed);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}
