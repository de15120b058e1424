/*
 * Queries by UDP. Each one in flight has an id of its own on the way out,
 * chosen at random, so that clients which chose the same id do not meet and an
 * answer cannot be guessed. It is sent twice at most, by different paths, and
 * answered by SERVFAIL when its time is over: before the client's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/dns_internal.h"

#define TICK_MS   100
#define MAX_TRIES 2

struct dns_txn {
    struct dns_txn *prev, *next;
    struct dns_txn *chain; /* same bucket */
    enum dns_kind kind;
    unsigned tries;
    uint64_t deadline, resend; /* on the loop's clock, ms */
    dns_reply_cb *cb;
    void *arg;
    uint16_t client_id;
    size_t end; /* of the question */
    size_t len;
    uint8_t msg[]; /* with our id */
};

static uint16_t random16(void)
{
    uint16_t value = 0;

    while (getrandom(&value, sizeof(value), 0) != sizeof(value))
        ;
    return value;
}

static struct dns_txn **find(struct dns *d, uint16_t id)
{
    struct dns_txn **p = &d->bucket[id % DNS_BUCKETS];

    while (*p && dns_msg_id((*p)->msg) != id)
        p = &(*p)->chain;
    return p;
}

static void unlink_txn(struct dns *d, struct dns_txn *txn)
{
    *find(d, dns_msg_id(txn->msg)) = txn->chain;
    if (txn->prev)
        txn->prev->next = txn->next;
    else
        d->first = txn->next;
    if (txn->next)
        txn->next->prev = txn->prev;
    d->in_flight--;
    if (d->in_flight == 0)
        uv_timer_stop(d->tick);
}

/* Ends txn with the given answer. */
static void finish(struct dns *d, struct dns_txn *txn, uint8_t *msg, size_t len)
{
    unlink_txn(d, txn);
    dns_msg_set_id(msg, txn->client_id);
    txn->cb(txn->arg, msg, len);
    free(txn);
}

static void fail(struct dns *d, struct dns_txn *txn)
{
    uint8_t out[DNS_MAX_ERROR];
    size_t len = dns_msg_make_error(txn->msg, txn->end, DNS_SERVFAIL, out);

    finish(d, txn, out, len);
}

static void send_txn(struct dns *d, struct dns_txn *txn)
{
    uint64_t now = uv_now(d->loop);
    unsigned hint = dns_msg_id(txn->msg);

    if (txn->kind == DNS_CLUSTER && !d->tunnel) {
        uint64_t grace = now + DNS_GRACE_MS;

        txn->deadline = txn->deadline < grace ? txn->deadline : grace;
        txn->resend = txn->deadline;
        return; /* dns_udp_link_changed() sends it */
    }
    if (txn->kind == DNS_CLUSTER)
        dns_path_send_cluster(d, hint, txn->msg, txn->len);
    else
        dns_path_send_upstream(d, txn->tries % d->n_upstream, hint, txn->msg,
                               txn->len);
    txn->tries++;
    txn->resend =
        txn->tries < MAX_TRIES ? now + d->timeout_ms / 3 : txn->deadline;
}

static void tick_cb(uv_timer_t *timer)
{
    struct dns *d = timer->data;
    uint64_t now = uv_now(d->loop);
    struct dns_txn *txn = d->first;

    while (txn) {
        if (now >= txn->deadline) {
            fail(d, txn);
            txn = d->first; /* the callback may have changed the list */
            continue;
        }
        if (now >= txn->resend)
            send_txn(d, txn);
        txn = txn->next;
    }
}

static void link_txn(struct dns *d, struct dns_txn *txn)
{
    uint16_t id;

    do
        id = random16();
    while (*find(d, id));
    dns_msg_set_id(txn->msg, id);
    *find(d, id) = txn;
    txn->next = d->first;
    if (d->first)
        d->first->prev = txn;
    d->first = txn;
    if (d->in_flight++ == 0)
        uv_timer_start(d->tick, tick_cb, TICK_MS, TICK_MS);
}

void dns_query(struct dns *d, const void *msg, size_t len, dns_reply_cb *cb,
               void *arg)
{
    struct dns_question q;
    struct dns_txn *txn;

    if (len > DNS_MAX_QUERY || dns_msg_parse(&q, msg, len) < 0 || q.is_answer ||
        d->in_flight >= DNS_MAX_FLIGHT)
        return; /* what is no query gets no answer */
    txn = calloc(1, sizeof(*txn) + len);
    if (!txn)
        return;
    txn->end = q.end;
    txn->kind = dns_route(d, q.name);
    txn->deadline = uv_now(d->loop) + d->timeout_ms;
    txn->cb = cb;
    txn->arg = arg;
    txn->client_id = q.id;
    txn->len = len;
    memcpy(txn->msg, msg, len);
    link_txn(d, txn);
    if (txn->kind == DNS_UPSTREAM && d->n_upstream == 0)
        fail(d, txn);
    else
        send_txn(d, txn);
}

void dns_udp_input(struct dns *d, enum dns_kind kind, const uint8_t *msg,
                   size_t len)
{
    uint8_t answer[DNS_MAX_MSG];
    struct dns_txn *txn;

    if (len < DNS_HEADER_LEN || len > sizeof(answer))
        return;
    txn = *find(d, dns_msg_id(msg));
    if (!txn || txn->kind != kind ||
        !dns_msg_answers(msg, len, txn->msg, txn->end))
        return;
    memcpy(answer, msg, len);
    finish(d, txn, answer, len);
}

void dns_cancel(struct dns *d, void *arg)
{
    struct dns_txn *txn = d->first;

    while (txn) {
        struct dns_txn *next = txn->next;

        if (txn->arg == arg) {
            unlink_txn(d, txn);
            free(txn);
        }
        txn = next;
    }
}

/* A new link: what waited for it, or was lost with the old one, goes out. */
void dns_udp_link_changed(struct dns *d)
{
    for (struct dns_txn *txn = d->first; txn; txn = txn->next) {
        if (txn->kind != DNS_CLUSTER)
            continue;
        txn->tries = 0;
        if (d->tunnel)
            txn->deadline = uv_now(d->loop) + d->timeout_ms / 2;
        send_txn(d, txn);
    }
}

void dns_udp_drop_all(struct dns *d)
{
    while (d->first) {
        struct dns_txn *txn = d->first;

        unlink_txn(d, txn);
        free(txn);
    }
}
