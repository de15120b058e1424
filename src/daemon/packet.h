/*
 * packet.h - the first SYN of a TCP connection, as bytes from the kernel
 */
#ifndef TP_DAEMON_PACKET_H
#define TP_DAEMON_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/sockaddr.h"

/* Enough of a packet: IPv6 with a few extension headers and TCP's ports. */
#define PACKET_SNAPLEN 256

struct packet_syn {
    union sockaddr_any src, dst;
    uint32_t seq; /* a retransmit has the same one, a new connection not */
};

/* Reads IPv4 (RFC 791) or IPv6 with extension headers (RFC 8200) and TCP (RFC
 * 9293). The bytes may be cut. Returns 0, or -EINVAL for anything but the
 * first SYN of an unfragmented packet. */
int packet_parse_syn(const void *data, size_t len, struct packet_syn *syn);

#endif
