/*
 * engaged.h - the engagements that one replica has told
 *
 * Each `engagements` event is a replica's whole list for this pod. The lists of
 * all replicas are merged; an id that two of them have (a session that has just
 * moved) belongs to the one that came to have it last.
 */
#ifndef TP_AGENT_ENGAGED_H
#define TP_AGENT_ENGAGED_H

#include <stddef.h>
#include <stdint.h>

#include "agent/path.h"

struct json_object;
struct tunnel;

/* Of one replica, and of all together: more are left out. */
#define ENGAGED_MAX 256

struct engaged_entry {
    struct agent_engagement engagement;
    uint64_t since; /* which change brought it: later is higher */
};

/* Zero it to begin with. */
struct engaged {
    struct engaged_entry *entries;
    size_t n;
};

/* Replaces the list by the array of an event; entries that are not understood
 * are left out. What was in the list keeps its `since`; what is new gets
 * ++*clock. 0 or -ENOMEM (then the list is as it was). */
int engaged_update(struct engaged *list, struct json_object *array,
                   struct tunnel *tunnel, uint64_t *clock);
void engaged_clear(struct engaged *list);

/* Adds list to the n merged entries of out, which has room for all of it (but
 * ENGAGED_MAX is enough); returns how many there are now. */
size_t engaged_merge(const struct engaged *list, struct engaged_entry *out,
                     size_t n);

#endif
