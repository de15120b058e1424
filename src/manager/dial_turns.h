/*
 * dial_turns.h - whose dial it is
 *
 * A dial is a few system calls. One client may ask for thousands at once, and
 * all links share one loop: so few are made in a turn of the loop, and links
 * that have some waiting take turns, one dial each. A link that asks for one
 * waits behind one dial of every other link, not behind all of theirs.
 */
#ifndef TP_MANAGER_DIAL_TURNS_H
#define TP_MANAGER_DIAL_TURNS_H

#include <stdbool.h>
#include <sys/queue.h>

#include <uv.h>

/* Of all links in one turn; and those that a link makes at once, before its
 * others wait. */
#define DIAL_TURN_MAX  16
#define DIAL_SHARE_MAX 8

/* After so long a turn takes no more of them: a connect() that has to search
 * for a local port takes milliseconds. */
#define DIAL_TURN_NS 2000000

struct dial_share;

/* One dial; embedded in what is dialled. Zeroed before it is submitted. */
struct dial_job {
    TAILQ_ENTRY(dial_job) entry;
    struct dial_share *share; /* it waits there; NULL: it does not */
    void (*start_cb)(struct dial_job *job);
};

TAILQ_HEAD(dial_jobs, dial_job);

/* A link's. */
struct dial_share {
    TAILQ_ENTRY(dial_share) entry;
    struct dial_jobs jobs; /* waiting; on dial_turns.waiting if not empty */
    uint64_t turn;         /* when `taken` was counted */
    unsigned taken;
};

struct dial_turns {
    uv_check_t check;
    uv_idle_t idle; /* so that waiting jobs make the loop turn */
    TAILQ_HEAD(, dial_share) waiting;
    uint64_t turn;
    unsigned taken; /* in this turn */
    uint64_t spent; /* nanoseconds, in this turn */
};

void dial_turns_init(struct dial_turns *turns, uv_loop_t *loop);
/* Jobs that still wait never start. The memory must last until the loop has
 * closed the handles. */
void dial_turns_close(struct dial_turns *turns);
void dial_share_init(struct dial_share *share);

/* Calls job->start_cb once: before this returns, or in a later turn. */
void dial_turns_submit(struct dial_turns *turns, struct dial_share *share,
                       struct dial_job *job);
/* A job that need not start any more; fine if it has started. */
void dial_turns_cancel(struct dial_turns *turns, struct dial_job *job);

#endif
