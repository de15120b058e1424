/* Unit tests of the data path's parts that need no kernel. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/capture_set.h"
#include "daemon/datapath_marks.h"
#include "base/flow_table.h"
#include "daemon/hold_queue.h"
#include "daemon/nft.h"
#include "daemon/packet.h"
#include "suite.h"

/* --- capture_set -------------------------------------------------------- */

static size_t parse_list(struct subnet *nets, const char *const *texts)
{
    size_t n = 0;

    for (; texts[n]; n++)
        ck_assert_int_eq(subnet_parse(&nets[n], texts[n]), 0);
    return n;
}

static struct capture_set build(const char *const *capture,
                                const char *const *bypass)
{
    struct subnet c[16], b[16];
    struct capture_set set;
    size_t n_c = parse_list(c, capture), n_b = parse_list(b, bypass);

    ck_assert_int_eq(capture_set_build(&set, c, n_c, b, n_b, NULL), 0);
    return set;
}

static bool has(const struct capture_set *set, const char *ip)
{
    union sockaddr_any addr;

    ck_assert_int_eq(sockaddr_parse(&addr, ip, 80), 0);
    return capture_set_contains(set, &addr);
}

START_TEST(longest_prefix_wins_in_any_depth)
{
    const char *const capture[] = {"10.0.0.0/8", "10.1.2.0/24", NULL};
    const char *const bypass[] = {"10.1.0.0/16", "10.1.2.3/32", NULL};
    struct capture_set set = build(capture, bypass);

    ck_assert(has(&set, "10.0.0.0"));
    ck_assert(has(&set, "10.255.255.255"));
    ck_assert(!has(&set, "10.1.0.0"));
    ck_assert(!has(&set, "10.1.255.255"));
    ck_assert(has(&set, "10.1.2.0"));
    ck_assert(!has(&set, "10.1.2.3"));
    ck_assert(has(&set, "10.1.2.4"));
    ck_assert(!has(&set, "11.0.0.0"));
    ck_assert(!has(&set, "9.255.255.255"));
    ck_assert_uint_eq(set.n_v4, 4);
    ck_assert_uint_eq(set.n_v6, 0);
    capture_set_release(&set);
}
END_TEST

START_TEST(of_equal_prefixes_the_bypass_wins)
{
    const char *const capture[] = {"10.1.0.0/16", "fd00::/8", NULL};
    const char *const bypass[] = {"10.1.0.0/16", "fd00::/8", NULL};
    struct capture_set set = build(capture, bypass);

    ck_assert_uint_eq(set.n_v4, 0);
    ck_assert_uint_eq(set.n_v6, 0);
    capture_set_release(&set);
}
END_TEST

START_TEST(neighbours_and_duplicates_merge)
{
    const char *const capture[] = {"10.42.0.0/16", "10.43.0.0/16",
                                   "10.42.0.0/16", "10.42.3.0/24", NULL};
    const char *const none[] = {NULL};
    struct capture_set set = build(capture, none);

    ck_assert_uint_eq(set.n_v4, 1);
    ck_assert_mem_eq(set.v4[0].first, "\x0a\x2a\x00\x00", 4);
    ck_assert_mem_eq(set.v4[0].last, "\x0a\x2b\xff\xff", 4);
    capture_set_release(&set);
}
END_TEST

START_TEST(the_ends_of_the_address_space)
{
    const char *const capture[] = {"0.0.0.0/0", "::/0", NULL};
    const char *const bypass[] = {"255.255.255.255/32", "0.0.0.0/32",
                                  "ffff::/16", NULL};
    struct capture_set set = build(capture, bypass);

    ck_assert(!has(&set, "0.0.0.0"));
    ck_assert(has(&set, "0.0.0.1"));
    ck_assert(has(&set, "255.255.255.254"));
    ck_assert(!has(&set, "255.255.255.255"));
    ck_assert(has(&set, "::"));
    ck_assert(has(&set, "fffe:ffff::1"));
    ck_assert(!has(&set, "ffff::1"));
    capture_set_release(&set);
}
END_TEST

