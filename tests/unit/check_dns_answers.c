/* Unit tests of what the dns module makes of answers: records, the cache, names
 * that are mapped, names that nobody is asked for. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dns_cache.h"
#include "daemon/dns_rewrite.h"
#include "daemon/dns_zone.h"
#include "daemon/proxy_lookup.h"
#include "daemon/vnat.h"
#include "dns_world.h"
#include "suite.h"

/* ---- records ---- */

/* 10.43.0.7 for the question's name, TTL 30. */
static const uint8_t a_record[] = {0xc0, 12, 0, 1, 0,  1,  0, 0,
                                   0,    30, 0, 4, 10, 43, 0, 7};
/* SOA of "." with TTL 60 and minimum 5. */
static const uint8_t soa_record[] = {0, 0, 6, 0, 1, 0, 0, 0, 60, 0, 22,
                                     0, 0, 0, 0, 0, 1, 0, 0, 0,  2, 0,
                                     0, 0, 3, 0, 0, 0, 4, 0, 0,  0, 5};

/* The answer to a query for name with these records behind the question. */
static size_t make_answer(uint8_t *out, const char *name, const void *records,
                          size_t len, uint8_t answers, uint8_t authority)
{
    size_t n = dns_world_query(out, 7, name, 1);

    out[2] |= 0x80;
    out[7] = answers;
    out[9] = authority;
    memcpy(out + n, records, len);
    return n + len;
}

START_TEST(records_are_read_and_cut_ones_refused)
{
    uint8_t msg[512];
    size_t len = make_answer(msg, "a.b", a_record, sizeof(a_record), 1, 0);
    struct dns_reader r;
    struct dns_record rec;

    ck_assert_int_eq(dns_reader_init(&r, msg, len), 0);
    ck_assert_int_eq(dns_reader_next(&r, &rec), 1);
    ck_assert_uint_eq(rec.section, DNS_ANSWER);
    ck_assert_uint_eq(rec.type, DNS_TYPE_A);
    ck_assert_uint_eq(rec.ttl, 30);
    ck_assert_uint_eq(rec.len, 4);
    ck_assert_uint_eq(msg[rec.data + 3], 7);
    ck_assert_int_eq(dns_reader_next(&r, &rec), 0);
    for (size_t n = len - sizeof(a_record); n < len; n++) {
        ck_assert_int_eq(dns_reader_init(&r, msg, n), 0);
        ck_assert_int_eq(dns_reader_next(&r, &rec), -EBADMSG);
    }
}
END_TEST

/* What the HTTP and SOCKS proxy asks and hears. */
START_TEST(a_lookup_asks_for_names_alone)
{
    static const char *const bad[] = {"", ".", "a..b", ".a"};
    uint8_t out[PROXY_QUERY_MAX];
    char name[300];
    struct dns_question q;
    int n = proxy_query_make(out, "a.B", AF_INET6, 0x1234);

    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(dns_msg_parse(&q, out, (size_t)n), 0);
    ck_assert_uint_eq(q.id, 0x1234);
    ck_assert_str_eq(q.name, "a.b");
    ck_assert_uint_eq(q.type, DNS_TYPE_AAAA);
    ck_assert_uint_eq(q.class, DNS_CLASS_IN);
    ck_assert_mem_eq(out + 2, "\1\0\0\1\0\0\0\0\0\1", 10);
    ck_assert_uint_eq((size_t)n - q.end, DNS_RECORD_MIN);
    ck_assert_mem_eq(out + q.end, "\0\0\51\20\0\0\0\0\0\0\0", 11);
    ck_assert_int_eq(proxy_query_make(out, "a.b.", AF_INET, 1), n);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_int_eq(proxy_query_make(out, bad[i], AF_INET, 1), -EINVAL);
    memset(name, 'a', 253);
    for (size_t i = 63; i < 253; i += 64)
        name[i] = '.';
    name[253] = '\0';
    n = proxy_query_make(out, name, AF_INET, 1);
    ck_assert_int_eq(dns_msg_parse(&q, out, (size_t)n), 0);
    ck_assert_str_eq(q.name, name);
    name[63] = 'a';
    ck_assert_int_eq(proxy_query_make(out, name, AF_INET, 1), -EINVAL);
    memcpy(name + 63, ".a", 2);
    strcat(name, "a");
    ck_assert_int_eq(proxy_query_make(out, name, AF_INET, 1), -EINVAL);
}
END_TEST

