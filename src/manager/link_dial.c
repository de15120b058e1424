/*
 * link_dial.c - the far end of a client's TCP and UDP conversations
 *
 * Until the connection is there the stream's user is a `struct dial`, which may
 * wait for its turn (dial_turns.h); then the relay or the UDP flow takes over.
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
    struct dial_job job; /* first: a job is its dial */
    struct link *link;
    struct tunnel_stream *stream;
    enum tunnel_kind kind;
    union sockaddr_any addr;
    struct connect_op *op;
};

/* No local port is left towards that address, or no descriptor: the client's
 * retransmit may find one. */
static int limit_error(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAGAIN || error == -ENFILE
               ? -EMFILE
               : error;
}

static void count(struct link *link, int error)
{
    link->links->env.metrics->dials[metrics_dial_outcome(error)]++;
}

/* ---- policy ------------------------------------------------------------ */

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

/* ---- waiting ----------------------------------------------------------- */

/* The client went away before the far end answered, or the dial has failed. */
static void dial_closed_cb(void *arg, int status)
{
    struct dial *d = arg;

    (void)status;
    dial_turns_cancel(&d->link->links->turns, &d->job);
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

/* ---- TCP --------------------------------------------------------------- */

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
    status = limit_error(status);
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

static void dial_tcp(struct dial *d)
{
    d->op = connect_start(d->link->links->env.loop, &d->addr, 0, CONNECT_MS,
                          connected_cb, d);
    if (!d->op)
        tunnel_stream_answer(d->stream, -ENOMEM);
}

/* ---- UDP --------------------------------------------------------------- */

static void flow_closed_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_udp_ops flow_ops = {.closed_cb = flow_closed_cb};

/* The socket, or a negative errno. */
static int connect_udp(const union sockaddr_any *addr)
{
    int fd = socket(addr->sa.sa_family,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : 0;

    if (fd >= 0 && connect(fd, &addr->sa, sockaddr_len(addr)) < 0) {
        rc = -errno;
        close(fd);
    }
    return rc < 0 ? rc : fd;
}

static void dial_udp(struct dial *d)
{
    unsigned idle = sockaddr_port(&d->addr) == 53 ? DNS_IDLE_MS : UDP_IDLE_MS;
    int fd = limit_error(connect_udp(&d->addr));

    count(d->link, fd < 0 ? fd : 0);
    if (fd < 0)
        tunnel_stream_answer(d->stream, fd);
    else if (tunnel_udp_serve(d->link->links->env.loop, d->stream, fd, idle,
                              &flow_ops, NULL))
        free(d); /* else dial_closed_cb() does */
}

/* ---- the turn ---------------------------------------------------------- */

static void start_cb(struct dial_job *job)
{
    struct dial *d = (struct dial *)job;

    if (d->kind == TUNNEL_UDP)
        dial_udp(d);
    else
        dial_tcp(d);
}

int link_dial(struct link *link, struct tunnel_stream *s,
              const struct tunnel_open *open)
{
    struct tunnel_open unmapped = *open;
    struct dial *d;
    int rc;

    /* The address that is checked is the one that is connected. */
    sockaddr_unmap(&unmapped.addr);
    rc = check(link, &unmapped);
    if (rc < 0) {
        count(link, rc);
        return rc;
    }
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    *d = (struct dial){.job.start_cb = start_cb,
                       .link = link,
                       .stream = s,
                       .kind = open->kind,
                       .addr = unmapped.addr};
    tunnel_stream_set_user(s, &dial_ops, d);
    dial_turns_submit(&link->links->turns, &link->share, &d->job);
    return 0;
}
