/* dns_key.c - which queries are the same, and how long an answer holds */
#include <ctype.h>
#include <string.h>

#include "daemon/dns_cache.h"

/* Beside the header's flags that are part of a key. */
#define KEY_EDNS 0x02
#define KEY_DO   0x04

#define TYPE_IXFR 251 /* from here on: no types of data */
#define SOA_MIN   22  /* two names of one byte and five numbers */

/* What EDNS adds to the key; -1: more than a size and the DO bit. */
static int edns_bits(const uint8_t *query, size_t len)
{
    struct dns_reader r;
    struct dns_record rec;
    int bits = 0;

    if (dns_reader_init(&r, query, len) < 0)
        return -1;
    while (dns_reader_next(&r, &rec) == 1) {
        if (bits || rec.section != DNS_ADDITIONAL || rec.type != DNS_TYPE_OPT ||
            query[rec.name] != 0 || rec.len > 0 || query[rec.ttl_at + 1] > 0)
            return -1;
        bits = KEY_EDNS | (query[rec.ttl_at + 2] & 0x80 ? KEY_DO : 0);
    }
    return r.section == DNS_SECTIONS && r.at == len ? bits : -1;
}

bool dns_key_set(struct dns_key *key, const uint8_t *query, size_t len)
{
    int edns = edns_bits(query, len);
    size_t end;

    if (edns < 0 || dns_get16(query + 4) != 1 || query[2] & DNS_OPCODE)
        return false;
    end = (size_t)dns_name_skip(query, len, DNS_HEADER_LEN) + 4;
    if (end - DNS_HEADER_LEN > DNS_NAME_WIRE + 4 ||
        dns_get16(query + end - 2) != DNS_CLASS_IN ||
        (dns_get16(query + end - 4) >= TYPE_IXFR &&
         dns_get16(query + end - 4) <= UINT8_MAX))
        return false;
    key->len = end - DNS_HEADER_LEN + 1;
    for (size_t i = 0; i < key->len - 5; i++)
        key->bytes[i] = (uint8_t)tolower(query[DNS_HEADER_LEN + i]);
    memcpy(key->bytes + key->len - 5, query + end - 4, 4);
    key->bytes[key->len - 1] =
        (uint8_t)(edns | (query[2] & DNS_RD) | (query[3] & (DNS_AD | DNS_CD)));
    return true;
}

bool dns_key_equal(const struct dns_key *a, const struct dns_key *b)
{
    return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

uint32_t dns_key_hash(const struct dns_key *key, uint32_t seed)
{
    uint64_t h = seed | 0x9e3779b900000000u;

    for (size_t i = 0; i < key->len; i++)
        h = (h ^ key->bytes[i]) * 0x9e3779b97f4a7c15u + (h >> 29);
    return (uint32_t)(h >> 32);
}

/* TTLs are at most 2^31-1; others are none (RFC 2181 8). */
static uint32_t less(uint32_t a, uint32_t b)
{
    b = b > INT32_MAX ? 0 : b;
    return a < b ? a : b;
}

uint32_t dns_answer_ttl(const uint8_t *msg, size_t len, bool *negative)
{
    struct dns_reader r;
    struct dns_record rec;
    uint32_t ttl = DNS_CACHE_MAX_S;
    bool soa = false;
    uint8_t rcode;
    int rc;

    *negative = false;
    if (dns_reader_init(&r, msg, len) < 0)
        return 0;
    rcode = msg[3] & DNS_RCODE;
    if (msg[2] & DNS_TC || (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN))
        return 0;
    while ((rc = dns_reader_next(&r, &rec)) == 1) {
        if (rec.type == DNS_TYPE_OPT)
            continue;
        ttl = less(ttl, rec.ttl);
        if (rec.section != DNS_AUTHORITY || rec.type != DNS_TYPE_SOA ||
            rec.len < SOA_MIN)
            continue;
        soa = true;
        ttl = less(ttl, dns_get32(msg + rec.data + rec.len - 4));
    }
    *negative = rcode == DNS_NXDOMAIN || dns_get16(msg + 6) == 0;
    return rc < 0 || (*negative && !soa) ? 0 : ttl;
}
