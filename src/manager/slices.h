/*
 * slices.h - the endpoint slices of the manager's Service, as a watch tells
 * them
 */
#ifndef TP_MANAGER_SLICES_H
#define TP_MANAGER_SLICES_H

#include <stdbool.h>

#include "kube/watch.h"

struct json_object;

/* Zeroed: nothing is known. */
struct slices {
    struct json_object *known; /* name: slice */
    struct json_object *list;  /* the list that comes in now, or NULL */
    bool complete;             /* one was listed to its end */
};

/* Takes an event of watch.h. True if there is something new to look at: never
 * before the first list is complete. What a list does not name is forgotten at
 * its end. */
bool slices_take(struct slices *s, enum watch_event event,
                 struct json_object *obj);

/* {"items": [SLICE...]}; the caller owns it. */
struct json_object *slices_items(const struct slices *s);

void slices_release(struct slices *s);

#endif
