#include "daemon/dns_cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "daemon/dns_msg.h"

#define BUCKETS 4096

struct entry {
    TAILQ_ENTRY(entry) order;
    struct entry *chain; /* same bucket */
    struct dns_key key;
    uint64_t stored, expires; /* ms */
    size_t len;
    uint8_t msg[];
};

struct dns_cache {
    struct entry *bucket[BUCKETS];
    TAILQ_HEAD(entry_list, entry) entries; /* asked for last: first */
    uint32_t seed;
    struct dns_cache_stats stats;
};

static size_t size_of(const struct entry *e)
{
    return sizeof(*e) + e->len;
}

struct dns_cache *dns_cache_create(void)
{
    struct dns_cache *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    TAILQ_INIT(&c->entries);
    while (getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
        ;
    return c;
}

static struct entry **find(struct dns_cache *c, const struct dns_key *key)
{
    struct entry **p = &c->bucket[dns_key_hash(key, c->seed) % BUCKETS];

    while (*p && !dns_key_equal(&(*p)->key, key))
        p = &(*p)->chain;
    return p;
}

static void drop(struct dns_cache *c, struct entry **at)
{
    struct entry *e = *at;

    *at = e->chain;
    TAILQ_REMOVE(&c->entries, e, order);
    c->stats.entries--;
    c->stats.bytes -= size_of(e);
    free(e);
}

void dns_cache_flush(struct dns_cache *c)
{
    struct entry *e;

    while ((e = TAILQ_LAST(&c->entries, entry_list)))
        drop(c, find(c, &e->key));
}

void dns_cache_destroy(struct dns_cache *c)
{
    if (!c)
        return;
    dns_cache_flush(c);
    free(c);
}

static void make_room(struct dns_cache *c, size_t bytes)
{
    struct entry *e;

    while ((c->stats.entries >= DNS_CACHE_ENTRIES ||
            c->stats.bytes + bytes > DNS_CACHE_BYTES) &&
           (e = TAILQ_LAST(&c->entries, entry_list)))
        drop(c, find(c, &e->key));
}

void dns_cache_put(struct dns_cache *c, const struct dns_key *key,
                   const uint8_t *msg, size_t len, uint32_t seconds,
                   uint64_t now)
{
    struct entry **at = find(c, key), *e;

    if (*at)
        drop(c, at);
    if (seconds == 0 || len > DNS_MAX_MSG)
        return;
    e = malloc(sizeof(*e) + len);
    if (!e)
        return;
    *e = (struct entry){.key = *key,
                        .stored = now,
                        .expires = now + (uint64_t)seconds * 1000,
                        .len = len};
    memcpy(e->msg, msg, len);
    make_room(c, size_of(e));
    at = find(c, key);
    e->chain = *at;
    *at = e;
    TAILQ_INSERT_HEAD(&c->entries, e, order);
    c->stats.entries++;
    c->stats.bytes += size_of(e);
}

/* Takes the seconds since it was stored off every TTL but OPT's, which is
 * none. */
static void age(uint8_t *msg, size_t len, uint32_t seconds)
{
    struct dns_reader r;
    struct dns_record rec;

    if (dns_reader_init(&r, msg, len) < 0)
        return;
    while (dns_reader_next(&r, &rec) == 1) {
        if (rec.type != DNS_TYPE_OPT)
            dns_put32(msg + rec.ttl_at,
                      rec.ttl > seconds ? rec.ttl - seconds : 0);
    }
}

size_t dns_cache_get(struct dns_cache *c, const struct dns_key *key,
                     uint64_t now, uint8_t *out)
{
    struct entry **at = find(c, key), *e = *at;

    if (e && now >= e->expires) {
        drop(c, at);
        e = NULL;
    }
    if (!e) {
        c->stats.misses++;
        return 0;
    }
    c->stats.hits++;
    TAILQ_REMOVE(&c->entries, e, order);
    TAILQ_INSERT_HEAD(&c->entries, e, order);
    memcpy(out, e->msg, e->len);
    age(out, e->len, (uint32_t)((now - e->stored) / 1000));
    return e->len;
}

void dns_cache_get_stats(const struct dns_cache *c,
                         struct dns_cache_stats *stats)
{
    *stats = c->stats;
}
