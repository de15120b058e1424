/*
 * testpeer.c - the far end of a link, without Kubernetes
 *
 *   netns-peer ADDR:PORT
 *
 * Accepts links on a TCP port, dials what their streams ask for and relays, as
 * the manager does. For tests/netns only: no authentication whatever.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "net/dial.h"
#include "net/listen.h"
#include "tunnel/relay.h"
#include "tunnel/udp.h"

#define DIAL_MS 60000

struct peer {
    uv_loop_t *loop;
};

struct link {
    struct peer *peer;
    struct tunnel *tunnel;
};

/* A stream whose destination is being dialled. */
struct dialling {
    struct link *link;
    struct tunnel_stream *stream;
    struct connect_op *op;
};

static ssize_t wait_pull(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t wait_push(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

static void wait_eof(void *arg)
{
    (void)arg;
}

static void wait_closed(void *arg, int status)
{
    struct dialling *d = arg;

    (void)status;
    if (d->op)
        connect_cancel(d->op);
    free(d);
}

static const struct tunnel_stream_ops wait_ops = {
    .pull_cb = wait_pull,
    .push_cb = wait_push,
    .eof_cb = wait_eof,
    .closed_cb = wait_closed,
};

static void on_relay_end(void *arg, uint64_t in, uint64_t out)
{
    (void)arg;
    (void)in;
    (void)out;
}

static void on_connected(void *arg, int status, int fd)
{
    struct dialling *d = arg;

    d->op = NULL;
    if (status < 0) {
        tunnel_stream_answer(d->stream, status);
        return; /* wait_closed() frees */
    }
    if (tunnel_stream_answer(d->stream, 0) < 0) {
        close(fd);
        return;
    }
    relay_create(d->link->peer->loop, fd, d->stream, on_relay_end, NULL);
    free(d);
}

static int open_tcp(struct link *l, struct tunnel_stream *s,
                    const union sockaddr_any *addr)
{
    struct dialling *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->link = l;
    d->stream = s;
    tunnel_stream_set_user(s, &wait_ops, d);
    d->op = connect_start(l->peer->loop, addr, 0, DIAL_MS, on_connected, d);
    return 0;
}

static void udp_closed(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static void udp_opened(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_udp_ops udp_ops = {
    .opened_cb = udp_opened,
    .closed_cb = udp_closed,
};

static int open_udp(struct link *l, struct tunnel_stream *s,
                    const union sockaddr_any *addr)
{
    int fd = socket(addr->sa.sa_family,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, &addr->sa, sockaddr_len(addr)) < 0) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    return tunnel_udp_serve(l->peer->loop, s, fd, 60000, &udp_ops, NULL)
               ? 0
               : -ENOMEM;
}

static int on_open(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    if (open->kind == TUNNEL_TCP)
        return open_tcp(arg, s, &open->addr);
    if (open->kind == TUNNEL_UDP)
        return open_udp(arg, s, &open->addr);
    return -EINVAL;
}

static void on_link_closed(void *arg, int status, const char *why)
{
    struct link *l = arg;

    log_info("link ended: %d %s", status, why ? why : "");
    tunnel_destroy(l->tunnel);
    free(l);
}

static const struct tunnel_ops link_ops = {
    .open_cb = on_open,
    .closed_cb = on_link_closed,
};

static void on_link(void *arg, int fd, const union sockaddr_any *from)
{
    const struct tunnel_config config = {.role = TUNNEL_SERVER,
                                         .ping_ms = 2000};
    struct peer *p = arg;
    struct stream *s = stream_create_fd(p->loop, fd);
    struct link *l = calloc(1, sizeof(*l));

    (void)from;
    if (!s || !l)
        abort();
    l->peer = p;
    l->tunnel = tunnel_create(p->loop, s, &config, &link_ops, l);
    if (!l->tunnel)
        abort();
}

int main(int argc, char **argv)
{
    const struct rlimit files = {65536, 65536};
    struct peer p = {.loop = uv_default_loop()};
    union sockaddr_any addr;
    struct tp_error err;

    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc != 2 || sockaddr_parse_hostport(&addr, argv[1]) < 0) {
        fprintf(stderr, "usage: netns-peer ADDR:PORT\n");
        return 2;
    }
    if (!listener_create(p.loop, &addr, 128, on_link, &p, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return uv_run(p.loop, UV_RUN_DEFAULT);
}
