/*
 * lookups.h - answers that are asked for once and kept for a while
 *
 * A burst of connections to one place asks one question: the first asks it, the
 * others wait. A key and a value are short texts. What cannot be answered is
 * not kept. Bounded: the oldest answers go first.
 */
#ifndef TP_MANAGER_LOOKUPS_H
#define TP_MANAGER_LOOKUPS_H

#include <stddef.h>

#include <sys/queue.h>
#include <uv.h>

#define LOOKUP_KEY   160
#define LOOKUP_VALUE 64

struct lookup;
struct lookups;

/* status 0 with the value, or a negative errno. The waiter is free again. */
typedef void lookup_cb(void *arg, int status, const char *value);

struct lookup_waiter {
    TAILQ_ENTRY(lookup_waiter) entry;
    struct lookup *lookup; /* NULL: it does not wait */
    lookup_cb *cb;
    void *arg;
};

enum lookup_state {
    LOOKUP_KNOWN, /* value is filled; the waiter was not needed */
    LOOKUP_WAITS, /* somebody else has asked */
    LOOKUP_ASK,  /* waits, and the caller has to bring lookups_answer() about */
    LOOKUP_FULL, /* too much is asked for at once, or out of memory */
};

/* Keeps at most `max` keys, each for ttl_ms. NULL if out of memory. */
struct lookups *lookups_create(uv_loop_t *loop, unsigned ttl_ms, size_t max);
/* Who waits is forgotten. NULL is fine. */
void lookups_destroy(struct lookups *l);

/* waiter->cb and arg are set by the caller. */
enum lookup_state lookups_find(struct lookups *l, const char *key,
                               struct lookup_waiter *waiter,
                               char value[LOOKUP_VALUE]);
/* Tells all who wait for key. value is not looked at with a status below 0. */
void lookups_answer(struct lookups *l, const char *key, int status,
                    const char *value);
/* Fine if it does not wait. */
void lookup_cancel(struct lookup_waiter *waiter);

#endif
