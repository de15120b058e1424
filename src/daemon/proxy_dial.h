/*
 * proxy_dial.h - from a destination that a client names to a connected socket
 *
 * Looks the name up, takes those of its addresses that are the cluster's, and
 * connects to one after the other.
 */
#ifndef TP_DAEMON_PROXY_DIAL_H
#define TP_DAEMON_PROXY_DIAL_H

#include <stdint.h>

#include "base/sockaddr.h"

struct proxy;
struct proxy_dial;

/* status 0: fd is connected and the callee's. -EACCES: it is not the cluster's;
 * -ENOENT: there is no such name; else as connect() says it. Called once, from
 * the loop. */
typedef void proxy_dial_cb(void *arg, int status, int fd);

/* host: a name or an address. NULL if out of memory. */
struct proxy_dial *proxy_dial_start(struct proxy *p, const char *host,
                                    uint16_t port, proxy_dial_cb *cb,
                                    void *arg);
/* No callback comes any more; not allowed after it. */
void proxy_dial_cancel(struct proxy_dial *d);

#endif
