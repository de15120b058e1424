#include "agent/replicas_internal.h"

#include <stdlib.h>

#include "base/log.h"

#define SWEEP_MS 500 /* of links that were given up */

/* ---- engagements --------------------------------------------------------- */

static size_t count_entries(const struct replicas *all)
{
    const struct replica *replica;
    size_t n = 0;

    LIST_FOREACH(replica, &all->list, entry)
    n += replica->engaged.n;
    return n;
}

void replicas_publish(struct replicas *all)
{
    size_t max = count_entries(all), n = 0;
    struct engaged_entry *merged = calloc(max ? max : 1, sizeof(*merged));
    struct agent_engagement *list = calloc(max ? max : 1, sizeof(*list));
    struct replica *replica;

    /* Without memory: none, so that no tunnel is used that goes away now. */
    LIST_FOREACH(replica, &all->list, entry)
    {
        if (merged && list)
            n = engaged_merge(&replica->engaged, merged, n);
    }
    for (size_t i = 0; i < n; i++)
        list[i] = merged[i].engagement;
    all->config.engagements_cb(all->config.engagements_arg, list, n);
    free(merged);
    free(list);
}

/* ---- when to dial -------------------------------------------------------- */

static bool seed_is_needed(const struct replicas *all)
{
    const struct replica *replica;

    LIST_FOREACH(replica, &all->list, entry)
    {
        if (replica->out.ready && !replica->draining)
            return false;
    }
    return true;
}

/* An in link alone would be of no use, and fails as the out link does. */
static bool is_wanted(const struct replicas *all, const struct slot *slot)
{
    const struct replica *replica = slot->replica;

    if (slot->link)
        return false;
    if (replica == &all->seed)
        return seed_is_needed(all);
    return !replica->draining && (slot->kind == LINK_OUT || replica->out.ready);
}

typedef void slot_fn(struct replicas *all, struct slot *slot, void *arg);

static void each_slot(struct replicas *all, slot_fn *fn, void *arg)
{
    struct replica *replica, *next;

    fn(all, &all->seed.out, arg);
    for (replica = LIST_FIRST(&all->list); replica; replica = next) {
        next = LIST_NEXT(replica, entry);
        fn(all, &replica->out, arg);
        fn(all, &replica->in, arg);
    }
}

static void dial_due(struct replicas *all, struct slot *slot, void *arg)
{
    (void)arg;
    if (is_wanted(all, slot) && slot->due <= uv_now(all->loop))
        slot_dial(slot);
}

static void timer_cb(uv_timer_t *timer)
{
    struct replicas *all = timer->data;

    retired_sweep(all);
    each_slot(all, dial_due, NULL);
    replicas_schedule(all);
}

static void find_next(struct replicas *all, struct slot *slot, void *arg)
{
    uint64_t *next = arg;

    if (is_wanted(all, slot) && slot->due < *next)
        *next = slot->due;
}

void replicas_schedule(struct replicas *all)
{
    uint64_t next = UINT64_MAX, now = uv_now(all->loop);

    if (!LIST_EMPTY(&all->retired))
        next = now + SWEEP_MS;
    each_slot(all, find_next, &next);
    if (next == UINT64_MAX)
        uv_timer_stop(&all->timer);
    else
        uv_timer_start(&all->timer, timer_cb, next > now ? next - now : 0, 0);
}

/* ---- life ---------------------------------------------------------------- */

static void timer_closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

struct replicas *replicas_create(uv_loop_t *loop,
                                 const struct replicas_config *config)
{
    struct replicas *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->loop = loop;
    all->config = *config;
    LIST_INIT(&all->list);
    LIST_INIT(&all->retired);
    all->seed.all = all;
    all->seed.addr = config->seed;
    slot_init(&all->seed.out, &all->seed, LINK_OUT);
    uv_timer_init(loop, &all->timer);
    all->timer.data = all;
    replicas_schedule(all);
    return all;
}

void replicas_destroy(struct replicas *all)
{
    struct replica *replica;

    if (!all)
        return;
    LIST_FOREACH(replica, &all->list, entry)
    engaged_clear(&replica->engaged);
    replicas_publish(all);
    agent_link_destroy(all->seed.out.link);
    while ((replica = LIST_FIRST(&all->list)))
        replica_free(replica);
    while (!LIST_EMPTY(&all->retired))
        retired_destroy(LIST_FIRST(&all->retired));
    uv_close((uv_handle_t *)&all->timer, timer_closed_cb);
}

void replicas_get_stats(const struct replicas *all,
                        struct replicas_stats *stats)
{
    const struct replica *replica;

    *stats = (struct replicas_stats){.known = (unsigned)all->count};
    LIST_FOREACH(replica, &all->list, entry)
    {
        stats->out += replica->out.ready;
        stats->in += replica->in.ready;
    }
}
