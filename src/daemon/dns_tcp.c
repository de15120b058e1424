/*
 * DNS over TCP (RFC 7766). A client's connection has up to two backends, made
 * when the first query needs them: a tunnel stream to the cluster's DNS and a
 * TCP connection to the upstream resolver. Ids are unique on a connection, so
 * messages pass unchanged; a query whose backend fails is answered SERVFAIL.
 * One message answers one query: zone transfers are not carried.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "daemon/dns_internal.h"
#include "net/dial.h"

#define MAX_PENDING 64
#define MAX_BUFFER  (256 * 1024)
#define MAX_FRAME   (DNS_MAX_MSG + 2)
#define READ_CHUNK  16384
#define TICK_MS     500
#define IDLE_TICKS  20 /* 10 s */
#define CONNECT_MS  3000

struct pending {
    bool used;
    enum dns_kind kind;
    unsigned ticks;
    size_t end;
    uint8_t head[DNS_MAX_ERROR];
};

/* A tunnel stream's user; outlives its backend until the stream is closed. */
struct flow {
    struct backend *backend; /* NULL: nobody wants it any more */
    struct tunnel_stream *stream;
};

struct backend {
    struct dns_conn *conn;
    enum dns_kind kind;
    struct buf in, out;
    struct flow *flow;             /* DNS_CLUSTER */
    struct connect_op *connecting; /* DNS_UPSTREAM */
    struct dns_peer *peer;
};

/* A connected socket on the loop: the client's, or one to an upstream. */
struct dns_peer {
    uv_tcp_t tcp; /* first: freed through its handle */
    void *owner;
};

struct dns_conn {
    struct dns *d;
    struct dns_conn *prev, *next;
    struct dns_peer *client;
    uv_timer_t *timer;
    struct buf in;
    struct backend backends[2]; /* by dns_kind */
    struct pending pending[MAX_PENDING];
    unsigned n_pending, idle_ticks;
    bool client_ended, reading;
};

struct write_op {
    uv_write_t req; /* first */
    uint8_t data[];
};

static void conn_close(struct dns_conn *c);
static void update_reading(struct dns_conn *c);

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static void write_cb(uv_write_t *req, int status)
{
    (void)status;
    free(req);
}

/* Copies data into the socket's queue. */
static int peer_write(struct dns_peer *peer, const void *data, size_t len)
{
    struct write_op *op;
    uv_buf_t buf;
    int rc;

    if (uv_stream_get_write_queue_size((uv_stream_t *)&peer->tcp) + len >
        MAX_BUFFER)
        return -ENOBUFS;
    op = malloc(sizeof(*op) + len);
    if (!op)
        return -ENOMEM;
    memcpy(op->data, data, len);
    buf = uv_buf_init((char *)op->data, (unsigned)len);
    rc = uv_write(&op->req, (uv_stream_t *)&peer->tcp, &buf, 1, write_cb);
    if (rc < 0)
        free(op);
    return rc;
}

static struct dns_peer *peer_create(uv_loop_t *loop, int fd, void *owner)
{
    struct dns_peer *peer = calloc(1, sizeof(*peer));

    if (!peer || uv_tcp_init(loop, &peer->tcp) < 0) {
        free(peer);
        close(fd);
        return NULL;
    }
    peer->owner = owner;
    if (uv_tcp_open(&peer->tcp, fd) < 0) {
        close(fd);
        uv_close((uv_handle_t *)&peer->tcp, free_handle_cb);
        return NULL;
    }
    return peer;
}

static void peer_close(struct dns_peer **peer)
{
    if (*peer)
        uv_close((uv_handle_t *)&(*peer)->tcp, free_handle_cb);
    *peer = NULL;
}

/* The first whole message of a buffer: its length, or 0. */
static size_t frame_len(const struct buf *b)
{
    const uint8_t *p = buf_head(b);
    size_t len;

    if (buf_used(b) < 2)
        return 0;
    len = (size_t)(p[0] << 8 | p[1]);
    return buf_used(b) >= len + 2 ? len + 2 : 0;
}

/* ---- answers ---- */

static void forget(struct dns_conn *c, struct pending *p)
{
    p->used = false;
    c->n_pending--;
    update_reading(c);
}

static int answer(struct dns_conn *c, const uint8_t *frame, size_t len)
{
    if (!c->client)
        return -EPIPE;
    c->idle_ticks = 0;
    return peer_write(c->client, frame, len);
}

static int answer_servfail(struct dns_conn *c, const uint8_t *query, size_t end)
{
    uint8_t out[2 + DNS_MAX_ERROR];
    size_t n = dns_msg_make_error(query, end, DNS_SERVFAIL, out + 2);

    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    return answer(c, out, n + 2);
}

