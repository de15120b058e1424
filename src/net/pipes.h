/*
 * pipes.h - the pipes that splice(2) needs
 *
 * A connection holds one only while bytes wait in it, so a few serve thousands
 * of connections. Also here: the one buffer for bytes that must be seen
 * (mirrors), and for where no pipe is to be had.
 */
#ifndef TP_NET_PIPES_H
#define TP_NET_PIPES_H

#include <stddef.h>
#include <stdint.h>

#define PIPES_IDLE_MAX 8
#define PIPES_SIZE     (256 * 1024)
#define PIPES_SCRATCH  65536

struct pipes {
    int idle[PIPES_IDLE_MAX][2];
    unsigned n_idle;
    uint8_t scratch[PIPES_SCRATCH]; /* good until the next call-out */
};

/* pair[0] is read, pair[1] written. 0 or a negative errno (-EMFILE). */
int pipes_take(struct pipes *p, int pair[2]);
/* Gives it back and sets both to -1; it must be empty. */
void pipes_put(struct pipes *p, int pair[2]);
/* The same for one that is not empty. */
void pipes_drop(int pair[2]);
/* Closes the idle ones. */
void pipes_release(struct pipes *p);

#endif
