/*
 * host_routes.h - what this machine has routes to: its VPNs
 *
 * Containers do not see them. Of use where the engine runs on this machine.
 */
#ifndef TP_CLI_HOST_ROUTES_H
#define TP_CLI_HOST_ROUTES_H

#include <stdbool.h>

#include "base/sockaddr.h"

struct json_object;

/* Adds the texts of the subnets to an array. Default routes, halves of the
 * address space that VPNs use as such, and link-local ones are left out. */
void host_routes_add(struct json_object *out);

/* A line of /proc/net/route resp. /proc/net/ipv6_route (proc_net(5)); false if
 * it is none that matters. */
bool host_routes_parse_v4(const char *line, struct subnet *net);
bool host_routes_parse_v6(const char *line, struct subnet *net);

#endif
