/* The life of the link under a connection: dialled, opened, lost, dialled
 * again; and the time-outs of everything that waits for it. */
#include "fuse/conn_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fuse/memory.h"

#define BACKOFF_FIRST 100 /* ms */
#define BACKOFF_LAST  2000
#define BROKER_MS     5 /* between looks for its answer */
#define REPEATS_MAX   16
#define SLOW_FACTOR   10

static uint64_t now_ms(const struct conn *c)
{
    return uv_now(c->config.loop);
}

static void ready_cb(uv_poll_t *poll, int status, int events);

void conn_watch(struct conn *c)
{
    struct transport *t = c->transport;
    short events;

    if (!t)
        return;
    events =
        t->ops->events(t, c->state >= CONN_VERSION && !TAILQ_EMPTY(&c->queue));
    uv_poll_start(c->poll,
                  (events & POLLIN ? UV_READABLE : 0) |
                      (events & POLLOUT ? UV_WRITABLE : 0),
                  ready_cb);
}

static int say_init(struct conn *c)
{
    uint8_t packet[16];
    struct sftp_writer w;
    struct iovec iov;
    ssize_t n;

    sftp_writer_init(&w, packet, sizeof(packet));
    sftp_encode_init(&w);
    iov.iov_base = packet;
    iov.iov_len = w.len;
    n = c->transport->ops->write(c->transport, &iov, 1);
    c->state = CONN_VERSION;
    /* A socket that has just been opened has room for nine bytes. */
    return n == (ssize_t)w.len ? 0 : n < 0 ? (int)n : -EIO;
}

int conn_greet(struct conn *c, struct sftp_reader *body)
{
    int rc = sftp_decode_version(body, &c->extensions);

    if (rc < 0)
        return rc;
    if (c->generation > 0)
        log_info("%s: connected again", c->config.name);
    c->state = CONN_UP;
    c->backoff = 0;
    c->attempts = 0;
    c->failure.code = 0;
    c->config.up_cb(c->config.arg, c);
    return 0;
}

/* Reads and writes until nothing moves. */
static int pump(struct conn *c)
{
    int rc = 0;

    if (c->state == CONN_OPENING) {
        rc = c->transport->ops->open(c->transport, &c->failure);
        if (rc == 0)
            rc = say_init(c);
        if (rc < 0)
            return rc;
    }
    rc = conn_receive(c);
    if (rc >= 0 && c->state >= CONN_VERSION) {
        int more = rc;

        rc = c->state == CONN_UP ? conn_send(c)
                                 : c->transport->ops->flush(c->transport);
        if (rc == -EAGAIN)
            rc = 0;
        /* What SSH has read while it wrote is in its memory, not in the
         * socket, whose readiness would tell. */
        if (rc == 0 && c->config.identity)
            more = rc = conn_receive(c);
        if (rc >= 0 && more)
            uv_timer_start(&c->tick, conn_tick, 0, TICK_MS);
    }
    return rc;
}

static void run(struct conn *c)
{
    int rc = pump(c);

    if (rc < 0 && rc != -EAGAIN)
        conn_lose(c, rc,
                  rc == -EPROTO ? "the server's answer makes no sense"
                                : "the link was lost");
    else
        conn_watch(c);
}

static void ready_cb(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;

    /* A hang-up is reported as EBADF; the socket knows better. */
    (void)status;
    (void)events;
    if (c->transport)
        run(c);
}

/* Sends in one go what one turn of the loop has made. */
static void before_cb(uv_prepare_t *before)
{
    struct conn *c = before->data;

    if (c->state != CONN_UP || TAILQ_EMPTY(&c->queue))
        return;
    run(c);
}

static void poll_closed_cb(uv_handle_t *handle)
{
    free(handle);
}

/* The poll handle outlives its socket until libuv has let go of it. */
static void close_poll(struct conn *c)
{
    struct transport *t = c->transport;

    c->transport = NULL;
    uv_close((uv_handle_t *)c->poll, poll_closed_cb);
    c->poll = NULL;
    t->ops->destroy(t);
}

