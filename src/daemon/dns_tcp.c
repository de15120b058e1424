/*
 * DNS over TCP (RFC 7766). Ids are unique on a connection, so messages pass
 * with theirs to one of two backends, unless they are answered here; a query
 * whose backend fails or is late is answered SERVFAIL. One message answers one
 * query: zone transfers are not carried.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/dns_ask.h"
#include "daemon/dns_tcp_internal.h"

#define MAX_PENDING 64
#define TICK_MS     500
#define IDLE_TICKS  20 /* 10 s */

/* A query that its backend has not answered. */
struct pending {
    unsigned ticks;
    struct dns_ask ask; /* its msg is ours: what its answer is known by */
    uint8_t head[DNS_MAX_ERROR];
};

struct dns_conn {
    struct dns *d;
    struct dns_conn *prev, *next;
    struct dns_peer *client;
    uv_timer_t *timer;
    struct buf in;
    struct dns_backend backends[2];       /* by dns_kind */
    struct pending *pending[MAX_PENDING]; /* NULL: free */
    unsigned n_pending, idle_ticks;
    bool client_ended, reading;
};

static void update_reading(struct dns_conn *c);

/* ---- answers ---- */

static void forget(struct dns_conn *c, size_t i)
{
    free(c->pending[i]);
    c->pending[i] = NULL;
    c->n_pending--;
    update_reading(c);
}

static int answer(struct dns_conn *c, const uint8_t *frame, size_t len)
{
    if (!c->client)
        return -EPIPE;
    c->idle_ticks = 0;
    return dns_peer_write(c->client, frame, len);
}

/* `frame` has the message at its byte 2. */
static int answer_message(struct dns_conn *c, const struct dns_client *client,
                          uint8_t *frame, size_t len)
{
    len = dns_client_fit(client, false, frame + 2, len);
    dns_put16(frame, (uint16_t)len);
    return answer(c, frame, len + 2);
}

static int answer_servfail(struct dns_conn *c, const struct dns_client *client)
{
    uint8_t out[2 + DNS_MAX_ERROR];
    size_t n =
        dns_msg_make_error(client->head, client->end, DNS_SERVFAIL, out + 2);

    return answer_message(c, client, out, n);
}

/* Its place, or MAX_PENDING. */
static size_t find_pending(struct dns_conn *c, enum dns_kind kind,
                           const uint8_t *msg, size_t len)
{
    size_t i;

    for (i = 0; i < MAX_PENDING; i++) {
        struct pending *p = c->pending[i];

        if (p && p->ask.kind == kind &&
            dns_msg_answers(msg, len, p->ask.msg, p->ask.end))
            break;
    }
    return i;
}

int dns_conn_answer(struct dns_conn *c, enum dns_kind kind,
                    const uint8_t *frame, size_t len)
{
    size_t n, i = find_pending(c, kind, frame + 2, len - 2);
    uint8_t out[DNS_MAX_FRAME];
    const struct dns_ask *ask;
    int rc;

    if (i == MAX_PENDING)
        return 0;
    ask = &c->pending[i]->ask;
    n = dns_ask_take(c->d, ask, frame + 2, len - 2, out + 2);
    rc = n > 0 ? answer_message(c, &ask->client, out, n)
               : answer_servfail(c, &ask->client);
    if (rc == 0)
        forget(c, i);
    return rc;
}

/* False: the connection is closed. */
static bool fail_pending(struct dns_conn *c, size_t i)
{
    if (answer_servfail(c, &c->pending[i]->ask.client) < 0) {
        dns_conn_close(c);
        return false;
    }
    forget(c, i);
    return true;
}

void dns_conn_backend_failed(struct dns_conn *c, enum dns_kind kind)
{
    for (size_t i = 0; i < MAX_PENDING && c->client; i++) {
        if (c->pending[i] && c->pending[i]->ask.kind == kind &&
            !fail_pending(c, i))
            return;
    }
    if (c->client_ended && c->n_pending == 0)
        dns_conn_close(c);
}

