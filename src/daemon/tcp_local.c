/* tcp_local.c - captured connections that go to a local program (shortcut.h) */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/tcp_capture_internal.h"
#include "net/dial.h"
#include "net/forward.h"
#include "net/socket.h"

#define LOCAL_MS 2000 /* for the local program's connect */

static void connected_cb(void *arg, int status, int fd)
{
    struct tcp_conn *c = arg;

    c->op = NULL;
    if (status < 0) {
        tcp_conn_dial(c); /* nobody listens: the cluster answers */
        return;
    }
    c->local = fd;
    tcp_conn_opened(c);
}

bool tcp_local_dial(struct tcp_conn *c)
{
    struct tcp_capture *tc = c->tc;
    union sockaddr_any far = tcp_conn_far(c);
    struct shortcut way;

    if (c->local_tried || !shortcuts_find(&tc->shortcuts, &far, false, &way))
        return false;
    c->local_tried = true;
    c->op =
        connect_start(tc->loop, &way.addr, way.mark, LOCAL_MS, connected_cb, c);
    return c->op != NULL;
}

void tcp_local_end(struct tcp_conn *c)
{
    if (c->op)
        connect_cancel(c->op);
    c->op = NULL;
    if (c->local >= 0)
        socket_abort(c->local);
    c->local = -1;
}

static void ended_cb(void *arg, uint64_t bytes)
{
    (void)bytes;
    tcp_relay_ended(arg);
}

void tcp_local_join(struct tcp_conn *c, int fd)
{
    static const int on = 1;
    struct tcp_capture *tc = c->tc;
    struct tcp_relay *r = tcp_relay_add(tc, &c->dst);
    int local = c->local;

    c->local = -1;
    if (!r) {
        socket_abort(fd);
        socket_abort(local);
        return;
    }
    tc->stats.local++;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(local, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    r->forward =
        forward_create(tc->loop, &tc->pipes, fd, local, NULL, ended_cb, r);
    if (!r->forward)
        tcp_relay_ended(r);
}