START_TEST(too_many_or_malformed_subnets_are_refused)
{
    static struct subnet many[CAPTURE_SET_MAX + 1];
    struct subnet bad = {.family = AF_INET, .prefix = 33};
    struct capture_set set;

    ck_assert_int_eq(
        capture_set_build(&set, many, CAPTURE_SET_MAX + 1, NULL, 0, NULL),
        -E2BIG);
    ck_assert_int_eq(capture_set_build(&set, &bad, 1, NULL, 0, NULL), -EINVAL);
}
END_TEST

/* --- packet ------------------------------------------------------------- */

static const uint8_t syn4[] = {0x46, 0,    0,    48,   0,  0,  0x40, 0,  64, 6,
                               0,    0, /* 24 bytes of header */
                               10,   0,    0,    1,    10, 43, 0,    10, 1,  1,
                               1,    0, /* options */
                               0x9c, 0x40, 0x00, 0x50, 1,  2,  3,    4,  0,  0,
                               0,    0,    0x50, 0x02, 0,  0,  0,    0,  0,  0};

START_TEST(syn_of_ipv4_with_options)
{
    struct packet_syn syn;
    char text[SOCKADDR_TEXT];

    ck_assert_int_eq(packet_parse_syn(syn4, sizeof(syn4), &syn), 0);
    ck_assert_str_eq(sockaddr_format(&syn.src, text), "10.0.0.1:40000");
    ck_assert_str_eq(sockaddr_format(&syn.dst, text), "10.43.0.10:80");
    ck_assert_uint_eq(syn.seq, 0x01020304);
}
END_TEST

START_TEST(cut_packets_and_others_are_refused)
{
    uint8_t copy[sizeof(syn4)];
    struct packet_syn syn;

    for (size_t len = 0; len < 24 + 14; len++) {
        memcpy(copy, syn4, sizeof(copy));
        ck_assert_int_eq(packet_parse_syn(copy, len, &syn), -EINVAL);
    }
    copy[24 + 13] = 0x12; /* SYN and ACK */
    ck_assert_int_eq(packet_parse_syn(copy, sizeof(copy), &syn), -EINVAL);
    memcpy(copy, syn4, sizeof(copy));
    copy[9] = IPPROTO_UDP;
    ck_assert_int_eq(packet_parse_syn(copy, sizeof(copy), &syn), -EINVAL);
    memcpy(copy, syn4, sizeof(copy));
    copy[7] = 1; /* a fragment */
    ck_assert_int_eq(packet_parse_syn(copy, sizeof(copy), &syn), -EINVAL);
}
END_TEST

/* hops extension headers of 8 bytes between IPv6 and TCP */
static size_t make_syn6(uint8_t *p, unsigned hops)
{
    size_t at = 40;

    memset(p, 0, 256);
    p[0] = 0x60;
    p[6] = hops ? IPPROTO_DSTOPTS : IPPROTO_TCP;
    p[8] = 0xfd;
    p[24] = 0xfd;
    p[39] = 0x10;
    for (unsigned i = 0; i < hops; i++, at += 8)
        p[at] = i + 1 < hops ? IPPROTO_DSTOPTS : IPPROTO_TCP;
    p[at + 3] = 80;
    p[at + 13] = 0x02;
    return at + 20;
}

START_TEST(syn_of_ipv6_behind_extension_headers)
{
    uint8_t p[256];
    struct packet_syn syn;
    char text[SOCKADDR_TEXT];
    size_t len = make_syn6(p, 3);

    ck_assert_int_eq(packet_parse_syn(p, len, &syn), 0);
    ck_assert_str_eq(sockaddr_format(&syn.dst, text), "[fd00::10]:80");
    len = make_syn6(p, 9);
    ck_assert_int_eq(packet_parse_syn(p, len, &syn), -EINVAL);
    len = make_syn6(p, 1);
    p[41] = 255; /* longer than the packet */
    ck_assert_int_eq(packet_parse_syn(p, len, &syn), -EINVAL);
}
END_TEST

/* --- flow_table --------------------------------------------------------- */