START_TEST(a_lookup_takes_the_answers_addresses)
{
    union sockaddr_any addrs[PROXY_LOOKUP_ADDRESSES];
    uint8_t msg[512], records[20 * sizeof(a_record)];
    char text[SOCKADDR_TEXT];
    int family, rcode;
    size_t len;

    for (size_t i = 0; i < 20; i++)
        memcpy(records + i * sizeof(a_record), a_record, sizeof(a_record));
    records[3] = DNS_TYPE_AAAA;        /* not what was asked for */
    records[sizeof(a_record) + 5] = 3; /* of another class */
    records[3 * sizeof(a_record) - 1] = 9;
    len = make_answer(msg, "a.b", records, 3 * sizeof(a_record), 3, 0);
    msg[3] |= DNS_RA | DNS_NXDOMAIN;
    ck_assert_int_eq(proxy_answer_parse(msg, len, &family, &rcode, addrs), 1);
    ck_assert_int_eq(family, AF_INET);
    ck_assert_int_eq(rcode, DNS_NXDOMAIN);
    ck_assert_str_eq(sockaddr_format(&addrs[0], text), "10.43.0.9:0");
    for (size_t n = 0; n < len; n++)
        ck_assert_int_eq(proxy_answer_parse(msg, n, &family, &rcode, addrs),
                         -EBADMSG);
    len = make_answer(msg, "a.b", records, sizeof(records), 20, 0);
    ck_assert_int_eq(proxy_answer_parse(msg, len, &family, &rcode, addrs),
                     PROXY_LOOKUP_ADDRESSES);
    /* What is behind the answer is not looked at. */
    len = make_answer(msg, "a.b", a_record, sizeof(a_record), 1, 9);
    ck_assert_int_eq(proxy_answer_parse(msg, len, &family, &rcode, addrs), 1);
    msg[5] = 0;
    ck_assert_int_eq(proxy_answer_parse(msg, len, &family, &rcode, addrs),
                     -EBADMSG);
    msg[5] = 2;
    ck_assert_int_eq(proxy_answer_parse(msg, len, &family, &rcode, addrs),
                     -EBADMSG);
}
END_TEST

START_TEST(pointers_lead_back_and_never_round)
{
    /* 0: "a." 3: "b" and a pointer to 0, 7: to itself, 9: forward, 11: a label
     * that is too long */
    static const uint8_t msg[] = {1,    'a', 0,    1,  'b', 0xc0, 0,
                                  0xc0, 7,   0xc0, 11, 64,  0};
    uint8_t name[DNS_NAME_WIRE];

    ck_assert_int_eq(dns_name_read(msg, sizeof(msg), 3, name), 5);
    ck_assert_mem_eq(name, "\1b\1a\0", 5);
    ck_assert_int_eq(dns_name_skip(msg, sizeof(msg), 3), 7);
    ck_assert_int_eq(dns_name_read(msg, sizeof(msg), 7, name), -EBADMSG);
    ck_assert_int_eq(dns_name_read(msg, sizeof(msg), 9, name), -EBADMSG);
    ck_assert_int_eq(dns_name_read(msg, sizeof(msg), 11, name), -EBADMSG);
    ck_assert_int_eq(dns_name_read(msg, 6, 3, name), -EBADMSG);
    ck_assert_int_eq(dns_name_read(msg, 2, 0, name), -EBADMSG);
}
END_TEST

/* ---- how long an answer holds ---- */

START_TEST(ttl_is_the_shortest_and_of_nothing_the_soas)
{
    uint8_t records[64], msg[512];
    bool negative;
    size_t len;

    memcpy(records, a_record, sizeof(a_record));
    memcpy(records + sizeof(a_record), a_record, sizeof(a_record));
    records[9] = 20; /* of the first one */
    len = make_answer(msg, "a.b", records, 2 * sizeof(a_record), 2, 0);
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 20);
    ck_assert(!negative);
    len = make_answer(msg, "a.b", soa_record, sizeof(soa_record), 0, 1);
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 5);
    ck_assert(negative);
    msg[3] = DNS_NXDOMAIN;
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 5);
    msg[3] = DNS_SERVFAIL;
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 0);
    msg[3] = 0;
    msg[2] |= 0x02; /* truncated */
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 0);
    len = make_answer(msg, "a.b", "", 0, 0, 0); /* without SOA */
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 0);
    len = make_answer(msg, "a.b", a_record, sizeof(a_record), 2, 0);
    ck_assert_uint_eq(dns_answer_ttl(msg, len, &negative), 0); /* cut */
}
END_TEST

static struct dns_key key_of(const uint8_t *query, size_t len)
{
    struct dns_key key;

    ck_assert(dns_key_set(&key, query, len));
    return key;
}

