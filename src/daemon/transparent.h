/*
 * transparent.h - sockets that speak for addresses which are not ours
 *
 * IP_TRANSPARENT (ip(7)) needs NET_ADMIN. All of them are non-blocking,
 * close-on-exec and carry DATAPATH_BYPASS_MARK.
 */
#ifndef TP_DAEMON_TRANSPARENT_H
#define TP_DAEMON_TRANSPARENT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/sockaddr.h"

/* A listener (SOCK_STREAM) or receiver (SOCK_DGRAM, original destinations as
 * control messages) on a free port of 127.0.0.1 or ::1, without SO_REUSEPORT.
 * Returns the descriptor and sets *port, or a negative errno. */
int transparent_listen(int family, int type, uint16_t *port);

/* Receives one datagram: from whom, and to which address it was sent.
 * Returns its length, or a negative errno (-EAGAIN). */
ssize_t transparent_recv(int fd, void *data, size_t len,
                         union sockaddr_any *from, union sockaddr_any *to);

/* Sends from local's address, and, by way of the table tp-hold, from its
 * port, through a receiver of transparent_listen(). */
int transparent_send_as(int fd, const void *data, size_t len,
                        const union sockaddr_any *local,
                        const union sockaddr_any *peer);

#endif