static struct pending *find_pending(struct dns_conn *c, enum dns_kind kind,
                                    const uint8_t *msg, size_t len)
{
    for (size_t i = 0; i < MAX_PENDING; i++) {
        struct pending *p = &c->pending[i];

        if (p->used && p->kind == kind &&
            dns_msg_answers(msg, len, p->head, p->end))
            return p;
    }
    return NULL;
}

/* Whole messages of a backend go to the client. Negative: close it all. */
static int backend_deliver(struct backend *b)
{
    struct dns_conn *c = b->conn;
    size_t len;

    while ((len = frame_len(&b->in)) > 0) {
        const uint8_t *frame = buf_head(&b->in);
        struct pending *p = find_pending(c, b->kind, frame + 2, len - 2);
        int rc = p ? answer(c, frame, len) : 0;

        if (rc < 0)
            return rc;
        if (p)
            forget(c, p);
        buf_consume(&b->in, len);
    }
    return 0;
}

static void backend_release(struct backend *b)
{
    struct flow *flow = b->flow;

    b->flow = NULL;
    if (flow) {
        flow->backend = NULL;
        tunnel_stream_reset(flow->stream, -ECANCELED); /* frees flow */
    }
    if (b->connecting)
        connect_cancel(b->connecting);
    b->connecting = NULL;
    peer_close(&b->peer);
    buf_release(&b->in);
    buf_release(&b->out);
}

/* The backend is gone; what it had not answered becomes SERVFAIL, and the next
 * query makes a new one. */
static void backend_fail(struct backend *b)
{
    struct dns_conn *c = b->conn;

    if (!c->client)
        return;
    backend_release(b);
    for (size_t i = 0; i < MAX_PENDING; i++) {
        struct pending *p = &c->pending[i];

        if (!p->used || p->kind != b->kind)
            continue;
        if (answer_servfail(c, p->head, p->end) < 0) {
            conn_close(c);
            return;
        }
        forget(c, p);
    }
    if (c->client_ended && c->n_pending == 0)
        conn_close(c);
}

/* Takes all of data: after each round less than one message is left over. */
static int backend_input(struct backend *b, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t n = buf_room(&b->in) < len ? buf_room(&b->in) : len;
        int rc = buf_append(&b->in, data, n);

        if (rc == 0)
            rc = backend_deliver(b);
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
    struct flow *flow = arg;
    struct backend *b = flow->backend;
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
    struct flow *flow = arg;
    int rc = flow->backend ? backend_input(flow->backend, data, len) : 0;

    if (rc < 0)
        conn_close(flow->backend->conn);
    return (ssize_t)len;
}

static void opened_cb(void *arg, int status)
{
    (void)arg;
    (void)status; /* closed_cb follows an error */
}

static void eof_cb(void *arg)
{
    struct flow *flow = arg;

    if (flow->backend)
        backend_fail(flow->backend);
}

static void stream_closed_cb(void *arg, int status)
{
    struct flow *flow = arg;
    struct backend *b = flow->backend;

    (void)status;
    free(flow);
    if (!b)
        return;
    b->flow = NULL;
    backend_fail(b);
}

static const struct tunnel_stream_ops stream_ops = {
    .opened_cb = opened_cb,
    .pull_cb = pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = stream_closed_cb,
};

static int open_cluster(struct backend *b)
{
    struct dns *d = b->conn->d;

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

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    char *data = malloc(READ_CHUNK);

    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(data, data ? READ_CHUNK : 0);
}

static void upstream_read_cb(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    cleanup_free char *data = buf->base;
    struct backend *b = ((struct dns_peer *)s)->owner;

    if (n < 0)
        backend_fail(b);
    else if (backend_input(b, (uint8_t *)data, (size_t)n) < 0)
        conn_close(b->conn);
}

static void upstream_flush(struct backend *b)
{
    if (!b->peer || buf_used(&b->out) == 0)
        return;
    if (peer_write(b->peer, buf_head(&b->out), buf_used(&b->out)) < 0)
        backend_fail(b);
    else
        buf_consume(&b->out, buf_used(&b->out));
}

static void connected_cb(void *arg, int status, int fd)
{
    struct backend *b = arg;

    b->connecting = NULL;
    if (status == 0)
        b->peer = peer_create(b->conn->d->loop, fd, b);
    if (!b->peer) {
        backend_fail(b);
        return;
    }
    uv_read_start((uv_stream_t *)&b->peer->tcp, alloc_cb, upstream_read_cb);
    upstream_flush(b);
}

static int open_upstream(struct backend *b)
{
    struct dns *d = b->conn->d;

    if (d->n_upstream == 0)
        return -ENOTCONN;
    b->connecting = connect_start(d->loop, &d->upstream[0], d->mark, CONNECT_MS,
                                  connected_cb, b);
    return b->connecting ? 0 : -ENOMEM;
}

/* Queues one framed query. Negative: it could not be. */
static int backend_send(struct backend *b, const uint8_t *frame, size_t len)
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

/* ---- the client ---- */

