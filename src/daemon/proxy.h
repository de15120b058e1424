/*
 * proxy.h - the way into the cluster for the host's programs
 *
 * SOCKS 5 (RFC 1928) and an HTTP proxy (RFC 9110 7, RFC 9112 3.2) on one port,
 * which `tp connect --proxy` publishes on the host; and, always, on a unix
 * socket in the container's own mount namespace, for `tp-daemon proxy`.
 *
 * It is a program of the namespace like any other: its sockets have no mark,
 * so they are captured, and what it reaches, how it is refused, and whether a
 * local program answers is what a joined container would see. It refuses what
 * is not captured. Names are looked up as a pod of the namespace would.
 */
#ifndef TP_DAEMON_PROXY_H
#define TP_DAEMON_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "base/proxy_port.h"

#define PROXY_PATH "/run/tp/proxy"

struct dns;
struct json_object;
struct proxy;

struct proxy_env {
    uv_loop_t *loop;
    struct dns *dns; /* borrowed; NULL: no name is known */
    /* Is the address (unmapped) the cluster's? */
    bool (*may_reach)(void *arg, const union sockaddr_any *addr);
    void *arg;
    const char *routes, *routes6; /* see proxy_access.h */
};

/* Listens on the unix socket (path NULL: not at all). NULL with err. */
struct proxy *proxy_create(const struct proxy_env *env, const char *path,
                           struct tp_error *err);
void proxy_destroy(struct proxy *p);

/* Opens the port: SESSION's "hostProxy" of doc/control.md. 0, -EINVAL,
 * -EADDRINUSE and so on with err filled. */
int proxy_open(struct proxy *p, struct json_object *config,
               struct tp_error *err);
/* Closes it and whatever goes through the proxy. */
void proxy_close(struct proxy *p);

/* What names and addresses are the cluster's, for lookups and the PAC file. */
struct proxy_cluster {
    const char *domain;          /* NULL: no names of the cluster */
    const char *namespace;       /* of the session, for the search list */
    const char *const *suffixes; /* further domains */
    size_t n_suffixes;
    const char *const *excludes;
    size_t n_excludes;
    const struct subnet *capture, *bypass;
    size_t n_capture, n_bypass;
};
/* Borrowed until replaced; NULL: none. */
void proxy_set_cluster(struct proxy *p, const struct proxy_cluster *cluster);

/* {"address", "pac", "password": whether there is one, "connections"}, or
 * {"error": why the port that was asked for is not open}; owned. NULL: none was
 * asked for. */
struct json_object *proxy_status(const struct proxy *p);

#endif
