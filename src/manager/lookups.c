#include "manager/lookups.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct lookup {
    TAILQ_ENTRY(lookup) entry; /* oldest first */
    LIST_ENTRY(lookup) same;   /* of the bucket */
    char key[LOOKUP_KEY], value[LOOKUP_VALUE];
    bool asking;
    uint64_t until;
    TAILQ_HEAD(, lookup_waiter) waiters;
};

struct lookups {
    uv_loop_t *loop;
    unsigned ttl_ms;
    size_t count, max;
    TAILQ_HEAD(, lookup) list;
    LIST_HEAD(, lookup) buckets[BUCKETS];
};

/* FNV-1a. Keys are addresses and namespaces of the cluster; who could choose
 * them for their buckets gains a list of at most `max`. */
static size_t bucket_of(const char *key)
{
    uint32_t h = 2166136261u;

    for (; *key; key++)
        h = (h ^ (uint8_t)*key) * 16777619u;
    return h % BUCKETS;
}

struct lookups *lookups_create(uv_loop_t *loop, unsigned ttl_ms, size_t max)
{
    struct lookups *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->loop = loop;
    l->ttl_ms = ttl_ms;
    l->max = max;
    TAILQ_INIT(&l->list);
    return l;
}

static void forget(struct lookups *l, struct lookup *item)
{
    struct lookup_waiter *w;

    while ((w = TAILQ_FIRST(&item->waiters)))
        lookup_cancel(w);
    TAILQ_REMOVE(&l->list, item, entry);
    LIST_REMOVE(item, same);
    l->count--;
    free(item);
}

void lookups_destroy(struct lookups *l)
{
    struct lookup *item;

    if (!l)
        return;
    while ((item = TAILQ_FIRST(&l->list)))
        forget(l, item);
    free(l);
}

static struct lookup *find(struct lookups *l, const char *key)
{
    struct lookup *item;

    LIST_FOREACH(item, &l->buckets[bucket_of(key)], same)
    {
        if (!strcmp(item->key, key))
            return item;
    }
    return NULL;
}

static bool is_old(const struct lookups *l, const struct lookup *item)
{
    return !item->asking && item->until <= uv_now(l->loop);
}

static bool make_room(struct lookups *l)
{
    struct lookup *item;

    while ((item = TAILQ_FIRST(&l->list)) && is_old(l, item))
        forget(l, item);
    if (l->count < l->max)
        return true;
    TAILQ_FOREACH(item, &l->list, entry)
    {
        if (!item->asking) {
            forget(l, item);
            return true;
        }
    }
    return false;
}

static struct lookup *add(struct lookups *l, const char *key)
{
    struct lookup *item = make_room(l) ? calloc(1, sizeof(*item)) : NULL;

    if (!item)
        return NULL;
    snprintf(item->key, sizeof(item->key), "%s", key);
    TAILQ_INIT(&item->waiters);
    TAILQ_INSERT_TAIL(&l->list, item, entry);
    LIST_INSERT_HEAD(&l->buckets[bucket_of(key)], item, same);
    l->count++;
    return item;
}

enum lookup_state lookups_find(struct lookups *l, const char *key,
                               struct lookup_waiter *waiter,
                               char value[LOOKUP_VALUE])
{
    struct lookup *item = find(l, key);
    bool ask;

    waiter->lookup = NULL;
    if (strlen(key) >= LOOKUP_KEY)
        return LOOKUP_FULL;
    if (item && is_old(l, item)) {
        forget(l, item);
        item = NULL;
    }
    if (item && !item->asking) {
        memcpy(value, item->value, LOOKUP_VALUE);
        return LOOKUP_KNOWN;
    }
    ask = !item;
    if (!item)
        item = add(l, key);
    if (!item)
        return LOOKUP_FULL;
    item->asking = true;
    waiter->lookup = item;
    TAILQ_INSERT_TAIL(&item->waiters, waiter, entry);
    return ask ? LOOKUP_ASK : LOOKUP_WAITS;
}

void lookups_answer(struct lookups *l, const char *key, int status,
                    const char *value)
{
    struct lookup *item = find(l, key);
    struct lookup_waiter *w;

    if (!item)
        return;
    if (status == 0)
        snprintf(item->value, sizeof(item->value), "%s", value);
    /* A callback may cancel another that waits, or ask for the same again: it
     * waits, too, and is told in its turn. */
    while ((w = TAILQ_FIRST(&item->waiters))) {
        lookup_cancel(w);
        w->cb(w->arg, status, status == 0 ? value : "");
    }
    item->asking = false;
    item->until = uv_now(l->loop) + l->ttl_ms;
    if (status < 0)
        forget(l, item);
}

void lookup_cancel(struct lookup_waiter *waiter)
{
    if (waiter->lookup)
        TAILQ_REMOVE(&waiter->lookup->waiters, waiter, entry);
    waiter->lookup = NULL;
}
