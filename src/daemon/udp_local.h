/*
 * udp_local.h - a captured flow of datagrams that goes to a local program
 */
#ifndef TP_DAEMON_UDP_LOCAL_H
#define TP_DAEMON_UDP_LOCAL_H

#include <uv.h>

#include "daemon/shortcut.h"

struct udp_local;

/* What the program answers; data is good during the call. */
typedef void udp_local_cb(void *arg, const void *data, size_t len);

/* NULL if there is no socket or memory for it. */
struct udp_local *udp_local_open(uv_loop_t *loop, const struct shortcut *way,
                                 udp_local_cb *cb, void *arg);
/* 0; -ECONNREFUSED if nobody listens there: then nobody has got it. What does
 * not fit is lost, as in a network. */
int udp_local_send(struct udp_local *l, const void *data, size_t len);
/* No callback comes any more. NULL is fine. */
void udp_local_close(struct udp_local *l);

#endif
