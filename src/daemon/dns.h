/*
 * dns.h - names, as a pod would see them
 *
 * Queries that were captured on their way to the cluster's DNS address come in
 * here. Names of the cluster's domain and addresses of its subnets (PTR) go as
 * they are to the cluster's DNS through the tunnel; everything else goes to
 * the resolver that Docker gave the container (RFC 1035, RFC 6891, RFC 7766).
 * Answers pass as they are, too, and are kept for as long as they say
 * (dns_cache.h); equal questions that are asked at the same time are asked
 * once. Only a mapped name is asked for by another.
 */
#ifndef TP_DAEMON_DNS_H
#define TP_DAEMON_DNS_H

#include <stddef.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "tunnel/tunnel.h"

struct dns;
struct vnat;

/* A name that stands for another one, or for an address. */
struct dns_mapping {
    const char *name, *target;
};

struct dns_config {
    union sockaddr_any address;  /* the cluster's DNS */
    const char *domain;          /* "cluster.local" */
    const char *const *suffixes; /* further domains that are the cluster's */
    size_t n_suffixes;
    const char *const *excludes; /* domains that are not, in spite of that */
    size_t n_excludes;
    const struct dns_mapping *mappings;
    size_t n_mappings;
    const char *namespace;         /* whose search list pods have; or NULL */
    const char *const *namespaces; /* only their names are asked for, and */
    size_t n_namespaces;           /* those of `namespace`; 0: all */
    const struct subnet *subnets;  /* whose PTR names are the cluster's */
    size_t n_subnets;
    const struct vnat *vnat; /* addresses in answers become these; or NULL */
    unsigned timeout_ms;     /* until SERVFAIL; 0: 4 s */
};

/* upstream: Docker's resolver(s), as found in resolv.conf before tp wrote it.
 * mark: SO_MARK of the module's own sockets. */
struct dns *dns_create(uv_loop_t *loop, const union sockaddr_any *upstream,
                       size_t n_upstream, uint32_t mark, struct tp_error *err);
void dns_destroy(struct dns *d);

/* Copies config; NULL: no cluster, everything goes upstream. */
void dns_set_cluster(struct dns *d, const struct dns_config *config);
/* NULL: link down; cluster names are answered by SERVFAIL after a grace. */
void dns_set_tunnel(struct dns *d, struct tunnel *t);

/* One UDP query. cb is called at most once with the answer (never if there is
 * none), perhaps before this returns. Cancel: dns_cancel(d, arg) drops every
 * query with that arg. */
typedef void dns_reply_cb(void *arg, const void *msg, size_t len);
void dns_query(struct dns *d, const void *msg, size_t len, dns_reply_cb *cb,
               void *arg);
void dns_cancel(struct dns *d, void *arg);

struct dns_stats {
    size_t entries, bytes; /* of the cache */
    uint64_t hits, misses;
    uint64_t joined; /* questions that waited for an equal one's answer */
};
void dns_get_stats(const struct dns *d, struct dns_stats *stats);

/* DNS over TCP on an accepted connection (owned from here on). */
void dns_serve_tcp(struct dns *d, int fd);

#endif
