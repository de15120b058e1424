/*
 * tcp_accept.h - captured TCP connections, as the kernel hands them over
 *
 * Transparent listeners of both families; one that the namespace does not have
 * is left out. When descriptors run out, nothing is accepted for a moment.
 */
#ifndef TP_DAEMON_TCP_ACCEPT_H
#define TP_DAEMON_TCP_ACCEPT_H

#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"

struct tcp_accept;

/* A connection from src that was meant for dst. fd, not blocking, is the
 * callee's, who must not close the tcp_accept inside the call. */
typedef void tcp_accept_cb(void *arg, int fd, const union sockaddr_any *src,
                           const union sockaddr_any *dst);

/* NULL with err filled; -EPERM without CAP_NET_ADMIN. */
struct tcp_accept *tcp_accept_create(uv_loop_t *loop, tcp_accept_cb *cb,
                                     void *arg, struct tp_error *err);

/* No callback comes any more; the memory goes with the handles. NULL is fine.
 */
void tcp_accept_close(struct tcp_accept *a);

/* The listener's port, 0 if the family is not there. */
uint16_t tcp_accept_port(const struct tcp_accept *a, int family);

#endif
