#include "base/bucket.h"

void bucket_init(struct bucket *b, double rate, double burst, uint64_t now_ms)
{
    b->rate = rate;
    b->burst = b->tokens = burst;
    b->at_ms = now_ms;
}

double bucket_fill(struct bucket *b, uint64_t now_ms)
{
    if (now_ms <= b->at_ms)
        return b->tokens;
    b->tokens += b->rate * (double)(now_ms - b->at_ms) / 1000;
    if (b->tokens > b->burst)
        b->tokens = b->burst;
    b->at_ms = now_ms;
    return b->tokens;
}

bool bucket_take(struct bucket *b, uint64_t now_ms)
{
    if (bucket_fill(b, now_ms) < 1)
        return false;
    b->tokens -= 1;
    return true;
}

void bucket_spend(struct bucket *b, double tokens)
{
    b->tokens -= tokens;
}
