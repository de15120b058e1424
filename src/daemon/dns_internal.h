/*
 * dns_internal.h - the parts of the dns module
 *
 *   dns.c       configuration
 *   dns_ask.c   what becomes of a query, with dns_zone.c, dns_cache.c (and
 *               dns_key.c), dns_rewrite.c
 *   dns_udp.c   queries by UDP: ids, retries, time-outs
 *   dns_path.c  the sockets and tunnel flows that carry them
 *   dns_tcp.c   connections by TCP, with dns_backend.c and dns_peer.c
 */
#ifndef TP_DAEMON_DNS_INTERNAL_H
#define TP_DAEMON_DNS_INTERNAL_H

#include "daemon/dns.h"
#include "daemon/dns_msg.h"
#include "daemon/dns_zone.h"
#include "daemon/vnat.h"
#include "tunnel/udp.h"

#define DNS_MAX_UPSTREAM 3
#define DNS_MAX_FLIGHT   4096 /* clients' queries by UDP at a time */
#define DNS_MAX_QUERY    4096 /* bytes of one by UDP */
#define DNS_MAX_CONNS    256  /* connections by TCP */
#define DNS_GRACE_MS     2000 /* how long a query waits for a link */
#define DNS_TIMEOUT_MS   4000
#define DNS_PATHS        4 /* sockets resp. flows of a kind */
#define DNS_FLOW_IDLE_MS 10000
#define DNS_BUCKETS      1024

struct dns_cache;
struct dns_txn;
struct dns_conn;

/* One socket to an upstream resolver, or one flow to the cluster's. */
struct dns_path {
    struct dns *d;
    struct dns_socket *socket;
    struct tunnel_udp *flow;
};

struct dns {
    uv_loop_t *loop;
    uint32_t mark;
    union sockaddr_any upstream[DNS_MAX_UPSTREAM];
    size_t n_upstream;
    struct dns_zone *zone; /* NULL: no cluster */
    unsigned version;      /* counts changes of it */
    struct vnat vnat;
    union sockaddr_any cluster; /* its real address */
    unsigned timeout_ms;
    struct tunnel *tunnel; /* NULL: no link now */

    struct dns_cache *cache;

    uv_timer_t *tick;                    /* runs while queries are in flight */
    struct dns_txn *first;               /* all of them */
    struct dns_txn *bucket[DNS_BUCKETS]; /* by id */
    struct dns_txn *questions[DNS_BUCKETS]; /* by key, those that have one */
    unsigned waiting;                       /* clients */
    uint64_t joined;
    uint32_t seed;
    struct dns_path cluster_paths[DNS_PATHS];
    struct dns_path upstream_paths[DNS_MAX_UPSTREAM][DNS_PATHS];

    struct dns_conn *conns;
    unsigned n_conns;
};

/* dns_path.c. Sends one datagram on the path, opening it first if need be; 0
 * or a negative errno. What comes back goes to dns_udp_input(). */
int dns_path_send_cluster(struct dns *d, unsigned hint, const void *msg,
                          size_t len);
int dns_path_send_upstream(struct dns *d, size_t server, unsigned hint,
                           const void *msg, size_t len);
void dns_path_close_cluster(struct dns *d);
void dns_path_close_all(struct dns *d);
int dns_mark_socket(const struct dns *d, int fd);

/* dns_udp.c */
void dns_udp_input(struct dns *d, enum dns_kind kind, const uint8_t *msg,
                   size_t len);
void dns_udp_link_changed(struct dns *d);
void dns_udp_drop_all(struct dns *d);

/* dns_tcp.c */
void dns_tcp_drop_all(struct dns *d);

#endif
