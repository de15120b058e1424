/*
 * route_never.h - networks that no cluster has, whatever a manager says
 *
 * They belong to a host or to a link, or stand for none: loopback, link-local,
 * multicast, broadcast, unspecified, and IPv4 written as IPv6.
 */
#ifndef TP_NET_ROUTE_NEVER_H
#define TP_NET_ROUTE_NEVER_H

#include <stdbool.h>

#include "base/sockaddr.h"

/* What net shares an address with ("multicast"), or NULL. */
const char *route_never_overlaps(const struct subnet *net);
bool route_never_contains(const union sockaddr_any *addr);

#endif
