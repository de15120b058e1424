/*
 * dns_zone.h - which names are the cluster's
 *
 * The cluster's are: its domain, the suffixes that were given, and the reverse
 * names of its subnets, less the excluded ones; the longest of these that fits
 * a name decides. A suffix of one label is none (a namespace or a setting
 * called "com" would take the world's names away); only "svc" is.
 *
 * Nobody is asked for names that the cluster would be, but that cannot be
 * meant: browsers' wpad, what looks for DNS-SD (RFC 6763 11), an excluded name
 * to which the search list was added, and namespaces that are not mapped.
 */
#ifndef TP_DAEMON_DNS_ZONE_H
#define TP_DAEMON_DNS_ZONE_H

#include <stdbool.h>

#include "daemon/dns.h"

struct dns_zone;

/* Copies what it needs of config. NULL if out of memory. */
struct dns_zone *dns_zone_create(const struct dns_config *config);
void dns_zone_destroy(struct dns_zone *z);

enum dns_kind {
    DNS_CLUSTER,
    DNS_UPSTREAM,
    DNS_NOWHERE, /* it does not exist */
};

/* name as dns_msg_parse() writes it; z NULL: no cluster. */
enum dns_kind dns_zone_route(const struct dns_zone *z, const char *name);

/* What name is mapped to, also with the search list added to it, or NULL. */
const char *dns_zone_target(const struct dns_zone *z, const char *name);

/* The cluster is asked for it. */
bool dns_zone_has(const struct dns_zone *z, const char *name);

/* True if name is, or ends in, suffix at a label's border (both lower case). */
bool dns_name_in(const char *name, const char *suffix);

/* Letters, digits, '-', '_', in labels of 1 to 63, at most 253 in all. */
bool dns_name_valid(const char *name);

/* True for names that may become a suffix: valid, two labels or "svc". */
bool dns_suffix_valid(const char *suffix);

/* The network of a reverse name ("10.in-addr.arpa" is 10.0.0.0/8). Returns 0,
 * or -EINVAL. */
int dns_reverse_parse(struct subnet *net, const char *name);
/* The address of a whole one; false if it is none. */
bool dns_reverse_address(union sockaddr_any *addr, const char *name);
/* The name of an address. */
#define DNS_REVERSE_TEXT 80
void dns_reverse_format(const union sockaddr_any *addr,
                        char name[DNS_REVERSE_TEXT]);

#endif
