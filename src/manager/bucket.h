/*
 * bucket.h - a token bucket: so many a second, so many at once
 */
#ifndef TP_MANAGER_BUCKET_H
#define TP_MANAGER_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double rate;  /* tokens a second */
    double burst; /* most tokens */
    double tokens;
    uint64_t at_ms;
};

static inline void bucket_init(struct bucket *b, double rate, double burst,
                               uint64_t now_ms)
{
    b->rate = rate;
    b->burst = b->tokens = burst;
    b->at_ms = now_ms;
}

static inline double bucket_fill(struct bucket *b, uint64_t now_ms)
{
    b->tokens += b->rate * (double)(now_ms - b->at_ms) / 1000;
    if (b->tokens > b->burst)
        b->tokens = b->burst;
    b->at_ms = now_ms;
    return b->tokens;
}

/* Takes one token if there is one. */
static inline bool bucket_take(struct bucket *b, uint64_t now_ms)
{
    if (bucket_fill(b, now_ms) < 1)
        return false;
    b->tokens -= 1;
    return true;
}

#endif