START_TEST(keys_tell_questions_apart)
{
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    static const uint8_t cookie[] = {0,  0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0,
                                     10, 0, 8,  1, 2,   3, 4, 5, 6, 7, 8};
    uint8_t msg[512];
    size_t len = dns_world_query(msg, 1, "Web.Default", 1);
    struct dns_key plain = key_of(msg, len), other;

    len = dns_world_query(msg, 2, "web.default", 1);
    other = key_of(msg, len);
    ck_assert(dns_key_equal(&plain, &other));
    other = key_of(msg, dns_world_query(msg, 2, "web.default", 28));
    ck_assert(!dns_key_equal(&plain, &other));
    len = dns_world_query(msg, 2, "web.default", 1);
    msg[11] = 1;
    memcpy(msg + len, opt, sizeof(opt));
    other = key_of(msg, len + sizeof(opt));
    ck_assert(!dns_key_equal(&plain, &other));
    plain = other;
    msg[len + 7] = 0x80; /* DO */
    other = key_of(msg, len + sizeof(opt));
    ck_assert(!dns_key_equal(&plain, &other));
    memcpy(msg + len, cookie, sizeof(cookie));
    ck_assert(!dns_key_set(&other, msg, len + sizeof(cookie)));
    len = dns_world_query(msg, 2, "web.default", 255); /* ANY */
    ck_assert(!dns_key_set(&other, msg, len));
    len = dns_world_query(msg, 2, "web.default", 257); /* CAA */
    ck_assert(dns_key_set(&other, msg, len));
    msg[len - 1] = 3; /* class CH */
    ck_assert(!dns_key_set(&other, msg, len));
}
END_TEST

/* ---- the cache ---- */

static size_t put(struct dns_cache *c, const char *name, uint32_t seconds,
                  uint64_t now, struct dns_key *key)
{
    uint8_t msg[512];
    size_t len = make_answer(msg, name, a_record, sizeof(a_record), 1, 0);

    *key = key_of(msg, dns_world_query(msg, 1, name, 1));
    len = make_answer(msg, name, a_record, sizeof(a_record), 1, 0);
    dns_cache_put(c, key, msg, len, seconds, now);
    return len;
}

START_TEST(what_is_kept_grows_old_and_ends)
{
    struct dns_cache *c = dns_cache_create();
    uint8_t out[DNS_MAX_MSG];
    struct dns_cache_stats stats;
    struct dns_key key;
    size_t len = put(c, "a.b", 30, 1000, &key);

    ck_assert_uint_eq(dns_cache_get(c, &key, 1999, out), len);
    ck_assert_uint_eq(dns_get32(out + len - 10), 30);
    ck_assert_uint_eq(dns_cache_get(c, &key, 11999, out), len);
    ck_assert_uint_eq(dns_get32(out + len - 10), 20);
    ck_assert_uint_eq(dns_cache_get(c, &key, 30999, out), len);
    ck_assert_uint_eq(dns_cache_get(c, &key, 31000, out), 0);
    dns_cache_get_stats(c, &stats);
    ck_assert_uint_eq(stats.entries, 0);
    ck_assert_uint_eq(stats.bytes, 0);
    ck_assert_uint_eq(stats.hits, 3);
    ck_assert_uint_eq(stats.misses, 1);
    dns_cache_destroy(c);
}
END_TEST

START_TEST(the_cache_is_bounded_and_forgets_the_oldest)
{
    struct dns_cache *c = dns_cache_create();
    uint8_t out[DNS_MAX_MSG];
    struct dns_cache_stats stats;
    struct dns_key first, key;
    char name[64];

    put(c, "first.b", 30, 0, &first);
    for (unsigned i = 0; i < 3 * DNS_CACHE_ENTRIES; i++) {
        snprintf(name, sizeof(name), "n%u.b", i);
        put(c, name, 30, 0, &key);
        ck_assert_uint_gt(dns_cache_get(c, &first, 1, out), 0); /* in use */
    }
    dns_cache_get_stats(c, &stats);
    ck_assert_uint_le(stats.entries, DNS_CACHE_ENTRIES);
    ck_assert_uint_le(stats.bytes, DNS_CACHE_BYTES);
    ck_assert_uint_gt(dns_cache_get(c, &key, 1, out), 0);
    put(c, "n0.b", 0, 0, &key); /* forgets it */
    ck_assert_uint_eq(dns_cache_get(c, &key, 1, out), 0);
    dns_cache_flush(c);
    dns_cache_get_stats(c, &stats);
    ck_assert_uint_eq(stats.bytes, 0);
    ck_assert_uint_eq(dns_cache_get(c, &first, 1, out), 0);
    dns_cache_destroy(c);
}
END_TEST