/* Whether a call that was sent is sent again. What a server answers with
 * nonsense, or by hanging up, it would answer so again. */
static bool may_repeat(struct conn *c, struct call *call, int err)
{
    return call->flags & CONN_REPEAT && err != -EPROTO &&
           ++call->repeats <= REPEATS_MAX && carrier_redials(c->config.carrier);
}

/* Those that were sent and may be repeated go back in front of the queue, in
 * their order; the others end. */
static void sort_out(struct conn *c, int err)
{
    int end_err = err == -EPROTO ? -EIO : -ECONNRESET;
    struct call_list again = TAILQ_HEAD_INITIALIZER(again);
    struct call *call, *next, *before;

    for (uint32_t i = 0; i < CALLS_MAX; i++) {
        call = c->flight[(c->next_id + i) % CALLS_MAX];
        if (!call || !call->sent)
            continue;
        call->sent = false;
        if (may_repeat(c, call, err))
            TAILQ_INSERT_TAIL(&again, call, entry);
        else
            conn_end_later(c, call, end_err);
    }
    for (call = TAILQ_FIRST(&c->queue); call; call = next) {
        bool begun = c->sent > 0 && call == TAILQ_FIRST(&c->queue);

        next = TAILQ_NEXT(call, entry);
        if (!(call->flags & CONN_HANDLE) &&
            (!begun || call->flags & CONN_REPEAT) &&
            carrier_redials(c->config.carrier))
            continue;
        TAILQ_REMOVE(&c->queue, call, entry);
        conn_end_later(c, call, -ECONNRESET);
    }
    before = TAILQ_FIRST(&c->queue);
    while ((call = TAILQ_FIRST(&again))) {
        TAILQ_REMOVE(&again, call, entry);
        if (before)
            TAILQ_INSERT_BEFORE(before, call, entry);
        else
            TAILQ_INSERT_TAIL(&c->queue, call, entry);
    }
    c->sent = 0;
    c->in_flight = c->slow = 0;
}

void conn_lose(struct conn *c, int err, const char *why)
{
    bool was_up = c->state == CONN_UP;

    if (c->failure.code == 0 || was_up)
        tp_error_errno(&c->failure, err, "%s", why);
    if (was_up)
        log_warn("%s: %s", c->config.name, c->failure.text);
    else
        log_debug("%s: %s", c->config.name, c->failure.text);
    if (c->transport)
        close_poll(c);
    c->state = CONN_DOWN;
    c->filling = NULL;
    c->rx_at = c->rx_len = 0;
    if (was_up) {
        c->generation++;
        c->down_since = now_ms(c);
    }
    if (err == -EPROTO)
        c->backoff = BACKOFF_LAST / 4;
    c->dial_at = now_ms(c) + c->backoff;
    c->backoff = c->backoff == 0 ? BACKOFF_FIRST : c->backoff * 2;
    if (c->backoff > BACKOFF_LAST)
        c->backoff = BACKOFF_LAST;
    c->attempts++;
    c->config.lost_cb(c->config.arg, c);
    sort_out(c, err);
    uv_timer_start(&c->tick, conn_tick, 0, TICK_MS);
}

int conn_start_link(struct conn *c)
{
    struct ssh_identity *given;
    int fd = carrier_open(c->config.carrier, &c->turn, &given, &c->failure);

    if (fd == -EAGAIN)
        uv_timer_start(&c->tick, conn_tick, BROKER_MS, TICK_MS);
    if (fd < 0)
        return fd;
    c->failure.code = 0;
    c->transport = c->config.identity
                       ? transport_create_ssh(fd, c->config.identity, given)
                       : transport_create_raw(fd);
    mem_check(c->transport);
    if (c->config.identity && c->config.threaded)
        c->transport = transport_create_thread(c->transport);
    c->state = CONN_OPENING;
    c->last_rx = now_ms(c);
    c->poll = mem_alloc(sizeof(*c->poll));
    uv_poll_init(c->config.loop, c->poll, c->transport->fd);
    c->poll->data = c;
    run(c);
    return 0;
}