START_TEST(flows_are_found_by_both_addresses)
{
    enum { N = 10000 };
    struct flow_node *nodes = calloc(N, sizeof(*nodes));
    struct flow_table t;
    union sockaddr_any src, dst;
    struct flow_key key;

    ck_assert_int_eq(flow_table_init(&t), 0);
    sockaddr_parse(&dst, "10.43.0.10", 80);
    for (uint16_t i = 0; i < N; i++) {
        sockaddr_parse(&src, "10.0.0.1", i);
        flow_key_set(&nodes[i].key, &src, &dst);
        ck_assert_ptr_null(flow_table_find(&t, &nodes[i].key));
        flow_table_insert(&t, &nodes[i]);
    }
    ck_assert_uint_eq(t.count, N);
    sockaddr_parse(&src, "10.0.0.1", 77);
    flow_key_set(&key, &src, &dst);
    ck_assert_ptr_eq(flow_table_find(&t, &key), &nodes[77]);
    flow_key_set(&key, &dst, &src);
    ck_assert_ptr_null(flow_table_find(&t, &key));
    for (size_t i = 0; i < N; i++) {
        flow_table_remove(&t, &nodes[i]);
        flow_table_remove(&t, &nodes[i]); /* does nothing */
    }
    ck_assert_uint_eq(t.count, 0);
    flow_table_release(&t);
    free(nodes);
}
END_TEST

/* --- verdicts and rules ------------------------------------------------- */

START_TEST(verdicts_tell_the_truth)
{
    ck_assert_int_eq(hold_verdict_of(0), HOLD_ACCEPT);
    ck_assert_int_eq(hold_verdict_of(-ECONNREFUSED), HOLD_RESET);
    ck_assert_int_eq(hold_verdict_of(-EHOSTUNREACH), HOLD_HOST);
    ck_assert_int_eq(hold_verdict_of(-ENETUNREACH), HOLD_NET);
    ck_assert_int_eq(hold_verdict_of(-EACCES), HOLD_PROHIBIT);
    ck_assert_int_eq(hold_verdict_of(-ETIMEDOUT), HOLD_DROP);
    ck_assert_int_eq(hold_verdict_of(-EIO), HOLD_HOST);
}
END_TEST

START_TEST(rules_name_only_the_own_table)
{
    const char *const capture[] = {"10.43.0.0/16", "10.44.0.1/32", NULL};
    const char *const none[] = {NULL};
    struct capture_set set = build(capture, none);
    struct nft_config c = {
        .set = &set, .v4 = true, .tcp4 = 40001, .udp4 = 40002};
    char *text;

    sockaddr_parse(&c.dns, "10.43.0.10", 53);
    text = nft_format(&c);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(
        strstr(text, "10.43.0.0-10.43.255.255,\n10.44.0.1 }"));
    ck_assert_ptr_nonnull(strstr(text, "tproxy ip to 127.0.0.1:40001"));
    ck_assert_ptr_null(strstr(text, "ip6 to"));
    ck_assert_ptr_null(strstr(text, "== syn"));
    ck_assert_ptr_null(strstr(text, "flush ruleset"));
    ck_assert_ptr_null(strstr(text, "owner"));
    free(text);
    c.hold = true;
    text = nft_format(&c);
    ck_assert_ptr_nonnull(strstr(text, "== syn meta mark set 0x74700002"));
    free(text);
    capture_set_release(&set);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("datapath");
    TCase *tc = tcase_create("datapath");

    tcase_add_test(tc, longest_prefix_wins_in_any_depth);
    tcase_add_test(tc, of_equal_prefixes_the_bypass_wins);
    tcase_add_test(tc, neighbours_and_duplicates_merge);
    tcase_add_test(tc, the_ends_of_the_address_space);
    tcase_add_test(tc, too_many_or_malformed_subnets_are_refused);
    tcase_add_test(tc, syn_of_ipv4_with_options);
    tcase_add_test(tc, cut_packets_and_others_are_refused);
    tcase_add_test(tc, syn_of_ipv6_behind_extension_headers);
    tcase_add_test(tc, flows_are_found_by_both_addresses);
    tcase_add_test(tc, verdicts_tell_the_truth);
    tcase_add_test(tc, rules_name_only_the_own_table);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
