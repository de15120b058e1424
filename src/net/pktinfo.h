/*
 * pktinfo.h - datagrams with the local address that they came to or go from
 *
 * A socket that is bound to no address learns from IP_PKTINFO (ip(7)) and
 * IPV6_PKTINFO (ipv6(7)) which address a datagram was sent to, and answers from
 * there.
 */
#ifndef TP_NET_PKTINFO_H
#define TP_NET_PKTINFO_H

#include <stdint.h>
#include <sys/types.h>

#include "base/sockaddr.h"

/* Asks for the addresses; 0 or a negative errno. */
int pktinfo_enable(int fd, int family);

/* Receives one datagram: from whom, and which address it was sent to (its port
 * is 0). Returns its length, or a negative errno (-EAGAIN). */
ssize_t pktinfo_recv(int fd, void *data, size_t len, union sockaddr_any *from,
                     union sockaddr_any *to);

/* Sends one from local's address (not its port). 0 or a negative errno. */
int pktinfo_send(int fd, const void *data, size_t len,
                 const union sockaddr_any *local,
                 const union sockaddr_any *peer);

/* The control message that pktinfo_send() sends; returns its space. */
struct cmsghdr;
size_t pktinfo_put(struct cmsghdr *c, const union sockaddr_any *local);

#endif