static void end_due(struct conn *c)
{
    struct reply reply = {0};
    struct call *call;

    while ((call = TAILQ_FIRST(&c->ended))) {
        TAILQ_REMOVE(&c->ended, call, entry);
        reply.err = call->err;
        conn_end(c, call, &reply);
    }
}

/* What waits for the link has the time-out from the loss on, and at least a
 * second of its own. */
static void expire_queue(struct conn *c)
{
    uint64_t now = now_ms(c), limit = (uint64_t)c->config.timeout * 1000;
    struct call *call, *next;

    if (now - c->down_since < limit)
        return;
    for (call = TAILQ_FIRST(&c->queue); call; call = next) {
        next = TAILQ_NEXT(call, entry);
        if (now - call->made_at < 1000)
            continue;
        TAILQ_REMOVE(&c->queue, call, entry);
        conn_end_later(c, call, -ETIMEDOUT);
    }
}

/* An inherited socket is there once. */
static bool may_dial(const struct conn *c)
{
    return carrier_redials(c->config.carrier) ||
           (c->attempts == 0 && c->generation == 0);
}

static void check_link(struct conn *c)
{
    uint64_t now = now_ms(c), limit = (uint64_t)c->config.timeout * 1000;
    bool awaited = c->in_flight > 0 || !TAILQ_EMPTY(&c->queue);

    if (c->state == CONN_UP) {
        if (c->slow > 0)
            limit *= SLOW_FACTOR;
        if (awaited && now - c->last_rx > limit)
            conn_lose(c, -ETIMEDOUT, "the server does not answer");
    } else if (c->state != CONN_DOWN) {
        if (now - c->last_rx > limit)
            conn_lose(c, -ETIMEDOUT, "the server does not greet");
    } else if (now >= c->dial_at && may_dial(c)) {
        int rc = conn_start_link(c);

        if (rc < 0 && rc != -EAGAIN)
            conn_lose(c, rc, "connect");
    }
}

void conn_tick(uv_timer_t *timer)
{
    struct conn *c = timer->data;

    end_due(c);
    if (c->destroyed)
        return;
    if (c->state == CONN_UP && c->transport)
        run(c);
    check_link(c);
    if (c->state != CONN_UP)
        expire_queue(c);
    end_due(c);
    if (c->state == CONN_UP && c->n_calls == 0)
        uv_timer_stop(timer);
}

struct conn *conn_create(const struct conn_config *config)
{
    struct conn *c = mem_alloc(sizeof(*c));

    c->config = *config;
    TAILQ_INIT(&c->queue);
    TAILQ_INIT(&c->ended);
    c->rx = mem_alloc(RX_BYTES);
    c->rx_size = RX_BYTES;
    c->down_since = now_ms(c);
    uv_timer_init(config->loop, &c->tick);
    uv_prepare_init(config->loop, &c->before);
    c->tick.data = c->before.data = c;
    uv_prepare_start(&c->before, before_cb);
    uv_timer_start(&c->tick, conn_tick, 0, TICK_MS);
    return c;
}

static void destroyed_cb(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    if (handle != (uv_handle_t *)&c->tick)
        return;
    free(c->rx);
    free(c);
}

void conn_destroy(struct conn *c)
{
    struct call *call;

    if (!c)
        return;
    c->destroyed = true;
    if (c->transport)
        close_poll(c);
    for (uint32_t i = 0; i < CALLS_MAX; i++)
        if (c->flight[i] && c->flight[i]->sent)
            conn_end_later(c, c->flight[i], -ECONNRESET);
    while ((call = TAILQ_FIRST(&c->queue))) {
        TAILQ_REMOVE(&c->queue, call, entry);
        conn_end_later(c, call, -ECONNRESET);
    }
    end_due(c);
    uv_close((uv_handle_t *)&c->before, NULL);
    uv_close((uv_handle_t *)&c->tick, destroyed_cb);
}