/* ---- names for names ---- */

START_TEST(an_alias_is_written_before_its_answer)
{
    /* For "pg.example": CNAME to "x" + pointer into the question, A of that
     * by a pointer into the data, MX with a pointer. */
    static const uint8_t records[] = {
        0xc0, 12, 0, 5,  0, 1, 0, 0, 0, 9, 0, 4, 1,  'x', 0xc0, 15,
        0xc0, 40, 0, 1,  0, 1, 0, 0, 0, 9, 0, 4, 10, 43,  0,    7,
        0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0, 4, 0,  5,   0xc0, 40};
    static const uint8_t want[] = {0xc0, 12,  0,   5,   0,    1,   0,
                                   0,    0,   30,  0,   12,   2,   'p',
                                   'g',  7,   'e', 'x', 'a',  'm', 'p',
                                   'l',  'e', 0, /* db is pg.example */
                                   0xc0, 32,  0,   5,   0,    1,   0,
                                   0,    0,   9,   0,   11,   1,   'x',
                                   7,    'e', 'x', 'a', 'm',  'p', 'l',
                                   'e',  0, /* pg.example is x.example */
                                   1,    'x', 7,   'e', 'x',  'a', 'm',
                                   'p',  'l', 'e', 0,   0,    1,   0,
                                   1,    0,   0,   0,   9,    0,   4,
                                   10,   43,  0,   7,   0xc0, 32,  0,
                                   15,   0,   1,   0,   0,    0,   9,
                                   0,    13,  0,   5,   1,    'x', 7,
                                   'e',  'x', 'a', 'm', 'p',  'l', 'e',
                                   0};
    uint8_t query[512], head[DNS_RENAMED_MAX], answer[512], out[DNS_MAX_MSG];
    size_t end, len = dns_world_query(query, 7, "DB", 1), n;
    int got;

    n = dns_rewrite_query(query, len, len, "pg.example", head, &end);
    ck_assert_uint_eq(n, end);
    memcpy(answer, head, n);
    answer[2] |= 0x80;
    answer[7] = 3;
    memcpy(answer + n, records, sizeof(records));
    ck_assert_uint_eq(n, 28);
    got = dns_rewrite_answer(DNS_RENAME_ALIAS, query, len, answer,
                             n + sizeof(records), out);
    ck_assert_int_eq(got, (int)(len + sizeof(want)));
    ck_assert_mem_eq(out + 12, "\2DB", 4);
    ck_assert_uint_eq(out[7], 4);
    /* The alias' name begins behind "DB" and the CNAME's first 12 bytes. */
    ck_assert_mem_eq(out + len, want, sizeof(want));
    for (size_t i = 0; i < sizeof(records); i++)
        ck_assert_int_lt(dns_rewrite_answer(DNS_RENAME_ALIAS, query, len,
                                            answer, n + i, out),
                         0);
}
END_TEST

START_TEST(an_owner_gets_the_name_that_was_asked_for)
{
    uint8_t query[512], head[DNS_RENAMED_MAX], out[DNS_MAX_MSG], answer[512];
    size_t end, len = dns_world_query(query, 7, "virtual.arpa", 12), n;
    int got;

    n = dns_rewrite_query(query, len, len, "Real.arpa", head, &end);
    memcpy(answer, head, n);
    answer[2] |= 0x80;
    answer[7] = 1;
    memcpy(answer + n, a_record, sizeof(a_record));
    got = dns_rewrite_answer(DNS_RENAME_OWNER, query, len, answer,
                             n + sizeof(a_record), out);
    ck_assert_int_eq(got, (int)(len + sizeof(a_record)));
    ck_assert_mem_eq(out + 12, query + 12, len - 12);
    ck_assert_mem_eq(out + len, a_record, sizeof(a_record));
}
END_TEST

START_TEST(edns_goes_with_a_renamed_query)
{
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0};
    uint8_t query[512], out[DNS_RENAMED_MAX];
    size_t end, len = dns_world_query(query, 7, "a", 1), n;

    memcpy(query + len, opt, sizeof(opt));
    query[11] = 1;
    n = dns_rewrite_query(query, len + sizeof(opt), len, "b.c", out, &end);
    ck_assert_uint_eq(n, end + sizeof(opt));
    ck_assert_mem_eq(out + end, opt, sizeof(opt));
    ck_assert_uint_eq(out[11], 1);
    memset(query + len, 1, 400); /* no OPT, and long */
    n = dns_rewrite_query(query, len + 400, len, "b.c", out, &end);
    ck_assert_uint_eq(n, end);
    ck_assert_uint_eq(out[11], 0);
}
END_TEST

