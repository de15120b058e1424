/* DNS answers: their records and TTLs, and the same given by another name
 * and with virtual addresses. */
#include <stdlib.h>
#include <string.h>

#include "daemon/dns_cache.h"
#include "daemon/dns_msg.h"
#include "daemon/dns_rewrite.h"
#include "daemon/dns_translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "db", type A. */
static const uint8_t query[] = {0, 7, 1, 0,   0,   1, 0, 0, 0, 0,
                                0, 0, 2, 'd', 'b', 0, 0, 1, 0, 1};

/* The records of a message, or -1. */
static int count(const uint8_t *msg, size_t len)
{
    struct dns_reader r;
    struct dns_record rec;
    int n = 0, rc = dns_reader_init(&r, msg, len);

    while (rc == 0 && (rc = dns_reader_next(&r, &rec)) == 1) {
        uint8_t name[DNS_NAME_WIRE];

        if (rec.data + rec.len > len || rec.ttl_at + 4 > len)
            abort();
        if (dns_name_read(msg, len, rec.name, name) > DNS_NAME_WIRE)
            abort();
        n++;
        rc = 0;
    }
    return rc < 0 ? -1 : n;
}

static void check_renamed(enum dns_rename how, const uint8_t *msg, size_t len)
{
    static uint8_t out[DNS_MAX_MSG];
    int n = dns_rewrite_answer(how, query, sizeof(query), msg, len, out);
    int records = count(msg, len);

    if (n < 0)
        return;
    if ((size_t)n > sizeof(out) || (size_t)n < sizeof(query) ||
        memcmp(out + DNS_HEADER_LEN, query + DNS_HEADER_LEN,
               sizeof(query) - DNS_HEADER_LEN) != 0)
        abort();
    if (dns_get16(msg + 4) == 0)
        records = 0;
    else
        records += how == DNS_RENAME_ALIAS;
    if (count(out, (size_t)n) != records)
        abort(); /* what we write must be readable, and all of it there */
}

static void check_cache(const uint8_t *msg, size_t len)
{
    static uint8_t out[DNS_MAX_MSG];
    static struct dns_cache *cache;
    struct dns_key key;
    bool negative;
    uint32_t ttl = dns_answer_ttl(msg, len, &negative);

    if (!cache)
        cache = dns_cache_create();
    if (ttl > DNS_CACHE_MAX_S || !dns_key_set(&key, query, sizeof(query)))
        abort();
    dns_cache_put(cache, &key, msg, len, ttl, 0);
    if (ttl && dns_cache_get(cache, &key, 999, out) != len)
        abort();
    if (dns_key_set(&key, msg, len) && key.len > sizeof(key.bytes))
        abort();
}

/* A quarter of all addresses become virtual: once, and nothing else changes. */
static void check_translated(const uint8_t *msg, size_t len)
{
    static struct vnat_pair pairs[2];
    static const struct vnat v = {.pairs = pairs, .n = 2};
    uint8_t *copy = malloc(len ? len : 1);
    int records = count(msg, len), n;

    if (!copy)
        abort();
    if (!pairs[0].real.family &&
        (subnet_parse(&pairs[0].real, "0.0.0.0/2") < 0 ||
         subnet_parse(&pairs[0].virt, "128.0.0.0/2") < 0 ||
         subnet_parse(&pairs[1].real, "::/2") < 0 ||
         subnet_parse(&pairs[1].virt, "8000::/2") < 0))
        abort();
    memcpy(copy, msg, len);
    n = dns_translate(&v, copy, len);
    if (n >= 0 && (records < 0 || count(copy, len) != records ||
                   dns_translate(&v, copy, len) != 0))
        abort();
    if (n == 0 && memcmp(copy, msg, len) != 0)
        abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_translated(data, size);
    check_renamed(DNS_RENAME_ALIAS, data, size);
    check_renamed(DNS_RENAME_OWNER, data, size);
    check_cache(data, size);
    return 0;
}
