/*
 * route_list.h - what this namespace has routes to
 */
#ifndef TP_DAEMON_ROUTE_LIST_H
#define TP_DAEMON_ROUTE_LIST_H

#include <uv.h>

#include "base/error.h"
#include "daemon/route_policy.h"

/* Adds the subnets of all unicast routes (rtnetlink(7)) but default routes and
 * halves of the address space, which VPNs use as such, those to lo, and
 * link-local ones. 0 or a negative errno with err filled. */
int route_list_read(struct subnet_list *list, struct tp_error *err);

struct route_watch;

/* changed_cb is called some time (ROUTE_WATCH_MS) after routes have changed,
 * once for many changes. NULL if the kernel does not tell. */
#define ROUTE_WATCH_MS 300
struct route_watch *
route_watch_create(uv_loop_t *loop, void (*changed_cb)(void *arg), void *arg);
void route_watch_destroy(struct route_watch *w);

#endif