/* ---- which names nobody is asked for ---- */

START_TEST(names_that_cannot_be_meant_go_nowhere)
{
    static const char *const excludes[] = {"corp.example", "local"};
    static const char *const suffixes[] = {"deep.corp.example"};
    static const char *const namespaces[] = {"team-b"};
    static const struct {
        const char *name;
        enum dns_kind kind;
    } cases[] = {
        {"web.team-a.svc.cluster.local", DNS_CLUSTER},
        {"web.team-b.svc.cluster.local", DNS_CLUSTER},
        {"_http._tcp.web.team-b.svc.cluster.local", DNS_CLUSTER},
        {"web.team-c.svc.cluster.local", DNS_NOWHERE},
        {"www.example.com.svc.cluster.local", DNS_NOWHERE},
        {"1-2-3-4.team-c.pod.cluster.local", DNS_NOWHERE},
        {"svc.cluster.local", DNS_CLUSTER},
        {"dns-version.cluster.local", DNS_CLUSTER},
        {"wpad", DNS_UPSTREAM},
        {"wpad.corp", DNS_UPSTREAM},
        {"wpad.team-a.svc.cluster.local", DNS_NOWHERE},
        {"wpadx.team-a.svc.cluster.local", DNS_CLUSTER},
        {"b._dns-sd._udp.cluster.local", DNS_NOWHERE},
        {"lb._dns-sd._udp.0.0.43.10.in-addr.arpa", DNS_UPSTREAM},
        {"x_dns-sd._udp.cluster.local", DNS_CLUSTER},
        {"a.corp.example", DNS_UPSTREAM},
        {"a.corp.example.team-a.svc.cluster.local", DNS_NOWHERE},
        {"a.deep.corp.example", DNS_CLUSTER}, /* the longer one wins */
    };
    struct dns_config config = {.domain = "cluster.local",
                                .namespace = "team-a",
                                .namespaces = namespaces,
                                .n_namespaces = 1,
                                .suffixes = suffixes,
                                .n_suffixes = 1,
                                .excludes = excludes,
                                .n_excludes = 2};
    struct dns_zone *z = dns_zone_create(&config);

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(dns_zone_route(z, cases[i].name) == cases[i].kind, "%s",
                      cases[i].name);
    dns_zone_destroy(z);
    ck_assert_uint_eq(dns_zone_route(NULL, "wpad.a.b"), DNS_UPSTREAM);
}
END_TEST

START_TEST(mappings_are_found_with_the_search_list)
{
    static const struct dns_mapping mappings[] = {
        {"db", "pg.data.svc"}, {"api.corp", "10.9.8.7"}, {"bad name", "x.y"}};
    struct dns_config config = {.domain = "cluster.local",
                                .namespace = "team-a",
                                .mappings = mappings,
                                .n_mappings = 3};
    struct dns_zone *z = dns_zone_create(&config);

    ck_assert_str_eq(dns_zone_target(z, "db"), "pg.data.svc.cluster.local");
    ck_assert_str_eq(dns_zone_target(z, "db.team-a.svc.cluster.local"),
                     "pg.data.svc.cluster.local");
    ck_assert_str_eq(dns_zone_target(z, "api.corp.cluster.local"), "10.9.8.7");
    ck_assert_ptr_null(dns_zone_target(z, "db.team-b.svc.cluster.local"));
    ck_assert_ptr_null(dns_zone_target(z, "xdb"));
    ck_assert_ptr_null(dns_zone_target(NULL, "db"));
    dns_zone_destroy(z);
}
END_TEST

/* ---- the whole ---- */

static void serve_records(struct fake *f, const void *records, size_t len,
                          uint8_t answers, uint8_t authority)
{
    f->records = records;
    f->records_len = len;
    f->n_answers = answers;
    f->n_authority = authority;
}

