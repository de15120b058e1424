/*
 * scope.h - in whose namespace an address is, and whether its user may go there
 *
 * With `dial.scope: namespace` (SECURITY 20) a link reaches Services and pods
 * of those namespaces only in which its user may `create connections`. The
 * owner of an address is asked of the API server when it is dialled, and kept
 * for some seconds.
 */
#ifndef TP_MANAGER_SCOPE_H
#define TP_MANAGER_SCOPE_H

#include "base/sockaddr.h"
#include "manager/lookups.h"

struct api;
struct authorization;
struct link;
struct metrics;
struct scope;

/* 0, -EACCES, or another negative errno: nobody could tell. */
typedef void scope_cb(void *arg, int status);

/* One question; in the struct of who asks. */
struct scope_check {
    struct lookup_waiter waiter;
    struct link *link;
    scope_cb *cb;
    void *arg;
};

/* NULL if out of memory. */
struct scope *scope_create(uv_loop_t *loop, struct api *api,
                           struct metrics *metrics);
/* No callback comes any more. What is asked of the API server must have been
 * answered (after the loop has ended). NULL is fine. */
void scope_destroy(struct scope *s);

/* May the link's user dial addr? 0, a refusal as above, or -EINPROGRESS: then
 * cb comes once, from the loop, unless it is cancelled. */
int scope_start(struct scope *s, struct scope_check *check, struct link *link,
                const union sockaddr_any *addr, scope_cb *cb, void *arg);
void scope_cancel(struct scope_check *check);

#endif
