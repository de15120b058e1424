/*
 * resolvconf.h - /etc/resolv.conf as a pod would have it
 *
 * Docker bind-mounts the file, and containers that join the namespace have the
 * same inode: it is only ever written in place. What Docker wrote is kept in
 * comment lines of the file itself ("# tp: <line>"), so that it is found again
 * by a tp-daemon that was started anew, and is not mistaken for it after
 * Docker wrote the file afresh (each start of the container).
 */
#ifndef TP_DAEMON_RESOLVCONF_H
#define TP_DAEMON_RESOLVCONF_H

#include <stddef.h>

#include "base/error.h"
#include "base/sockaddr.h"

#define RESOLVCONF_MAX         16384 /* bytes of the file */
#define RESOLVCONF_MAX_SERVERS 3     /* as MAXNS of resolv.h */

struct resolvconf {
    char *path;
    char *original; /* Docker's text */
    union sockaddr_any servers[RESOLVCONF_MAX_SERVERS];
    size_t n_servers;
    char *search; /* Docker's search list, "" if none */
};

/* Reads Docker's part of the file. A missing file is an empty one. */
int resolvconf_read(struct resolvconf *rc, const char *path,
                    struct tp_error *err);
void resolvconf_release(struct resolvconf *rc);

/* Writes the pod's form; domain and ns are valid DNS names. */
int resolvconf_write(const struct resolvconf *rc,
                     const union sockaddr_any *server, const char *ns,
                     const char *domain, struct tp_error *err);

/* Puts Docker's text back. */
int resolvconf_restore(const struct resolvconf *rc, struct tp_error *err);

#endif