START_TEST(a_name_is_asked_for_once_while_it_holds)
{
    struct answer a, b, c;
    struct dns_stats stats;

    serve_records(&cluster, a_record, sizeof(a_record), 1, 0);
    dns_world_ask(&a, 1, "web.cluster.local");
    dns_world_ask(&b, 2, "WEB.cluster.local"); /* joins the first */
    SERVE_UNTIL(a.n && b.n);
    dns_world_ask(&c, 3, "Web.Cluster.Local");
    ck_assert_uint_eq(c.n, 1); /* at once */
    ck_assert_uint_eq(cluster.queries, 1);
    ck_assert_uint_eq(b.id, 2);
    ck_assert_mem_eq(b.msg + 12, "\3WEB", 4); /* as each asked it */
    ck_assert_uint_eq(c.id, 3);
    ck_assert_mem_eq(c.msg + 12, "\3Web", 4);
    ck_assert_mem_eq(c.msg + c.len - 4, a_record + 12, 4);
    dns_get_stats(dns, &stats);
    ck_assert_uint_eq(stats.joined, 1);
    ck_assert_uint_eq(stats.hits, 1);
    ck_assert_uint_eq(stats.entries, 1);
    dns_world_configure(0); /* another cluster, for all we know */
    dns_world_ask(&c, 3, "web.cluster.local");
    SERVE_UNTIL(c.n);
    ck_assert_uint_eq(cluster.queries, 2);
}
END_TEST

START_TEST(names_that_do_not_exist_are_kept_by_their_soa)
{
    struct answer a;

    cluster.rcode = DNS_NXDOMAIN;
    for (unsigned i = 1; i < 3; i++) {
        serve_records(&cluster, "", 0, 0, 0);
        dns_world_ask(&a, 1, "no.cluster.local");
        SERVE_UNTIL(a.n);
        ck_assert_uint_eq(cluster.queries, i); /* no SOA, not kept */
    }
    serve_records(&cluster, soa_record, sizeof(soa_record), 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        dns_world_ask(&a, 1, "no.cluster.local");
        SERVE_UNTIL(a.n);
        ck_assert_uint_eq(a.rcode, DNS_NXDOMAIN);
        ck_assert_uint_eq(cluster.queries, 3);
    }
}
END_TEST

START_TEST(names_of_dockers_are_asked_for_each_time)
{
    uint8_t docker[sizeof(a_record)];
    struct answer a;

    memcpy(docker, a_record, sizeof(docker));
    for (unsigned i = 1; i < 3; i++) {
        serve_records(&upstream, a_record, sizeof(a_record), 1, 0);
        dns_world_ask(&a, 1, "db");
        SERVE_UNTIL(a.n);
        ck_assert_uint_eq(upstream.queries, i);
    }
    dns_put32(docker + 6, 600); /* what Docker's resolver says */
    serve_records(&upstream, docker, sizeof(docker), 1, 0);
    for (unsigned i = 3; i < 5; i++) {
        dns_world_ask(&a, 1, "db.mynet");
        SERVE_UNTIL(a.n);
        ck_assert_uint_eq(upstream.queries, i);
    }
    serve_records(&upstream, a_record, sizeof(a_record), 1, 0);
    for (unsigned i = 0; i < 2; i++) {
        dns_world_ask(&a, 1, "example.com");
        SERVE_UNTIL(a.n);
        ck_assert_uint_eq(upstream.queries, 5);
    }
}
END_TEST

START_TEST(a_long_answer_is_cut_for_who_takes_only_a_short_one)
{
    static const uint8_t opt[] = {0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0};
    static uint8_t records[50 * sizeof(a_record)];
    struct answer a, b = {0}, c = {0};
    uint8_t msg[512];
    size_t len;
    int fd;

    for (size_t i = 0; i < 50; i++)
        memcpy(records + i * sizeof(a_record), a_record, sizeof(a_record));
    serve_records(&cluster, records, sizeof(records), 50, 0);
    dns_world_ask(&a, 1, "web.cluster.local");
    SERVE_UNTIL(a.n);
    ck_assert(a.flags & 0x02);
    ck_assert_uint_le(a.len, 512);
    fd = dns_world_open_tcp(); /* of the same key, from the cache */
    dns_world_send_tcp(fd, 5, "web.cluster.local");
    SERVE_UNTIL(dns_world_recv_tcp(fd, &c));
    close(fd);
    ck_assert(!(c.flags & 0x02));
    ck_assert_uint_gt(c.len, sizeof(records));
    ck_assert_uint_eq(cluster.queries, 1);
    len = dns_world_query(msg, 2, "web.cluster.local", 1);
    memcpy(msg + len, opt, sizeof(opt));
    msg[11] = 1;
    dns_query(dns, msg, len + sizeof(opt), dns_world_reply_cb, &b);
    SERVE_UNTIL(b.n);
    ck_assert(!(b.flags & 0x02));
    ck_assert_uint_gt(b.len, sizeof(records));
}
END_TEST

static void configure_mappings(void)
{
    static const struct dns_mapping mappings[] = {{"db", "pg.cluster.local"},
                                                  {"out", "www.example.com"},
                                                  {"fixed", "10.9.8.7"}};
    struct dns_config config = {.domain = "cluster.local",
                                .namespace = "default",
                                .mappings = mappings,
                                .n_mappings = 3};

    ck_assert_int_eq(sockaddr_parse(&config.address, "10.43.0.10", 0), 0);
    dns_set_cluster(dns, &config);
}

