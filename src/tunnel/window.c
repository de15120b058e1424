/*
 * window.c - who gets how much receive window
 *
 * A stream's window is what its peer may send without anybody having read it,
 * so the sum of windows is what a link may have to keep in memory. The rule:
 *
 *   - every stream starts with 64 KiB (SETTINGS_INITIAL_WINDOW_SIZE), and
 *     credit comes back only when the user took the bytes: a reader that stops
 *     keeps at most its window, nobody else waits for it;
 *   - what streams have beyond 64 KiB is `granted`, at most the budget in all;
 *   - a stream whose reader has taken half of its first window gets 256 KiB,
 *     while less than half of the budget is granted;
 *   - a stream whose reader takes a whole window within two round trips is
 *     limited by the window: it doubles, up to 8 MiB, as long as it asks for
 *     less than half of what is free (nobody gets the whole budget). A round
 *     trip counts as half a millisecond at least, and is the smallest that
 *     was seen: under load pings wait in queues, and windows that follow
 *     queues make them longer;
 *   - as a last resort against a peer with many streams, bytes beyond eight
 *     budgets reset the stream that brought them.
 */
#include "tunnel/tunnel_internal.h"

#define WINDOW_SECOND (256 * 1024)
#define RTT_FLOOR_US  500
#define HARD_FACTOR   8

void window_init(struct tunnel *t)
{
    t->base = TUNNEL_WINDOW_BASE;
}

static bool grow(struct tunnel_stream *s, size_t size)
{
    struct tunnel *t = s->tunnel;

    if (nghttp2_session_set_local_window_size(t->h2, NGHTTP2_FLAG_NONE, s->id,
                                              (int32_t)size) != 0)
        return false;
    t->granted += size - s->window;
    s->window = size;
    return true;
}

/* The reader took a whole window since epoch_ns. */
static void window_turned(struct tunnel_stream *s)
{
    struct tunnel *t = s->tunnel;
    int64_t rtt = t->rtt_min_us;
    uint64_t us = (uv_hrtime() - s->epoch_ns) / 1000;
    size_t free_bytes;

    s->epoch_bytes = 0;
    if (rtt < RTT_FLOOR_US)
        rtt = RTT_FLOOR_US;
    if (us > 2 * (uint64_t)rtt || s->window >= TUNNEL_WINDOW_MAX)
        return;
    free_bytes = t->config.budget - t->granted;
    if (t->granted < t->config.budget && s->window <= free_bytes / 2)
        grow(s, s->window * 2);
}

void window_consumed(struct tunnel_stream *s, size_t len)
{
    struct tunnel *t = s->tunnel;

    if (len == 0 || s->h2_closed || s->in_eof || t->ended)
        return;
    nghttp2_session_consume_stream(t->h2, s->id, len);
    if (s->epoch_bytes == 0)
        s->epoch_ns = uv_hrtime();
    s->epoch_bytes += len;
    if (s->window < WINDOW_SECOND && s->epoch_bytes >= s->window / 2 &&
        t->granted < t->config.budget / 2)
        grow(s, WINDOW_SECOND);
    else if (s->epoch_bytes >= s->window)
        window_turned(s);
}

bool window_stored(struct tunnel *t, size_t len)
{
    t->unread += len;
    return t->unread <= HARD_FACTOR * t->config.budget;
}

void window_freed(struct tunnel *t, size_t len)
{
    t->unread -= len;
}

void window_release(struct tunnel_stream *s)
{
    s->tunnel->granted -= s->window - TUNNEL_WINDOW_BASE;
    s->window = TUNNEL_WINDOW_BASE;
}
