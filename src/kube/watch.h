/*
 * watch.h - follows a collection of the Kubernetes API
 *
 * A thread of its own lists the collection and then watches it; what it learns
 * is handed to the loop in order, a bounded batch at a turn. It reconnects by
 * itself, with growing pauses, and lists again when the server has forgotten
 * where it was (410). The callbacks of one list are
 *
 *   WATCH_LIST, WATCH_PUT..., WATCH_LISTED     what was not put is gone
 *   WATCH_PUT, WATCH_DELETED...                as it happens
 *
 * and WATCH_LIST may come at any time, also within a list that failed.
 */
#ifndef TP_KUBE_WATCH_H
#define TP_KUBE_WATCH_H

#include <uv.h>

#include "base/error.h"
#include "kube/client.h"

struct watch;

enum watch_event {
    WATCH_LIST,    /* a list starts */
    WATCH_PUT,     /* obj is new, or changed, or as it was */
    WATCH_DELETED, /* obj was this */
    WATCH_LISTED,  /* the list is complete; text: its resourceVersion */
    WATCH_TROUBLE, /* text: why nothing is heard; it is tried again */
};

/* obj and text are borrowed; the loop is the only one that holds obj, so it may
 * be kept by json_object_get(). */
typedef void watch_cb(void *arg, enum watch_event event,
                      struct json_object *obj, const char *text);

/* path: "/apis/GROUP/VERSION/namespaces/NS/RESOURCE", or with a query that
 * selects ("?labelSelector=..."). ep is borrowed for the object's life. NULL
 * with err filled. */
struct watch *watch_create(uv_loop_t *loop, const struct kube_endpoint *ep,
                           const char *path, watch_cb *cb, void *arg,
                           struct tp_error *err);

/* No callback comes any more. Waits for the thread, which is woken up; the
 * memory goes with the loop's next turn. NULL is fine. */
void watch_close(struct watch *w);

#endif
