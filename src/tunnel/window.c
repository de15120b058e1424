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
 *   - while much lies unread (half of the budget; all of it), the 64 KiB are
 *     16 KiB; 4 KiB, for new streams and, as SETTINGS works, for all (RFC 9113
 *     6.9.2): thousands of stalled streams cost little more than the budget;
 *   - as a last resort against a peer that does not keep to that, bytes beyond
 *     eight budgets reset the stream that brought them.
 */
#include "tunnel/tunnel_internal.h"

#define WINDOW_SECOND (256 * 1024)
#define RTT_FLOOR_US  500
#define HARD_FACTOR   8

void window_init(struct tunnel *t)
{
    t->base = TUNNEL_WINDOW_BASE;
}

static size_t window_of(const struct tunnel_stream *s)
{
    int32_t size = nghttp2_session_get_stream_effective_local_window_size(
        s->tunnel->h2, s->id);

    return size > 0 ? (size_t)size : 1;
}

static void grow(struct tunnel_stream *s, size_t from, size_t to)
{
    struct tunnel *t = s->tunnel;

    if (nghttp2_session_set_local_window_size(t->h2, NGHTTP2_FLAG_NONE, s->id,
                                              (int32_t)to) != 0)
        return;
    t->granted += to - from;
    s->granted += to - from;
}

/* The reader took a whole window since epoch_ns. */
static void window_turned(struct tunnel_stream *s, size_t window)
{
    struct tunnel *t = s->tunnel;
    uint64_t us = (uv_hrtime() - s->epoch_ns) / 1000;
    int64_t rtt = t->rtt_min_us;

    s->epoch_bytes = 0;
    if (rtt < RTT_FLOOR_US)
        rtt = RTT_FLOOR_US;
    if (us > 2 * (uint64_t)rtt || window * 2 > TUNNEL_WINDOW_MAX)
        return;
    if (t->granted < t->config.budget &&
        window <= (t->config.budget - t->granted) / 2)
        grow(s, window, window * 2);
}

/* Credit goes back by quarters. nghttp2 would wait for half of the window: what
 * comes a little above the first half is given back at once, the rest stays
 * below the threshold until more comes, and half of each window is never in
 * flight. */
static void give_back(struct tunnel_stream *s, size_t window)
{
    size_t due = window >= WINDOW_SECOND ? window / 4 : window / 2;

    if (s->owed < due)
        return;
    nghttp2_submit_window_update(s->tunnel->h2, NGHTTP2_FLAG_NONE, s->id,
                                 (int32_t)s->owed);
    s->owed = 0;
}

void window_consumed(struct tunnel_stream *s, size_t len)
{
    struct tunnel *t = s->tunnel;
    size_t window;

    if (len == 0 || s->h2_closed || s->in_eof || t->ended)
        return;
    window = window_of(s);
    s->owed += len;
    give_back(s, window);
    if (s->epoch_bytes == 0)
        s->epoch_ns = uv_hrtime();
    s->epoch_bytes += len;
    if (s->epoch_bytes < t->base / 2)
        return;
    if (window < WINDOW_SECOND && s->epoch_bytes >= window / 2 &&
        t->granted < t->config.budget / 2)
        grow(s, window, WINDOW_SECOND);
    else if (s->epoch_bytes >= window)
        window_turned(s, window);
}

void window_release(struct tunnel_stream *s)
{
    s->tunnel->granted -= s->granted;
    s->granted = 0;
}

/* Announces another first window. */
static void set_base(struct tunnel *t, uint32_t base)
{
    nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, base};

    if (base == t->base || t->ended ||
        nghttp2_submit_settings(t->h2, NGHTTP2_FLAG_NONE, &iv, 1) != 0)
        return;
    t->base = base;
    tunnel_kick(t);
}

bool window_stored(struct tunnel *t, size_t len)
{
    size_t budget = t->config.budget;

    t->unread += len;
    if (t->unread > budget)
        set_base(t, TUNNEL_WINDOW_BASE / 16);
    else if (t->unread > budget / 2 && t->base == TUNNEL_WINDOW_BASE)
        set_base(t, TUNNEL_WINDOW_BASE / 4);
    return t->unread <= HARD_FACTOR * budget;
}

void window_freed(struct tunnel *t, size_t len)
{
    t->unread -= len;
    if (t->base != TUNNEL_WINDOW_BASE && t->unread < t->config.budget / 4)
        set_base(t, TUNNEL_WINDOW_BASE);
}
