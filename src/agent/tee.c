#include "agent/tee.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/path.h"
#include "tunnel/chunkq.h"

#define LINGER_MS 60000 /* for the far end, once the client has finished */

enum tee_state {
    TEE_FED,    /* its connection runs */
    TEE_ENDED,  /* no more bytes: END_STREAM after the queue */
    TEE_RESET,  /* the same, but the client reset: so shall we */
    TEE_CLOSED, /* within closed_cb */
};

struct tee {
    LIST_ENTRY(tee) entry;     /* in tees */
    LIST_ENTRY(tee) tap_entry; /* in the tap, TEE_FED only */
    struct tees *tees;
    struct tunnel_stream *stream;
    const struct tunnel *tunnel; /* only compared */
    char id[AGENT_ID_SIZE];
    struct chunkq queue;
    enum tee_state state;
    uint64_t deadline; /* of those that are fed no more */
};

/* ---- the stream's callbacks --------------------------------------------- */

static void opened_cb(void *arg, int status)
{
    (void)arg; /* closed_cb follows an error */
    (void)status;
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    struct tee *tee = arg;
    size_t n;
    const uint8_t *piece;

    if (tee->queue.used == 0) {
        if (tee->state == TEE_RESET)
            return -ECONNRESET;
        return tee->state == TEE_ENDED ? 0 : -EAGAIN;
    }
    piece = chunkq_peek(&tee->queue, &n);
    if (n > len)
        n = len;
    memcpy(data, piece, n);
    chunkq_consume(&tee->queue, n);
    tee->tees->queued -= n;
    return (ssize_t)n;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    (void)arg; /* a program that answers and closes early gets the rest */
}

static void closed_cb(void *arg, int status)
{
    struct tee *tee = arg;

    (void)status;
    if (tee->state == TEE_FED)
        LIST_REMOVE(tee, tap_entry);
    if (tee->state == TEE_FED || tee->queue.used > 0)
        tee->tees->ended_early++;
    tee->state = TEE_CLOSED;
    LIST_REMOVE(tee, entry);
    tee->tees->queued -= tee->queue.used;
    chunkq_release(&tee->queue);
    free(tee);
}

static const struct tunnel_stream_ops tee_ops = {opened_cb, pull_cb, push_cb,
                                                 eof_cb, closed_cb};

/* ---- the tap ------------------------------------------------------------ */

void tap_init(struct tap *tap, struct tees *tees)
{
    LIST_INIT(&tap->list);
    tap->tees = tees;
}

void tap_add(struct tap *tap, struct tunnel *t, const char *id, uint16_t port)
{
    struct tee *tee = calloc(1, sizeof(*tee));

    tap->tees->copies++;
    if (tee)
        tee->stream = tunnel_open_tcp_name(t, id, port, &tee_ops, tee);
    if (!tee || !tee->stream) {
        tap->tees->ended_early++;
        free(tee);
        return;
    }
    tee->tees = tap->tees;
    tee->tunnel = t;
    snprintf(tee->id, sizeof(tee->id), "%s", id);
    LIST_INSERT_HEAD(&tap->tees->list, tee, entry);
    LIST_INSERT_HEAD(&tap->list, tee, tap_entry);
}

bool tap_is_empty(const struct tap *tap)
{
    return LIST_EMPTY(&tap->list);
}

static void tee_write(struct tee *tee, const void *data, size_t len)
{
    struct tees *tees = tee->tees;

    if (tee->queue.used + len > TEE_QUEUE_MAX ||
        tees->queued + len > TEE_QUEUES_MAX ||
        chunkq_append(&tee->queue, data, len) != 0) {
        tunnel_stream_reset(tee->stream, -ENOBUFS);
        return;
    }
    tees->queued += len;
    tunnel_stream_resume(tee->stream);
}

void tap_write(struct tap *tap, const void *data, size_t len)
{
    struct tee *next;

    for (struct tee *tee = LIST_FIRST(&tap->list); tee; tee = next) {
        next = LIST_NEXT(tee, tap_entry);
        tee_write(tee, data, len);
    }
}

void tap_end(struct tap *tap, bool reset, uint64_t now_ms)
{
    struct tee *tee;

    while ((tee = LIST_FIRST(&tap->list))) {
        LIST_REMOVE(tee, tap_entry);
        tee->state = reset ? TEE_RESET : TEE_ENDED;
        tee->deadline = now_ms + LINGER_MS;
        tunnel_stream_resume(tee->stream);
    }
}

/* ---- all of them -------------------------------------------------------- */

void tees_filter(struct tees *tees, tees_keep_cb *keep, void *arg)
{
    struct tee *next;

    for (struct tee *tee = LIST_FIRST(&tees->list); tee; tee = next) {
        next = LIST_NEXT(tee, entry);
        if (!keep(arg, tee->id, tee->tunnel))
            tunnel_stream_reset(tee->stream, -ECONNABORTED);
    }
}

bool tees_sweep(struct tees *tees, uint64_t now_ms)
{
    struct tee *next;
    bool left = false;

    for (struct tee *tee = LIST_FIRST(&tees->list); tee; tee = next) {
        next = LIST_NEXT(tee, entry);
        if (tee->state == TEE_FED)
            continue;
        if (tee->deadline <= now_ms)
            tunnel_stream_reset(tee->stream, -ETIMEDOUT);
        else
            left = true;
    }
    return left;
}

static bool keep_none(void *arg, const char *id, const struct tunnel *t)
{
    (void)arg;
    (void)id;
    (void)t;
    return false;
}

void tees_release(struct tees *tees)
{
    tees_filter(tees, keep_none, NULL);
}
