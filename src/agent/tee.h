/*
 * tee.h - copies of what a client sends, for mirrors
 *
 * A *tap* sits at one connection and feeds any number of *tees*, one tunnel
 * stream each. A tee has a bounded queue; one that is full, or whose stream
 * fails, is ended and counted: who feeds a tap never waits and never fails.
 * What a mirror answers is read and discarded. A tee outlives its connection
 * until its bytes are out and the far end has finished too.
 */
#ifndef TP_AGENT_TEE_H
#define TP_AGENT_TEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <uv.h>

#include "tunnel/tunnel.h"

#define TEE_QUEUE_MAX  (256 * 1024)      /* of one tee */
#define TEE_QUEUES_MAX (8 * 1024 * 1024) /* of all */

struct tee;
LIST_HEAD(tee_list, tee);

/* All tees of a process; zeroed memory is good. */
struct tees {
    struct tee_list list;
    size_t queued;
    uint64_t copies, ended_early;
};

struct tap {
    struct tee_list list;
    struct tees *tees;
};

void tap_init(struct tap *tap, struct tees *tees);
/* A copy for engagement `id`. */
void tap_add(struct tap *tap, struct tunnel *t, const char *id, uint16_t port);
bool tap_is_empty(const struct tap *tap);
void tap_write(struct tap *tap, const void *data, size_t len);
/* The client has sent its last byte (or, reset, has gone). The tap is empty
 * then; more calls do nothing. */
void tap_end(struct tap *tap, bool reset, uint64_t now_ms);

/* Ends the tees that keep() does not want. */
typedef bool tees_keep_cb(void *arg, const char *id, const struct tunnel *t);
void tees_filter(struct tees *tees, tees_keep_cb *keep, void *arg);
/* Ends those whose far end does not finish; true while some are left that the
 * time will come for. */
bool tees_sweep(struct tees *tees, uint64_t now_ms);
/* Ends all. */
void tees_release(struct tees *tees);

#endif
