#include "fuse/conn_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuse/memory.h"

#define IOV_COUNT 64

uint64_t conn_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct call *call_create(const struct conn_call_args *a,
                                const struct sftp_request *q)
{
    uint8_t packet[2 * SFTP_PATH_BYTES + 512];
    struct sftp_writer w;
    struct call *call;

    sftp_writer_init(&w, packet, sizeof(packet));
    if (sftp_encode_request(&w, q) < 0)
        return NULL;
    call = mem_alloc(sizeof(*call) + w.len);
    memcpy(call->packet, packet, w.len);
    call->len = (uint16_t)w.len;
    call->id = q->id;
    call->flags = a->flags;
    call->expect = a->expect;
    call->cb = a->cb;
    call->arg = a->arg;
    call->payload = a->payload;
    call->payload_len = q->type == SFTP_WRITE ? q->data.len : 0;
    call->sink = a->sink;
    call->sink_size = q->count;
    return call;
}

/* Ids in flight never collide in the table: one that would is left out. */
static uint32_t new_id(struct conn *c)
{
    while (c->flight[c->next_id % CALLS_MAX])
        c->next_id++;
    return c->next_id++;
}

void conn_call(struct conn *c, const struct conn_call_args *a)
{
    static const struct sftp_request none = {.type = SFTP_CLOSE};
    struct sftp_request q = a->request;
    struct call *call;

    q.id = new_id(c);
    call = call_create(a, &q);
    if (!call) { /* a path that is too long: it cannot be sent */
        call = call_create(a, &none);
        call->id = q.id;
        c->n_calls++;
        conn_end_later(c, call, -ENAMETOOLONG);
        return;
    }
    call->made_at = uv_now(c->config.loop);
    c->n_calls++;
    if (c->in_flight == 0 && TAILQ_EMPTY(&c->queue))
        c->last_rx = call->made_at;
    if (!uv_is_active((uv_handle_t *)&c->tick))
        uv_timer_start(&c->tick, conn_tick, TICK_MS, TICK_MS);
    /* It keeps its place from now on, so that its id stays its own. */
    c->flight[call->id % CALLS_MAX] = call;
    if (c->destroyed || (!carrier_redials(c->config.carrier) &&
                         c->state == CONN_DOWN && c->generation > 0))
        conn_end_later(c, call, -ECONNRESET);
    else
        TAILQ_INSERT_TAIL(&c->queue, call, entry);
}

struct call *conn_find(struct conn *c, uint32_t id)
{
    struct call *call = c->flight[id % CALLS_MAX];

    return call && call->id == id && call->sent ? call : NULL;
}

void conn_end(struct conn *c, struct call *call, const struct reply *reply)
{
    if (c->flight[call->id % CALLS_MAX] == call)
        c->flight[call->id % CALLS_MAX] = NULL;
    c->n_calls--;
    call->cb(call->arg, reply);
    free(call);
}

void conn_end_later(struct conn *c, struct call *call, int err)
{
    if (c->flight[call->id % CALLS_MAX] == call)
        c->flight[call->id % CALLS_MAX] = NULL;
    call->err = err;
    TAILQ_INSERT_TAIL(&c->ended, call, entry);
    uv_timer_start(&c->tick, conn_tick, 0, TICK_MS);
}

static int gather(struct conn *c, struct iovec *iov)
{
    size_t skip = c->sent;
    struct call *call;
    int n = 0;

    TAILQ_FOREACH(call, &c->queue, entry)
    {
        if (n + 2 > IOV_COUNT)
            break;
        if (skip < call->len) {
            iov[n].iov_base = call->packet + skip;
            iov[n++].iov_len = call->len - skip;
            skip = 0;
        } else {
            skip -= call->len;
        }
        if (skip < call->payload_len) {
            iov[n].iov_base = (void *)(uintptr_t)(call->payload + skip);
            iov[n++].iov_len = call->payload_len - skip;
        }
        skip = 0;
    }
    return n;
}

/* n more bytes of the queue are sent. */
static void advance(struct conn *c, size_t n)
{
    struct call *call;

    c->sent += n;
    while ((call = TAILQ_FIRST(&c->queue)) &&
           c->sent >= (size_t)call->len + call->payload_len) {
        c->sent -= (size_t)call->len + call->payload_len;
        TAILQ_REMOVE(&c->queue, call, entry);
        call->sent = true;
        call->sent_at = conn_clock();
        if (call->flags & CONN_SLOW)
            c->slow++;
        if (c->in_flight++ == 0)
            c->last_rx = uv_now(c->config.loop);
    }
}

int conn_send(struct conn *c)
{
    struct transport *t = c->transport;
    struct iovec iov[IOV_COUNT];
    int rc = t->ops->flush(t);

    while (rc == 0 && !TAILQ_EMPTY(&c->queue)) {
        int n = gather(c, iov);
        ssize_t done = t->ops->write(t, iov, n);

        if (done < 0)
            return done == -EAGAIN ? 0 : (int)done;
        advance(c, (size_t)done);
    }
    return rc == -EAGAIN ? 0 : rc;
}

bool conn_is_up(const struct conn *c)
{
    return c->state == CONN_UP;
}

const struct tp_error *conn_failure(const struct conn *c)
{
    return &c->failure;
}

uint32_t conn_extensions(const struct conn *c)
{
    return c->extensions;
}

uint32_t conn_generation(const struct conn *c)
{
    return c->generation;
}

unsigned conn_calls(const struct conn *c)
{
    return c->n_calls;
}

uint64_t conn_rtt(const struct conn *c)
{
    return c->rtt;
}

uint32_t conn_window(const struct conn *c)
{
    return c->state == CONN_UP && c->transport->window ? c->transport->window
                                                       : UINT32_MAX;
}

unsigned conn_attempts(const struct conn *c)
{
    return c->attempts;
}
