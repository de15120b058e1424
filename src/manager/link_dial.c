/*
 * link_dial.c - the far end of a client's TCP and UDP conversations
 *
 * Until the connection is there the stream's user is a `struct dial`; then the
 * relay or the UDP flow takes over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/audit.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/policy.h"
#include "net/dial.h"
#include "net/socket.h"
#include "tunnel/relay.h"
#include "tunnel/udp.h"

/* The kernel gives up after 127 s (tcp_syn_retries 6) and so does a program in
 * a pod; the truth should come from there. */
#define CONNECT_MS  130000
#define UDP_IDLE_MS 60000
#define DNS_IDLE_MS 10000

struct dial {
    struct link *link;
    struct tunnel_stream *stream;
    struct connect_op *op;
};

static void count(struct link *link, int error)
{
    link->links->env.metrics->dials[metrics_dial_outcome(error)]++;
}

/* ---- policy -----------------------------------------------------------------
 */

static void audit_denial(struct link *link, const struct tunnel_open *open,
                         enum policy_verdict verdict)
{
    char text[SOCKADDR_TEXT];

    if (!bucket_take(&link->denials, uv_now(link->links->env.loop))) {
        link->suppressed++;
        return;
    }
    audit_write(&(struct audit_event){
        .event = "dial",
        .who = &link->who,
        .verb = open->kind == TUNNEL_UDP ? "udp" : "tcp",
        .ns = link->ns,
        .name = link->name,
        .destination = sockaddr_format(&open->addr, text),
        .allowed = false,
        .reason = policy_verdict_name(verdict),
        .suppressed = link->suppressed,
    });
    link->suppressed = 0;
}

static int check(struct link *link, const struct tunnel_open *open)
{
    enum policy_verdict verdict =
        policy_check(link->links->env.policy, &open->addr);

    if (verdict != POLICY_ALLOWED) {
        link->links->env.metrics->denied[verdict]++;
        audit_denial(link, open, verdict);
        return -EACCES;
    }
    if (!bucket_take(&link->dials, uv_now(link->links->env.loop)))
        return -EMFILE;
    return 0;
}

/* ---- TCP
 * ---------------------------------------------------------------------- */

/* The client went away before the far end answered. */
static void dial_closed_cb(void *arg, int status)
{
    struct dial *d = arg;

    (void)status;
    if (d->op)
        connect_cancel(d->op);
    free(d);
}

static ssize_t dial_pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t dial_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0; /* stays in the window until the relay takes it */
}

static void dial_eof_cb(void *arg)
{
    (void)arg;
}

static const struct tunnel_stream_ops dial_ops = {
    .pull_cb = dial_pull_cb,
    .push_cb = dial_push_cb,
    .eof_cb = dial_eof_cb,
    .closed_cb = dial_closed_cb,
};

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)arg;
    (void)bytes_in;
    (void)bytes_out; /* the tunnel counts them too */
}

static void connected_cb(void *arg, int status, int fd)
{
    struct dial *d = arg;
    struct link *link = d->link;
    struct tunnel_stream *s = d->stream;

    d->op = NULL;
    count(link, status);
    if (status < 0) {
        tunnel_stream_answer(s, status); /* closed_cb frees d */
        return;
    }
    status = tunnel_stream_answer(s, 0);
    if (status < 0) {
        socket_abort(fd);
        tunnel_stream_reset(s, status);
        return;
    }
    relay_create(link->links->env.loop, fd, s, relay_ended_cb, NULL);
    free(d);
}

static int dial_tcp(struct link *link, struct tunnel_stream *s,
                    const struct tunnel_open *open)
{
    struct dial *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->link = link;
    d->stream = s;
    d->op = connect_start(link->links->env.loop, &open->addr, 0, CONNECT_MS,
                          connected_cb, d);
    if (!d->op) {
        free(d);
        return -ENOMEM;
    }
    tunnel_stream_set_user(s, &dial_ops, d);
    return 0;
}

/* ---- UDP
 * ---------------------------------------------------------------------- */

static void flow_closed_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_udp_ops flow_ops = {.closed_cb = flow_closed_cb};

static int dial_udp(struct link *link, struct tunnel_stream *s,
                    const struct tunnel_open *open)
{
    const union sockaddr_any *addr = &open->addr;
    unsigned idle = sockaddr_port(addr) == 53 ? DNS_IDLE_MS : UDP_IDLE_MS;
    int fd = socket(addr->sa.sa_family,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = 0;

    if (fd < 0)
        rc = -errno;
    else if (connect(fd, &addr->sa, sockaddr_len(addr)) < 0)
        rc = -errno;
    count(link, rc);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    if (!tunnel_udp_serve(link->links->env.loop, s, fd, idle, &flow_ops, NULL))
        return -ENOMEM;
    return 0;
}

int link_dial(struct link *link, struct tunnel_stream *s,
              const struct tunnel_open *open)
{
    struct tunnel_open unmapped = *open;
    int rc;

    /* The address that is checked is the one that is connected. */
    sockaddr_unmap(&unmapped.addr);
    rc = check(link, &unmapped);
    if (rc < 0) {
        count(link, rc);
        return rc;
    }
    return open->kind == TUNNEL_UDP ? dial_udp(link, s, &unmapped)
                                    : dial_tcp(link, s, &unmapped);
}
