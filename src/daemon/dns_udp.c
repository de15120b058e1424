/*
 * Queries by UDP. Each one in flight has an id of its own on the way out,
 * chosen at random, so that clients which chose the same id do not meet and an
 * answer cannot be guessed. It is sent twice at most, by different paths, and
 * answered by SERVFAIL when its time is over: before the client's own. Clients
 * that ask what is being asked already wait for the same answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/dns_ask.h"

#define TICK_MS   100
#define MAX_TRIES 2

/* Who waits for the answer to a query. */
struct waiter {
    struct waiter *next;
    dns_reply_cb *cb;
    void *arg;
    struct dns_client client;
};

struct dns_txn {
    struct dns_txn *prev, *next;
    struct dns_txn *chain, *same; /* same bucket, of id and of key */
    struct waiter *waiters;       /* at least one */
    unsigned tries;
    uint64_t deadline, resend; /* on the loop's clock, ms */
    struct dns_ask ask;        /* its msg is ours */
    uint8_t msg[];             /* with our id */
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

static struct dns_txn **find_question(struct dns *d, const struct dns_key *key)
{
    struct dns_txn **p =
        &d->questions[dns_key_hash(key, d->seed) % DNS_BUCKETS];

    while (*p && !dns_key_equal(&(*p)->ask.key, key))
        p = &(*p)->same;
    return p;
}

static void unlink_txn(struct dns *d, struct dns_txn *txn)
{
    *find(d, dns_msg_id(txn->msg)) = txn->chain;
    if (txn->ask.shared)
        *find_question(d, &txn->ask.key) = txn->same;
    if (txn->prev)
        txn->prev->next = txn->next;
    else
        d->first = txn->next;
    if (txn->next)
        txn->next->prev = txn->prev;
    if (!d->first)
        uv_timer_stop(d->tick);
}

/* Frees txn and its waiters, who hear nothing any more. */
static void free_txn(struct dns *d, struct dns_txn *txn)
{
    struct waiter *w;

    while ((w = txn->waiters)) {
        txn->waiters = w->next;
        d->waiting--;
        free(w);
    }
    free(txn);
}

/* Ends txn: everybody gets the answer; msg NULL: SERVFAIL. */
static void finish(struct dns *d, struct dns_txn *txn, uint8_t *msg, size_t len)
{
    uint8_t error[DNS_MAX_ERROR];

    unlink_txn(d, txn);
    for (struct waiter *w = txn->waiters; w; w = w->next) {
        size_t n;

        if (msg) {
            uint8_t flags = msg[2], counts[6];

            memcpy(counts, msg + 6, sizeof(counts));
            n = dns_client_fit(&w->client, true, msg, len);
            w->cb(w->arg, msg, n);
            msg[2] = flags; /* as they were, for the next one */
            memcpy(msg + 6, counts, sizeof(counts));
        } else {
            n = dns_msg_make_error(w->client.head, w->client.end, DNS_SERVFAIL,
                                   error);
            w->cb(w->arg, error, n);
        }
    }
    free_txn(d, txn);
}

static void fail(struct dns *d, struct dns_txn *txn)
{
    finish(d, txn, NULL, 0);
}

static void send_txn(struct dns *d, struct dns_txn *txn)
{
    uint64_t now = uv_now(d->loop);
    unsigned hint = dns_msg_id(txn->msg);

    if (txn->ask.kind == DNS_CLUSTER && !d->tunnel) {
        uint64_t grace = now + DNS_GRACE_MS;

        txn->deadline = txn->deadline < grace ? txn->deadline : grace;
        txn->resend = txn->deadline;
        return; /* dns_udp_link_changed() sends it */
    }
    if (txn->ask.kind == DNS_CLUSTER)
        dns_path_send_cluster(d, hint, txn->msg, txn->ask.len);
    else
        dns_path_send_upstream(d, txn->tries % d->n_upstream, hint, txn->msg,
                               txn->ask.len);
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
    if (txn->ask.shared)
        *find_question(d, &txn->ask.key) = txn;
    txn->next = d->first;
    if (d->first)
        d->first->prev = txn;
    else
        uv_timer_start(d->tick, tick_cb, TICK_MS, TICK_MS);
    d->first = txn;
}

static struct waiter *add_waiter(struct dns *d, const struct dns_client *client,
                                 dns_reply_cb *cb, void *arg)
{
    struct waiter *w = malloc(sizeof(*w));

    if (!w)
        return NULL;
    *w = (struct waiter){.cb = cb, .arg = arg, .client = *client};
    d->waiting++;
    return w;
}

static void start(struct dns *d, const struct dns_ask *ask, struct waiter *w)
{
    struct dns_txn *txn = calloc(1, sizeof(*txn) + ask->len);

    if (!txn) {
        d->waiting--;
        free(w);
        return;
    }
    txn->ask = *ask;
    memcpy(txn->msg, ask->msg, ask->len);
    txn->ask.msg = txn->msg;
    txn->waiters = w;
    txn->deadline = uv_now(d->loop) + d->timeout_ms;
    link_txn(d, txn);
    if (ask->kind == DNS_UPSTREAM && d->n_upstream == 0)
        fail(d, txn);
    else
        send_txn(d, txn);
}

static void answer_now(const struct dns_ask *ask, uint8_t *msg, size_t len,
                       dns_reply_cb *cb, void *arg)
{
    cb(arg, msg, dns_client_fit(&ask->client, true, msg, len));
}

void dns_query(struct dns *d, const void *msg, size_t len, dns_reply_cb *cb,
               void *arg)
{
    uint8_t renamed[DNS_RENAMED_MAX], answer[DNS_MAX_MSG];
    struct dns_txn *same = NULL;
    struct dns_ask ask;
    struct waiter *w;
    size_t n;

    if (len > DNS_MAX_QUERY || dns_ask_make(d, &ask, msg, len, renamed) < 0)
        return; /* what is no query gets no answer */
    n = dns_ask_answer(d, &ask, answer);
    if (n > 0) {
        answer_now(&ask, answer, n, cb, arg);
        return;
    }
    w = d->waiting < DNS_MAX_FLIGHT ? add_waiter(d, &ask.client, cb, arg)
                                    : NULL;
    if (!w)
        return;
    if (ask.shared)
        same = *find_question(d, &ask.key);
    if (!same) {
        start(d, &ask, w);
        return;
    }
    w->next = same->waiters;
    same->waiters = w;
    d->joined++;
}

void dns_udp_input(struct dns *d, enum dns_kind kind, const uint8_t *msg,
                   size_t len)
{
    uint8_t answer[DNS_MAX_MSG];
    struct dns_txn *txn;
    size_t n;

    if (len < DNS_HEADER_LEN || len > sizeof(answer))
        return;
    txn = *find(d, dns_msg_id(msg));
    if (!txn || txn->ask.kind != kind ||
        !dns_msg_answers(msg, len, txn->msg, txn->ask.end))
        return;
    n = dns_ask_take(d, &txn->ask, msg, len, answer);
    finish(d, txn, n > 0 ? answer : NULL, n);
}

/* Takes who has that arg off the list. */
static void drop_waiters(struct dns *d, struct waiter **p, const void *arg)
{
    while (*p) {
        struct waiter *w = *p;

        if (w->arg != arg) {
            p = &w->next;
            continue;
        }
        *p = w->next;
        d->waiting--;
        free(w);
    }
}

void dns_cancel(struct dns *d, void *arg)
{
    struct dns_txn *txn = d->first;

    while (txn) {
        struct dns_txn *next = txn->next;

        drop_waiters(d, &txn->waiters, arg);
        if (!txn->waiters) {
            unlink_txn(d, txn);
            free_txn(d, txn);
        }
        txn = next;
    }
}

/* A new link: what waited for it, or was lost with the old one, goes out. */
void dns_udp_link_changed(struct dns *d)
{
    for (struct dns_txn *txn = d->first; txn; txn = txn->next) {
        if (txn->ask.kind != DNS_CLUSTER)
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
        free_txn(d, txn);
    }
}
