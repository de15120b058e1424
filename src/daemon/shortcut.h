/*
 * shortcut.h - captured connections that do not go through the cluster
 *
 * A connection of this namespace to an address that is engaged by this very
 * session would come back here; it goes straight to the local program. Who
 * knows the addresses is engagement_shortcut.c; the data path asks for each new
 * connection or flow. If nobody listens there, it goes to the cluster.
 */
#ifndef TP_DAEMON_SHORTCUT_H
#define TP_DAEMON_SHORTCUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sockaddr.h"

struct shortcut {
    union sockaddr_any addr; /* the local program */
    uint32_t mark;           /* SO_MARK of the socket to it; 0: none */
};

/* True if there is one to dst; fills *out. */
typedef bool shortcut_cb(void *arg, const union sockaddr_any *dst, bool udp,
                         struct shortcut *out);

struct shortcuts {
    shortcut_cb *find_cb; /* NULL: there are none */
    void *arg;
};

static inline bool shortcuts_find(const struct shortcuts *s,
                                  const union sockaddr_any *dst, bool udp,
                                  struct shortcut *out)
{
    return s->find_cb && s->find_cb(s->arg, dst, udp, out);
}

#endif