START_TEST(a_mapped_name_is_answered_by_its_target)
{
    static const uint8_t nine[] = {10, 9, 8, 7};
    struct answer a, b, c, d = {0};
    uint8_t msg[512];
    int fd;

    configure_mappings();
    serve_records(&cluster, a_record, sizeof(a_record), 1, 0);
    serve_records(&upstream, a_record, sizeof(a_record), 1, 0);
    dns_world_ask(&a, 1, "DB.default.svc.cluster.local");
    dns_world_ask(&b, 2, "out");
    dns_world_ask(&c, 3, "fixed");
    SERVE_UNTIL(a.n && b.n && c.n);
    ck_assert_uint_eq(cluster.queries, 1);
    ck_assert_uint_eq(upstream.queries, 1);
    ck_assert_uint_eq(a.msg[7], 2); /* CNAME, A */
    ck_assert_mem_eq(a.msg + 12, "\2DB", 3);
    ck_assert_mem_eq(a.msg + a.len - 4, a_record + 12, 4);
    ck_assert_uint_eq(b.msg[7], 2);
    ck_assert_uint_eq(c.msg[7], 1);
    ck_assert_mem_eq(c.msg + c.len - 4, nine, 4);
    dns_query(dns, msg, dns_world_query(msg, 4, "fixed", 28),
              dns_world_reply_cb, &d);
    ck_assert_uint_eq(d.n, 1); /* it is there, but not of IPv6 */
    ck_assert_uint_eq(d.rcode, 0);
    ck_assert_uint_eq(d.msg[7], 0);
    memset(&d, 0, sizeof(d));
    configure_mappings(); /* nothing is kept */
    fd = dns_world_open_tcp();
    dns_world_send_tcp(fd, 9, "db");
    SERVE_UNTIL(dns_world_recv_tcp(fd, &d));
    close(fd);
    ck_assert_uint_eq(d.msg[7], 2);
    ck_assert_uint_eq(d.id, 9);
}
END_TEST

/* 10.43.0.0/16 is 246.0.0.0/16. */
static void configure_virtual(void)
{
    struct vnat_pair one = {0};
    struct vnat v = {.pairs = &one, .n = 1};
    struct dns_config config = {.domain = "cluster.local",
                                .subnets = &one.virt,
                                .n_subnets = 1,
                                .vnat = &v};

    ck_assert_int_eq(subnet_parse(&one.real, "10.43.0.0/16"), 0);
    ck_assert_int_eq(subnet_parse(&one.virt, "246.0.0.0/16"), 0);
    ck_assert_int_eq(sockaddr_parse(&config.address, "10.43.0.10", 0), 0);
    dns_set_cluster(dns, &config);
}

START_TEST(the_clusters_addresses_become_virtual)
{
    static const uint8_t virtual[] = {246, 0, 0, 7};
    struct answer a, b, c = {0};
    int fd;

    configure_virtual();
    serve_records(&cluster, a_record, sizeof(a_record), 1, 0);
    serve_records(&upstream, a_record, sizeof(a_record), 1, 0);
    dns_world_ask(&a, 1, "web.cluster.local");
    dns_world_ask(&b, 2, "www.example.com");
    SERVE_UNTIL(a.n && b.n);
    ck_assert_str_eq(pair.opened_text, "10.43.0.10:53"); /* the real one */
    ck_assert_mem_eq(a.msg + a.len - 4, virtual, 4);
    ck_assert_mem_eq(b.msg + b.len - 4, a_record + 12, 4); /* as it was said */
    dns_world_ask(&a, 1, "web.cluster.local");             /* kept */
    ck_assert_mem_eq(a.msg + a.len - 4, virtual, 4);
    configure_virtual();
    fd = dns_world_open_tcp();
    dns_world_send_tcp(fd, 9, "web.cluster.local");
    SERVE_UNTIL(dns_world_recv_tcp(fd, &c));
    close(fd);
    ck_assert_mem_eq(c.msg + c.len - 4, virtual, 4);
    serve_records(&cluster, "\300", 1, 1, 0);
    dns_world_ask(&a, 1, "bad.cluster.local");
    SERVE_UNTIL(a.n);
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
}
END_TEST

