/*
 * bucket.h - a token bucket: so many a second, so many at once
 *
 * The caller gives the time, in milliseconds of any clock that never goes back
 * (uv_now()), so that a loop's turn sees one time.
 */
#ifndef TP_BASE_BUCKET_H
#define TP_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double rate;   /* tokens a second */
    double burst;  /* most tokens */
    double tokens; /* below 0: debt, see bucket_spend() */
    uint64_t at_ms;
};

/* Full at first. */
void bucket_init(struct bucket *b, double rate, double burst, uint64_t now_ms);

/* Adds what has come since the last call; returns what is there. */
double bucket_fill(struct bucket *b, uint64_t now_ms);

/* Takes one token if there is one. */
bool bucket_take(struct bucket *b, uint64_t now_ms);

/* Takes tokens that are used already, into debt if there are not so many: who
 * cannot know the amount before asks bucket_fill() for more than 0. */
void bucket_spend(struct bucket *b, double tokens);

#endif