/* ---- the client ---- */

/* Its place, or MAX_PENDING: out of memory. */
static size_t add_pending(struct dns_conn *c, const struct dns_ask *ask)
{
    struct pending *p = calloc(1, sizeof(*p));
    size_t i = 0;

    if (!p)
        return MAX_PENDING;
    while (c->pending[i])
        i++;
    p->ask = *ask;
    p->ask.msg = p->head;
    memcpy(p->head, ask->msg, ask->end);
    c->pending[i] = p;
    c->n_pending++;
    return i;
}

static int pass_on(struct dns_conn *c, const struct dns_ask *ask)
{
    uint8_t frame[2 + DNS_MAX_MSG];
    size_t i = add_pending(c, ask);

    if (i == MAX_PENDING)
        return answer_servfail(c, &ask->client);
    dns_put16(frame, (uint16_t)ask->len);
    memcpy(frame + 2, ask->msg, ask->len);
    if (dns_backend_send(&c->backends[ask->kind], frame, ask->len + 2) == 0)
        return 0;
    forget(c, i);
    return answer_servfail(c, &ask->client);
}

static int conn_query(struct dns_conn *c, const uint8_t *frame, size_t len)
{
    uint8_t renamed[DNS_RENAMED_MAX], out[DNS_MAX_FRAME];
    struct dns_ask ask;
    size_t n;

    if (dns_ask_make(c->d, &ask, frame + 2, len - 2, renamed) < 0)
        return -EBADMSG;
    n = dns_ask_answer(c->d, &ask, out + 2);
    return n > 0 ? answer_message(c, &ask.client, out, n) : pass_on(c, &ask);
}

/* Works on whole queries until there are none or too many are pending. */
static int conn_work(struct dns_conn *c)
{
    size_t len;

    while (c->client && c->n_pending < MAX_PENDING &&
           (len = dns_frame_len(&c->in)) > 0) {
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
        dns_conn_close(c);
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
        uv_read_start((uv_stream_t *)&c->client->tcp, dns_peer_alloc_cb,
                      client_read_cb);
    else
        uv_read_stop((uv_stream_t *)&c->client->tcp);
}

static void tick_cb(uv_timer_t *timer)
{
    struct dns_conn *c = timer->data;
    unsigned limit = c->d->timeout_ms / TICK_MS + 1;

    for (size_t i = 0; i < MAX_PENDING; i++) {
        struct pending *p = c->pending[i];

        if (p && ++p->ticks >= limit && !fail_pending(c, i))
            return;
    }
    if (conn_work(c) < 0 || (c->n_pending == 0 &&
                             (++c->idle_ticks > IDLE_TICKS || c->client_ended)))
        dns_conn_close(c);
}

static void conn_free_cb(uv_handle_t *handle)
{
    free(handle->data);
    free(handle);
}

void dns_conn_close(struct dns_conn *c)
{
    if (!c->client)
        return;
    dns_peer_close(&c->client);
    dns_backend_release(&c->backends[DNS_CLUSTER]);
    dns_backend_release(&c->backends[DNS_UPSTREAM]);
    buf_release(&c->in);
    for (size_t i = 0; i < MAX_PENDING; i++) {
        free(c->pending[i]);
        c->pending[i] = NULL;
    }
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
    buf_init(&c->in, DNS_MAX_FRAME + DNS_TCP_CHUNK);
    for (int kind = 0; kind < 2; kind++)
        dns_backend_init(&c->backends[kind], c, d, (enum dns_kind)kind);
    return c;
}

void dns_serve_tcp(struct dns *d, int fd)
{
    struct dns_conn *c = d->n_conns < DNS_MAX_CONNS ? conn_create(d) : NULL;

    if (!c) {
        close(fd);
        return;
    }
    c->client = dns_peer_create(d->loop, fd, c);
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
        dns_conn_close(d->conns);
}
