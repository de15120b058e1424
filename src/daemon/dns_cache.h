/*
 * dns_cache.h - answers, for as long as their TTLs allow
 *
 * What is kept is the message itself; each time it is given out its TTLs are
 * less by what has passed since. Names that do not exist, or not with that
 * type, are kept as RFC 2308 says: by the SOA record that comes with them, and
 * not at all without. Errors and truncated answers are never kept. Entries and
 * bytes are bounded, the one not asked for the longest goes first.
 */
#ifndef TP_DAEMON_DNS_CACHE_H
#define TP_DAEMON_DNS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/dns_record.h"

#define DNS_CACHE_ENTRIES 4096
#define DNS_CACHE_BYTES   (2U << 20)
#define DNS_CACHE_MAX_S   3600

/* A question, and what of the rest of a query its answer depends on: name in
 * lower case, type, class, and the bits RD, AD, CD, EDNS, DO. */
struct dns_key {
    size_t len;
    uint8_t bytes[DNS_NAME_WIRE + 5];
};

/* False for queries that are nobody else's: with EDNS options (cookies, the
 * client's subnet), other classes, transfers, ANY. */
bool dns_key_set(struct dns_key *key, const uint8_t *query, size_t len);
bool dns_key_equal(const struct dns_key *a, const struct dns_key *b);
/* Of no secret: for tables that are bounded otherwise. */
uint32_t dns_key_hash(const struct dns_key *key, uint32_t seed);

/* How many seconds an answer may be kept, 0: not at all. *negative: it says
 * that there is nothing. */
uint32_t dns_answer_ttl(const uint8_t *msg, size_t len, bool *negative);

struct dns_cache;

struct dns_cache_stats {
    size_t entries, bytes;
    uint64_t hits, misses;
};

/* NULL if out of memory. */
struct dns_cache *dns_cache_create(void);
void dns_cache_destroy(struct dns_cache *c);
void dns_cache_flush(struct dns_cache *c);

/* Keeps an answer to key for `seconds`, in place of a former one. now: ms. */
void dns_cache_put(struct dns_cache *c, const struct dns_key *key,
                   const uint8_t *msg, size_t len, uint32_t seconds,
                   uint64_t now);
/* Copies the answer into out, which has room for DNS_MAX_MSG. Its length, 0:
 * there is none. */
size_t dns_cache_get(struct dns_cache *c, const struct dns_key *key,
                     uint64_t now, uint8_t *out);
void dns_cache_get_stats(const struct dns_cache *c,
                         struct dns_cache_stats *stats);

#endif
