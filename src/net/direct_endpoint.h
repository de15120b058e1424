/*
 * direct_endpoint.h - where a manager says that it is reached directly
 *
 * The manager refuses what it is given by the chart as the workstation would.
 */
#ifndef TP_NET_DIRECT_ENDPOINT_H
#define TP_NET_DIRECT_ENDPOINT_H

#include <stdint.h>

#include "base/error.h"

#define DIRECT_HOST_MAX      254
#define DIRECT_ENDPOINTS_MAX 8 /* that a manager names, and a client tries */

struct direct_endpoint {
    char host[DIRECT_HOST_MAX]; /* a name or an IP literal, no brackets */
    uint16_t port;
};

/* "HOST:PORT", IPv6 in brackets. 0, or -EINVAL with err: malformed, or an
 * address that no cluster has: of this host (loopback, unspecified),
 * link-local, multicast, also mapped into IPv6; names of localhost. What else a
 * name leads to is not asked here: the far end gets a ClientHello, and no byte
 * of a user before it has shown the cluster's certificate. */
int direct_endpoint_parse(struct direct_endpoint *out, const char *text,
                          struct tp_error *err);

#endif