START_TEST(names_of_virtual_addresses_are_those_of_the_real_ones)
{
    static const uint8_t ptr[] = {0xc0, 12, 0, 12, 0,   1,   0,   0, 0,
                                  30,   0,  5, 3,  'w', 'e', 'b', 0};
    struct answer a = {0}, b = {0}, c = {0};
    struct dns_question q;
    uint8_t msg[512];

    configure_virtual();
    serve_records(&cluster, ptr, sizeof(ptr), 1, 0);
    dns_query(dns, msg, dns_world_query(msg, 3, "7.0.0.246.in-addr.arpa", 12),
              dns_world_reply_cb, &a);
    SERVE_UNTIL(a.n);
    ck_assert_str_eq(cluster.last_name, "7.0.43.10.in-addr.arpa");
    ck_assert_int_eq(dns_msg_parse(&q, a.msg, a.len), 0);
    ck_assert_str_eq(q.name, "7.0.0.246.in-addr.arpa");
    ck_assert_mem_eq(a.msg + q.end, ptr, sizeof(ptr));
    /* The real address is somebody else's here. */
    dns_query(dns, msg, dns_world_query(msg, 4, "7.0.43.10.in-addr.arpa", 12),
              dns_world_reply_cb, &b);
    dns_query(dns, msg, dns_world_query(msg, 5, "0.246.in-addr.arpa", 12),
              dns_world_reply_cb, &c);
    SERVE_UNTIL(b.n && c.n);
    ck_assert_uint_eq(upstream.queries, 1);
    ck_assert_str_eq(cluster.last_name, "0.246.in-addr.arpa");
}
END_TEST

START_TEST(wpad_is_answered_here)
{
    struct answer a;

    dns_world_ask(&a, 1, "wpad.default.svc.cluster.local");
    ck_assert_uint_eq(a.n, 1);
    ck_assert_uint_eq(a.rcode, DNS_NXDOMAIN);
    ck_assert_uint_eq(cluster.queries, 0);
}
END_TEST

START_TEST(who_waits_with_others_may_go)
{
    struct answer a, b;

    serve_records(&cluster, a_record, sizeof(a_record), 1, 0);
    dns_world_ask(&a, 1, "web.cluster.local");
    dns_world_ask(&b, 2, "web.cluster.local");
    dns_cancel(dns, &a);
    SERVE_UNTIL(b.n);
    ck_assert_uint_eq(a.n, 0);
    ck_assert_uint_eq(cluster.queries, 1);
}
END_TEST

START_TEST(nonsense_behind_a_mapping_is_servfail)
{
    struct answer a;

    configure_mappings();
    serve_records(&cluster, "\300", 1, 1, 0);
    dns_world_ask(&a, 1, "db");
    SERVE_UNTIL(a.n);
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dns answers");
    TCase *pure = tcase_create("messages");
    TCase *tc = tcase_create("queries");

    tcase_add_test(pure, records_are_read_and_cut_ones_refused);
    tcase_add_test(pure, a_lookup_asks_for_names_alone);
    tcase_add_test(pure, a_lookup_takes_the_answers_addresses);
    tcase_add_test(pure, pointers_lead_back_and_never_round);
    tcase_add_test(pure, ttl_is_the_shortest_and_of_nothing_the_soas);
    tcase_add_test(pure, keys_tell_questions_apart);
    tcase_add_test(pure, what_is_kept_grows_old_and_ends);
    tcase_add_test(pure, the_cache_is_bounded_and_forgets_the_oldest);
    tcase_add_test(pure, an_alias_is_written_before_its_answer);
    tcase_add_test(pure, an_owner_gets_the_name_that_was_asked_for);
    tcase_add_test(pure, edns_goes_with_a_renamed_query);
    tcase_add_test(pure, names_that_cannot_be_meant_go_nowhere);
    tcase_add_test(pure, mappings_are_found_with_the_search_list);
    suite_add_tcase(suite, pure);
    tcase_add_checked_fixture(tc, dns_world_setup, dns_world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_name_is_asked_for_once_while_it_holds);
    tcase_add_test(tc, names_that_do_not_exist_are_kept_by_their_soa);
    tcase_add_test(tc, names_of_dockers_are_asked_for_each_time);
    tcase_add_test(tc, a_long_answer_is_cut_for_who_takes_only_a_short_one);
    tcase_add_test(tc, a_mapped_name_is_answered_by_its_target);
    tcase_add_test(tc, the_clusters_addresses_become_virtual);
    tcase_add_test(tc, names_of_virtual_addresses_are_those_of_the_real_ones);
    tcase_add_test(tc, wpad_is_answered_here);
    tcase_add_test(tc, who_waits_with_others_may_go);
    tcase_add_test(tc, nonsense_behind_a_mapping_is_servfail);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
