/*
 * proxy_lookup.h - the addresses of a name, as a pod of the namespace sees it
 *
 * The search list and ndots:5 of a pod's resolv.conf (Kubernetes' DNS
 * specification); each candidate is asked for A and AAAA by the daemon's own
 * DNS, which decides where the question goes.
 */
#ifndef TP_DAEMON_PROXY_LOOKUP_H
#define TP_DAEMON_PROXY_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/sockaddr.h"

#define PROXY_LOOKUP_ADDRESSES 8 /* of each family, at most */

struct dns;
struct proxy_lookup;

/* status 0: n (>= 1) addresses, IPv4 first, port 0, good until it returns;
 * -ENOENT: there is no such name; -EHOSTUNREACH: nobody could say. Called once,
 * from the loop. */
typedef void proxy_lookup_cb(void *arg, int status,
                             const union sockaddr_any *addrs, size_t n);

/* domain NULL: no search list. NULL if out of memory. */
struct proxy_lookup *proxy_lookup_start(uv_loop_t *loop, struct dns *dns,
                                        const char *name, const char *namespace,
                                        const char *domain, proxy_lookup_cb *cb,
                                        void *arg);
/* No callback comes any more; not allowed after it. */
void proxy_lookup_cancel(struct proxy_lookup *l);

/* The answer's addresses of that family (AF_INET, AF_INET6), whoever owns them
 * (CNAMEs are the resolver's matter). *rcode is the answer's. Returns how many
 * were found, or -EBADMSG. */
int proxy_answer_parse(const void *msg, size_t len, int *family, int *rcode,
                       union sockaddr_any addrs[PROXY_LOOKUP_ADDRESSES]);

/* A query for name ("a.b.c"); returns its length, or -EINVAL for what is no
 * name. */
#define PROXY_QUERY_MAX 300
int proxy_query_make(uint8_t out[PROXY_QUERY_MAX], const char *name, int family,
                     uint16_t id);

/* The n-th name to ask for, 0 if there is no further one, else 1. */
int proxy_candidate(char out[256], const char *name, const char *namespace,
                    const char *domain, unsigned n);

#endif
