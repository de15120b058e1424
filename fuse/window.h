/*
 * window.h - how much of a file is under way at once
 *
 * Twice what the path holds (rate * round trip), so that it grows from round
 * trip to round trip until the path is full. More is no gain, and costs: the
 * server keeps it in memory, where OpenSSH's copies grow with it
 * (doc/decisions.md).
 */
#ifndef TP_FUSE_WINDOW_H
#define TP_FUSE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct window {
    uint64_t at, bytes; /* us; since then */
    uint64_t rate;      /* bytes/s; 0: not known yet */
};

/* So many bytes more went by; rtt in us. */
void window_count(struct window *w, uint64_t bytes, uint64_t rtt);

/* At least this; twice that as long as the rate is not known. */
uint64_t window_bytes(const struct window *w, uint64_t rtt, uint64_t least);

#endif
