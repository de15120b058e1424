/*
 * DNS over TCP (RFC 7766). Ids are unique on a connection, so messages pass
 * unchanged to one of two backends; a query whose backend fails or is late is
 * answered SERVFAIL. One message answers one query: zone transfers are not
 * carried.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/dns_tcp_internal.h"

#define MAX_PENDING 64
#define TICK_MS     500
#define IDLE_TICKS  20 /* 10 s */

struct pending {
    bool used;
    enum dns_kind kind;
    unsigned ticks;
    size_t end;
    uint8_t head[DNS_MAX_ERROR];
};

struct dns_conn {
    struct dns *d;
    struct dns_conn *prev, *next;
    struct dns_peer *client;
    uv_timer_t *timer;
    struct buf in;
    struct dns_backend backends[2]; /* by dns_kind */
    struct pending pending[MAX_PENDING];
    unsigned n_pending, idle_ticks;
    bool client_ended, reading;
};

static void update_reading(struct dns_conn *c);

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
    return dns_peer_write(c->client, frame, len);
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

int dns_conn_answer(struct dns_conn *c, enum dns_kind kind,
                    const uint8_t *frame, size_t len)
{
    struct pending *p = find_pending(c, kind, frame + 2, len - 2);
    int rc = p ? answer(c, frame, len) : 0;

    if (p && rc == 0)
        forget(c, p);
    return rc;
}

void dns_conn_backend_failed(struct dns_conn *c, enum dns_kind kind)
{
    for (size_t i = 0; i < MAX_PENDING && c->client; i++) {
        struct pending *p = &c->pending[i];

        if (!p->used || p->kind != kind)
            continue;
        if (answer_servfail(c, p->head, p->end) < 0) {
            dns_conn_close(c);
            return;
        }
        forget(c, p);
    }
    if (c->client_ended && c->n_pending == 0)
        dns_conn_close(c);
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
    if (dns_backend_send(&c->backends[kind], frame, len) == 0)
        return 0;
    forget(c, p);
    return answer_servfail(c, frame + 2, q.end);
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
        struct pending *p = &c->pending[i];

        if (!p->used || ++p->ticks < limit)
            continue;
        if (answer_servfail(c, p->head, p->end) < 0) {
            dns_conn_close(c);
            return;
        }
        forget(c, p);
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
