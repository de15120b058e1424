/*
 * watch_internal.h - what watch.c (the loop's side, the queue) and
 * watch_thread.c (the requests) share
 */
#ifndef TP_KUBE_WATCH_INTERNAL_H
#define TP_KUBE_WATCH_INTERNAL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "kube/client_internal.h"
#include "kube/watch.h"

#define WATCH_VERSION_MAX 64 /* a resourceVersion's text */

struct watch_item {
    STAILQ_ENTRY(watch_item) entry;
    enum watch_event event;
    struct json_object *obj;
    char *text;
};

struct watch {
    /* The loop's. */
    uv_async_t async;
    uv_thread_t thread;
    watch_cb *cb;
    void *arg;

    /* The thread's. */
    struct kube_client *client;
    char *path;
    char version[WATCH_VERSION_MAX];
    unsigned pause_ms; /* before the next attempt; 0: none was needed */

    CURLM *multi; /* the thread's; the loop only wakes it up */
    uv_mutex_t lock;
    uv_cond_t cond; /* there is room, or it is time to stop */
    STAILQ_HEAD(, watch_item) queue;
    size_t queued;
    bool stopping;
};

/* In the thread. Hands an event to the loop, waiting while there is no room.
 * Takes obj; text is copied. 0, -ECANCELED (stopping), -ENOMEM. */
int watch_post(struct watch *w, enum watch_event event, struct json_object *obj,
               const char *text);
bool watch_is_stopping(struct watch *w);
/* Sleeps, or less if it is time to stop. */
void watch_pause(struct watch *w, unsigned ms);

/* The thread's main function; arg is the watch. */
void watch_thread(void *arg);

#endif
