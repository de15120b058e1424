#include "manager/dial_turns.h"

static void idle_cb(uv_idle_t *idle)
{
    (void)idle; /* only keeps the poll from waiting */
}

static bool has_room(const struct dial_turns *turns)
{
    return turns->taken < DIAL_TURN_MAX && turns->spent < DIAL_TURN_NS;
}

static void start(struct dial_turns *turns, struct dial_share *share,
                  struct dial_job *job)
{
    uint64_t begin = uv_hrtime();

    if (share->turn != turns->turn) {
        share->turn = turns->turn;
        share->taken = 0;
    }
    share->taken++;
    turns->taken++;
    job->start_cb(job);
    turns->spent += uv_hrtime() - begin;
}

/* Takes the job out of its share, and the share out of the round if that was
 * its last one. */
static void remove_job(struct dial_turns *turns, struct dial_job *job)
{
    struct dial_share *share = job->share;

    TAILQ_REMOVE(&share->jobs, job, entry);
    job->share = NULL;
    if (TAILQ_EMPTY(&share->jobs))
        TAILQ_REMOVE(&turns->waiting, share, entry);
}

/* One job of the share whose turn it is, which goes to the end of the round. */
static void serve_one(struct dial_turns *turns)
{
    struct dial_share *share = TAILQ_FIRST(&turns->waiting);
    struct dial_job *job = TAILQ_FIRST(&share->jobs);

    remove_job(turns, job);
    if (!TAILQ_EMPTY(&share->jobs)) {
        TAILQ_REMOVE(&turns->waiting, share, entry);
        TAILQ_INSERT_TAIL(&turns->waiting, share, entry);
    }
    start(turns, share, job);
}

/* The loop's next turn. */
static void check_cb(uv_check_t *check)
{
    struct dial_turns *turns = check->data;
    bool rested = turns->taken == 0;

    turns->turn++;
    turns->taken = 0;
    turns->spent = 0;
    while (has_room(turns) && !TAILQ_EMPTY(&turns->waiting))
        serve_one(turns);
    if (!TAILQ_EMPTY(&turns->waiting))
        return;
    uv_idle_stop(&turns->idle);
    if (rested && turns->taken == 0)
        uv_check_stop(&turns->check);
}

void dial_turns_init(struct dial_turns *turns, uv_loop_t *loop)
{
    *turns = (struct dial_turns){.turn = 1};
    TAILQ_INIT(&turns->waiting);
    uv_check_init(loop, &turns->check);
    uv_idle_init(loop, &turns->idle);
    turns->check.data = turns->idle.data = turns;
}

void dial_turns_close(struct dial_turns *turns)
{
    uv_close((uv_handle_t *)&turns->check, NULL);
    uv_close((uv_handle_t *)&turns->idle, NULL);
}

void dial_share_init(struct dial_share *share)
{
    *share = (struct dial_share){0};
    TAILQ_INIT(&share->jobs);
}

static bool may_start(const struct dial_turns *turns,
                      const struct dial_share *share)
{
    return TAILQ_EMPTY(&share->jobs) && has_room(turns) &&
           (share->turn != turns->turn || share->taken < DIAL_SHARE_MAX);
}

void dial_turns_submit(struct dial_turns *turns, struct dial_share *share,
                       struct dial_job *job)
{
    if (uv_is_closing((uv_handle_t *)&turns->check))
        return;
    uv_check_start(&turns->check, check_cb);
    if (may_start(turns, share)) {
        start(turns, share, job);
        return;
    }
    if (TAILQ_EMPTY(&share->jobs))
        TAILQ_INSERT_TAIL(&turns->waiting, share, entry);
    TAILQ_INSERT_TAIL(&share->jobs, job, entry);
    job->share = share;
    uv_idle_start(&turns->idle, idle_cb);
}

void dial_turns_cancel(struct dial_turns *turns, struct dial_job *job)
{
    if (job->share)
        remove_job(turns, job);
}
