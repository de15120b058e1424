/*
 * listen.h - a TCP listener on the loop
 *
 * Accepts in batches. When the process has no descriptor left, a connection is
 * accepted with a reserve descriptor and closed at once, so that the peer
 * learns of it and the loop does not spin.
 */
#ifndef TP_NET_LISTEN_H
#define TP_NET_LISTEN_H

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"

struct listener;

/* A connected socket, non-blocking and close-on-exec; the callee owns it. */
typedef void listener_cb(void *arg, int fd, const union sockaddr_any *peer);

/* Binds (SO_REUSEADDR; an IPv6 wildcard takes IPv4 as well) and listens. NULL
 * with err filled. */
struct listener *listener_create(uv_loop_t *loop,
                                 const union sockaddr_any *addr, int backlog,
                                 listener_cb *cb, void *arg,
                                 struct tp_error *err);

/* The same on a non-blocking socket that listens already, which is owned from
 * here on (also on failure). */
struct listener *listener_create_fd(uv_loop_t *loop, int fd, listener_cb *cb,
                                    void *arg, struct tp_error *err);

/* A unix socket for nobody but our own user (mode 0600), at a path that is
 * unlinked first: listening, for listener_create_fd(). A negative errno. */
int listener_bind_unix(const char *path, int backlog, struct tp_error *err);

/* The address that is listened on: port 0 has become a real one. */
void listener_get_addr(const struct listener *l, union sockaddr_any *addr);

/* No callback comes any more. May be called in the callback. NULL is fine. */
void listener_close(struct listener *l);

#endif
