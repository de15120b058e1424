/*
 * netlink.h - one request to a netlink family, and its acknowledgements
 */
#ifndef TP_DAEMON_NETLINK_H
#define TP_DAEMON_NETLINK_H

#include <stddef.h>

/* Sends len bytes (one or more messages) to the family and waits (at most
 * 5 s) until the message with last_seq is acknowledged. Every message must
 * ask for an ack. Returns 0 or the first negative errno of the kernel. */
int netlink_request(int family, const void *msgs, size_t len,
                    unsigned last_seq);

#endif
