/*
 * Where the queries of a client's TCP connection go, made when the first one
 * needs it: a tunnel stream to the cluster's DNS, or a TCP connection to the
 * upstream resolver.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/dns_tcp_internal.h"
#include "net/dial.h"

#define CONNECT_MS 3000

/* A tunnel stream's user; outlives its backend until the stream is closed. */
struct dns_flow {
    struct dns_backend *backend; /* NULL: nobody wants it any more */
    struct tunnel_stream *stream;
};

void dns_backend_init(struct dns_backend *b, struct dns_conn *conn,
                      struct dns *d, enum dns_kind kind)
{
    b->conn = conn;
    b->d = d;
    b->kind = kind;
    buf_init(&b->in, DNS_TCP_BUFFER);
    buf_init(&b->out, DNS_TCP_BUFFER);
}

void dns_backend_release(struct dns_backend *b)
{
    struct dns_flow *flow = b->flow;

    b->flow = NULL;
    if (flow) {
        flow->backend = NULL;
        tunnel_stream_reset(flow->stream, -ECANCELED); /* frees flow */
    }
    if (b->connecting)
        connect_cancel(b->connecting);
    b->connecting = NULL;
    dns_peer_close(&b->peer);
    buf_release(&b->in);
    buf_release(&b->out);
}

static void fail(struct dns_backend *b)
{
    dns_backend_release(b);
    dns_conn_backend_failed(b->conn, b->kind);
}

/* Whole messages go to the client. Negative: close it all. */
static int deliver(struct dns_backend *b)
{
    size_t len;

    while ((len = dns_frame_len(&b->in)) > 0) {
        int rc = dns_conn_answer(b->conn, b->kind, buf_head(&b->in), len);

        if (rc < 0)
            return rc;
        buf_consume(&b->in, len);
    }
    return 0;
}

/* Takes all of data: after each round less than one message is left over. */
static int input(struct dns_backend *b, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t n = buf_room(&b->in) < len ? buf_room(&b->in) : len;
        int rc = buf_append(&b->in, data, n);

        if (rc == 0)
            rc = deliver(b);
        if (rc < 0)
            return rc;
        data += n;
        len -= n;
    }
    return 0;
}

/* ---- the cluster's side: a tunnel stream ---- */

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct dns_flow *flow = arg;
    struct dns_backend *b = flow->backend;
    size_t n = b ? buf_used(&b->out) : 0;

    if (n == 0)
        return -EAGAIN;
    n = n < len ? n : len;
    memcpy(data, buf_head(&b->out), n);
    buf_consume(&b->out, n);
    return (ssize_t)n;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct dns_flow *flow = arg;
    int rc = flow->backend ? input(flow->backend, data, len) : 0;

    if (rc < 0)
        dns_conn_close(flow->backend->conn);
    return (ssize_t)len;
}

static void opened_cb(void *arg, int status)
{
    (void)arg;
    (void)status; /* closed_cb follows an error */
}

static void eof_cb(void *arg)
{
    struct dns_flow *flow = arg;

    if (flow->backend)
        fail(flow->backend);
}

static void stream_closed_cb(void *arg, int status)
{
    struct dns_flow *flow = arg;
    struct dns_backend *b = flow->backend;

    (void)status;
    free(flow);
    if (!b)
        return;
    b->flow = NULL;
    fail(b);
}

static const struct tunnel_stream_ops stream_ops = {
    .opened_cb = opened_cb,
    .pull_cb = pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = stream_closed_cb,
};

static int open_cluster(struct dns_backend *b)
{
    struct dns *d = b->d;

    if (!d->tunnel)
        return -ENOTCONN;
    b->flow = calloc(1, sizeof(*b->flow));
    if (!b->flow)
        return -ENOMEM;
    b->flow->backend = b;
    b->flow->stream =
        tunnel_open_tcp(d->tunnel, &d->cluster, &stream_ops, b->flow);
    if (b->flow->stream)
        return 0;
    free(b->flow);
    b->flow = NULL;
    return -ENOTCONN;
}

/* ---- the upstream's side: a socket ---- */

static void upstream_read_cb(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    cleanup_free char *data = buf->base;
    struct dns_backend *b = ((struct dns_peer *)s)->owner;

    if (n < 0)
        fail(b);
    else if (input(b, (uint8_t *)data, (size_t)n) < 0)
        dns_conn_close(b->conn);
}

static void upstream_flush(struct dns_backend *b)
{
    if (!b->peer || buf_used(&b->out) == 0)
        return;
    if (dns_peer_write(b->peer, buf_head(&b->out), buf_used(&b->out)) < 0)
        fail(b);
    else
        buf_consume(&b->out, buf_used(&b->out));
}

static void connected_cb(void *arg, int status, int fd)
{
    struct dns_backend *b = arg;

    b->connecting = NULL;
    if (status == 0)
        b->peer = dns_peer_create(b->d->loop, fd, b);
    if (!b->peer) {
        fail(b);
        return;
    }
    uv_read_start((uv_stream_t *)&b->peer->tcp, dns_peer_alloc_cb,
                  upstream_read_cb);
    upstream_flush(b);
}

static int open_upstream(struct dns_backend *b)
{
    struct dns *d = b->d;

    if (d->n_upstream == 0)
        return -ENOTCONN;
    b->connecting = connect_start(d->loop, &d->upstream[0], d->mark, CONNECT_MS,
                                  connected_cb, b);
    return b->connecting ? 0 : -ENOMEM;
}

int dns_backend_send(struct dns_backend *b, const uint8_t *frame, size_t len)
{
    bool open = b->flow || b->connecting || b->peer;
    int rc = buf_append(&b->out, frame, len);

    if (rc == 0 && !open)
        rc = b->kind == DNS_CLUSTER ? open_cluster(b) : open_upstream(b);
    if (rc < 0) {
        if (!open)
            buf_release(&b->out);
        return rc;
    }
    if (b->flow)
        tunnel_stream_resume(b->flow->stream);
    else
        upstream_flush(b);
    return 0;
}
