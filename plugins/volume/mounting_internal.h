/*
 * mounting_internal.h - mounting.c: users, requests, what is waited for;
 * mounting_programs.c: the two processes
 */
#ifndef TP_VOLUME_MOUNTING_INTERNAL_H
#define TP_VOLUME_MOUNTING_INTERNAL_H

#include <sys/queue.h>

#include <uv.h>

#include "mounting.h"
#include "program.h"
#include "volumes.h"

enum mounting_state { DOWN, LOOKING, STARTING, UP, DRAINING };

struct mounting_id;
struct mounting_op;

struct mounting {
    struct volume *v;
    enum mounting_state state;
    LIST_HEAD(, mounting_id) ids;
    unsigned n_ids, n_ops, done;   /* done: how many requests were, ever */
    TAILQ_HEAD(, mounting_op) ops; /* the first one is being done */
    struct program *broker, *mount;
    /* What the two share, -1: none. tp-mount's end is given away when that
     * starts; the broker's is kept for one that takes the place of another. */
    int mount_end, broker_end;
    uv_timer_t *timer;    /* of the state */
    uv_timer_t *again;    /* a broker that ended is started again */
    uint64_t broker_at;   /* when the last one was, ms of the loop */
    unsigned broker_wait; /* ms, before the next one */
    bool nudged, ending;
    char error[512]; /* of this try */
};

/* ---- mounting_programs.c --------------------------------------------------
 */

/* Starts the broker, and tp-mount once that has said what is served; 0 or a
 * negative errno. dir: the daemon's control volume. */
int mounting_start(struct mounting *m, const char *dir);
/* Both processes go; mounting_settle() is called at their ends. */
void mounting_give_up(struct mounting *m);
void mounting_close_ends(struct mounting *m);
void mounting_again_cb(uv_timer_t *timer);

/* ---- mounting.c ------------------------------------------------------------
 */

/* The first one counts. */
void mounting_set_error(struct mounting *m, const char *text);
/* tp-mount says that it is ready. */
void mounting_is_ready(struct mounting *m);
/* Whenever a process has ended: DOWN once both have. */
void mounting_settle(struct mounting *m);

#endif
