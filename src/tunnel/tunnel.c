/*
 * tunnel.c - life of a link: create, ping, drain, end, destroy
 *
 * A link ends (tunnel_end) when the byte stream or the protocol fails, when no
 * ping is answered, or when a drained link has no stream left: every stream
 * gets closed_cb, then ops->closed_cb comes, and the byte stream is closed. It
 * is freed by tunnel_destroy() alone, in two steps, because libuv gives the
 * handles back from the loop: `released`, then the last close callback.
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Resets a peer may send: 40 000 at once, 10 000 a second for good. A killed
 * load generator is far below, CVE-2023-44487 above. */
#define RESET_BURST 40000
#define RESET_RATE  10000

static void handle_closed_cb(uv_handle_t *handle)
{
    struct tunnel *t = handle->data;

    if (--t->handles == 0)
        free(t);
}

static void io_closed_cb(void *arg)
{
    struct tunnel *t = arg;

    if (--t->handles == 0)
        free(t);
}

static void close_io(struct tunnel *t)
{
    uv_timer_stop(&t->timer);
    link_io_stop(t);
    if (t->io)
        stream_close(t->io, io_closed_cb, t);
    t->io = NULL;
}

static void end_now(struct tunnel *t)
{
    struct tunnel_stream *s;

    while ((s = LIST_FIRST(&t->streams)))
        tstream_finish(s, -EPIPE);
    if (t->end_told || t->destroyed)
        return;
    t->end_told = true;
    close_io(t);
    t->ops->closed_cb(t->arg, t->status, t->why);
}

/* Says goodbye if the socket takes it at once, and frees what can be freed. */
static void release(struct tunnel *t)
{
    t->released = true;
    if (t->io && t->h2)
        link_io_goodbye(t);
    close_io(t);
    nghttp2_session_del(t->h2);
    t->h2 = NULL;
    buf_release(&t->out);
    uv_close((uv_handle_t *)&t->timer, handle_closed_cb);
    uv_close((uv_handle_t *)&t->check, handle_closed_cb);
    uv_close((uv_handle_t *)&t->idle, handle_closed_cb);
}

void tunnel_enter(struct tunnel *t)
{
    t->depth++;
}

void tunnel_leave(struct tunnel *t)
{
    if (t->depth == 1 && t->ended)
        end_now(t);
    if (--t->depth == 0 && t->destroyed && !t->released)
        release(t);
}

void tunnel_end(struct tunnel *t, int status, const char *why)
{
    if (t->ended)
        return;
    t->ended = true;
    t->status = status;
    snprintf(t->why, sizeof(t->why), "%s", why);
    tunnel_enter(t);
    tunnel_leave(t);
}

static int send_ping(struct tunnel *t)
{
    uint64_t now = uv_hrtime();
    uint8_t opaque[8];

    memcpy(opaque, &now, sizeof(opaque));
    if (!t->asked)
        t->asked = now;
    return nghttp2_submit_ping(t->h2, NGHTTP2_FLAG_NONE, opaque);
}

void tunnel_got_pong(struct tunnel *t, const uint8_t opaque[8])
{
    uint64_t sent, now = uv_hrtime();
    int64_t us;

    memcpy(&sent, opaque, sizeof(sent));
    if (sent > now || t->asked == 0)
        return; /* not one of ours */
    t->pings = 0;
    t->asked = 0;
    us = (int64_t)((now - sent) / 1000);
    t->stats.rtt_us = us;
    /* Follows a path that became longer only slowly: under load a ping also
     * waits in queues, which must not make windows grow. */
    if (t->rtt_min_us < 0 || us < t->rtt_min_us)
        t->rtt_min_us = us;
    else
        t->rtt_min_us += (us - t->rtt_min_us) / 64;
}

static void ping_cb(uv_timer_t *timer)
{
    struct tunnel *t = timer->data;

    if (t->pings >= 3) {
        tunnel_end(t, -ETIMEDOUT, "the peer does not answer pings");
        return;
    }
    t->pings++;
    if (send_ping(t) != 0)
        tunnel_end(t, -ENOMEM, "out of memory");
    else
        tunnel_kick(t);
}

void tunnel_probe(struct tunnel *t)
{
    if (t->ended || t->asked)
        return;
    if (send_ping(t) != 0)
        tunnel_end(t, -ENOMEM, "out of memory");
    else
        tunnel_kick(t);
}

bool tunnel_count_reset(struct tunnel *t)
{
    return bucket_take(&t->resets, uv_now(t->loop));
}

static void set_config(struct tunnel *t, const struct tunnel_config *config)
{
    t->config = *config;
    if (t->config.budget == 0)
        t->config.budget = TUNNEL_BUDGET;
    if (t->config.max_streams == 0)
        t->config.max_streams = TUNNEL_STREAMS;
    if (t->config.ping_ms == 0)
        t->config.ping_ms = TUNNEL_PING_MS;
}

static void init_handles(struct tunnel *t)
{
    uv_timer_init(t->loop, &t->timer);
    uv_check_init(t->loop, &t->check);
    uv_idle_init(t->loop, &t->idle);
    t->timer.data = t->check.data = t->idle.data = t;
    t->handles = 4; /* these and the byte stream */
}

struct tunnel *tunnel_create(uv_loop_t *loop, struct stream *s,
                             const struct tunnel_config *config,
                             const struct tunnel_ops *ops, void *arg)
{
    struct tunnel *t = calloc(1, sizeof(*t));

    if (!t) {
        stream_close(s, NULL, NULL);
        return NULL;
    }
    t->loop = loop;
    t->io = s;
    t->ops = ops;
    t->arg = arg;
    t->stats.rtt_us = t->rtt_min_us = -1;
    bucket_init(&t->resets, RESET_RATE, RESET_BURST, uv_now(loop));
    LIST_INIT(&t->streams);
    TAILQ_INIT(&t->ready);
    set_config(t, config);
    init_handles(t);
    window_init(t);
    if (tunnel_session_create(t) != 0 || link_io_create(t) != 0 ||
        send_ping(t) != 0) {
        t->destroyed = t->ended = t->end_told = true;
        release(t);
        errno = ENOMEM;
        return NULL;
    }
    t->pings = 1;
    uv_timer_start(&t->timer, ping_cb, t->config.ping_ms, t->config.ping_ms);
    tunnel_kick(t);
    return t;
}

void tunnel_destroy(struct tunnel *t)
{
    if (!t || t->destroyed)
        return;
    t->destroyed = t->ended = true;
    tunnel_enter(t);
    end_now(t);
    tunnel_leave(t);
}

void tunnel_drain(struct tunnel *t)
{
    int32_t last;

    if (t->ended || t->draining)
        return;
    t->draining = true;
    last = nghttp2_session_get_last_proc_stream_id(t->h2);
    nghttp2_submit_goaway(t->h2, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR,
                          NULL, 0);
    tunnel_kick(t);
}

bool tunnel_is_draining(const struct tunnel *t)
{
    return t->draining || t->peer_draining;
}

void tunnel_get_stats(const struct tunnel *t, struct tunnel_stats *stats)
{
    *stats = t->stats;
    if (t->asked && !t->ended)
        stats->silent_ms = (int64_t)((uv_hrtime() - t->asked) / 1000000) + 1;
}
