/*
 * proxy_access.h - who may use the host's proxy, and for what (SECURITY 12, 13)
 */
#ifndef TP_DAEMON_PROXY_ACCESS_H
#define TP_DAEMON_PROXY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sockaddr.h"
#include "base/proxy_port.h"

/* What comes from the host's loopback by a published port has the address of
 * the bridge's gateway here; other containers and hosts keep theirs. */

/* True for the namespace's loopback and the gateways that `routes` and
 * `routes6` (as /proc/net/route and ipv6_route) name. The peer must have been
 * unmapped. */
bool proxy_peer_is_local(const union sockaddr_any *peer, const char *routes,
                         const char *routes6);
#define PROXY_ROUTES  "/proc/net/route"
#define PROXY_ROUTES6 "/proc/net/ipv6_route"

/* An address that is no destination, whatever is captured: the namespace's own,
 * loopback, link-local, multicast, unspecified. Unmap it first. */
bool proxy_address_is_never(const union sockaddr_any *addr);

/* The value of Host: names this machine's loopback or `own` (the address that
 * is listened on; may be NULL), and the port. */
bool proxy_host_is_ours(const char *host, const char *own, uint16_t port);

/* True if value is "Basic " and the base64 of PROXY_USER:password; takes the
 * same time for all values of a length. */
bool proxy_authorization_is_right(const char *value, const char *password);
bool proxy_password_is_right(const char *user, const char *given,
                             const char *password);

#endif