static struct pending *add_pending(struct dns_conn *c, enum dns_kind kind,
                                   const uint8_t *query, size_t end)
{
    struct pending *p = c->pending;

    while (p->used)
        p++;
    p->used = true;
    p->kind = kind;
    p->ticks = 0;
    p->end = end;
    memcpy(p->head, query, end);
    c->n_pending++;
    return p;
}

static int conn_query(struct dns_conn *c, const uint8_t *frame, size_t len)
{
    struct dns_question q;
    struct pending *p;
    enum dns_kind kind;

    if (dns_msg_parse(&q, frame + 2, len - 2) < 0 || q.is_answer)
        return -EBADMSG;
    kind = dns_route(c->d, q.name);
    p = add_pending(c, kind, frame + 2, q.end);
    if (backend_send(&c->backends[kind], frame, len) == 0)
        return 0;
    forget(c, p);
    return answer_servfail(c, frame + 2, q.end);
}

/* Works on whole queries until there are none or too many are pending. */
static int conn_work(struct dns_conn *c)
{
    size_t len;

    while (c->client && c->n_pending < MAX_PENDING &&
           (len = frame_len(&c->in)) > 0) {
        int rc = conn_query(c, buf_head(&c->in), len);

        if (rc < 0)
            return rc;
        if (c->client)
            buf_consume(&c->in, len);
    }
    return 0;
}

static void client_read_cb(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    cleanup_free char *data = buf->base;
    struct dns_conn *c = ((struct dns_peer *)s)->owner;

    c->idle_ticks = 0;
    if (n == UV_EOF && c->n_pending > 0) {
        c->client_ended = true;
        return;
    }
    if (n < 0 || buf_append(&c->in, data, (size_t)n) < 0 || conn_work(c) < 0) {
        conn_close(c);
        return;
    }
    update_reading(c);
}

/* Reads while there is room for what it produces. */
static void update_reading(struct dns_conn *c)
{
    bool want = c->client && !c->client_ended && c->n_pending < MAX_PENDING;

    if (!c->client || want == c->reading)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->client->tcp, alloc_cb, client_read_cb);
    else
        uv_read_stop((uv_stream_t *)&c->client->tcp);
}

static void tick_cb(uv_timer_t *timer)
{
    struct dns_conn *c = timer->data;
    unsigned limit = c->d->timeout_ms / TICK_MS + 1;

    for (size_t i = 0; i < MAX_PENDING; i++) {
        struct pending *p = &c->pending[i];

        if (!p->used || ++p->ticks < limit)
            continue;
        if (answer_servfail(c, p->head, p->end) < 0) {
            conn_close(c);
            return;
        }
        forget(c, p);
    }
    if (conn_work(c) < 0 || (c->n_pending == 0 &&
                             (++c->idle_ticks > IDLE_TICKS || c->client_ended)))
        conn_close(c);
}

static void conn_free_cb(uv_handle_t *handle)
{
    free(handle->data);
    free(handle);
}

/* Stops everything at once; the memory lives until the loop comes round, so
 * that callers up the stack may still look at it. */
static void conn_close(struct dns_conn *c)
{
    if (!c->client)
        return;
    peer_close(&c->client);
    backend_release(&c->backends[DNS_CLUSTER]);
    backend_release(&c->backends[DNS_UPSTREAM]);
    buf_release(&c->in);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->d->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->d->n_conns--;
    uv_close((uv_handle_t *)c->timer, conn_free_cb);
}

static struct dns_conn *conn_create(struct dns *d)
{
    struct dns_conn *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->timer = malloc(sizeof(*c->timer));
    if (!c->timer) {
        free(c);
        return NULL;
    }
    uv_timer_init(d->loop, c->timer);
    c->timer->data = c;
    c->d = d;
    buf_init(&c->in, MAX_FRAME + READ_CHUNK);
    for (int kind = 0; kind < 2; kind++) {
        struct backend *b = &c->backends[kind];

        b->conn = c;
        b->kind = (enum dns_kind)kind;
        buf_init(&b->in, MAX_BUFFER);
        buf_init(&b->out, MAX_BUFFER);
    }
    return c;
}

void dns_serve_tcp(struct dns *d, int fd)
{
    struct dns_conn *c = d->n_conns < DNS_MAX_CONNS ? conn_create(d) : NULL;

    if (!c) {
        close(fd);
        return;
    }
    c->client = peer_create(d->loop, fd, c);
    if (!c->client) {
        uv_close((uv_handle_t *)c->timer, conn_free_cb);
        return;
    }
    c->next = d->conns;
    if (d->conns)
        d->conns->prev = c;
    d->conns = c;
    d->n_conns++;
    uv_timer_start(c->timer, tick_cb, TICK_MS, TICK_MS);
    update_reading(c);
}

void dns_tcp_drop_all(struct dns *d)
{
    while (d->conns)
        conn_close(d->conns);
}
