/*
 * dns.h - names, as a pod would see them
 *
 * Queries that were captured on their way to the cluster's DNS address come in
 * here. Names of the cluster's domain and addresses of its subnets (PTR) go as
 * they are to the cluster's DNS through the tunnel; everything else goes to
 * the resolver that Docker gave the container. Messages are forwarded as bytes;
 * only header, question and TTL are read (RFC 1035, RFC 6891, RFC 7766).
 */
#ifndef TP_DAEMON_DNS_H
#define TP_DAEMON_DNS_H

#include <stddef.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "tunnel/tunnel.h"

struct dns;

struct dns_config {
    union sockaddr_any address;  /* the cluster's DNS */
    const char *domain;          /* "cluster.local" */
    const char *const *suffixes; /* further domains that are the cluster's */
    size_t n_suffixes;
    const char *const *excludes; /* domains that are not, in spite of that */
    size_t n_excludes;
    const struct subnet *subnets; /* whose PTR names are the cluster's */
    size_t n_subnets;
    unsigned timeout_ms; /* until SERVFAIL; 0: 4 s */
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

/* DNS over TCP on an accepted connection (owned from here on). */
void dns_serve_tcp(struct dns *d, int fd);

#endif
