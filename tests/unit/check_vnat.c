/* Unit tests of virtual addresses: which subnets get them, what they stand for,
 * and where they are put. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/cluster_info.h"
#include "daemon/dns_record.h"
#include "daemon/dns_translate.h"
#include "suite.h"

static struct subnet net(const char *text)
{
    struct subnet n;

    ck_assert_msg(subnet_parse(&n, text) == 0, "%s", text);
    return n;
}

static struct subnet_list list_of(const char *a, const char *b)
{
    struct subnet_list list = {0};
    struct subnet n;

    for (size_t i = 0; i < 2; i++) {
        if (!(i ? b : a))
            continue;
        n = net(i ? b : a);
        subnet_list_add(&list, &n);
    }
    return list;
}

/* What `text` becomes; "": it stays. */
static const char *to(bool (*change)(const struct vnat *, union sockaddr_any *),
                      const struct vnat *v, const char *text)
{
    static char out[SOCKADDR_TEXT];
    union sockaddr_any addr;

    ck_assert_int_eq(sockaddr_parse(&addr, text, 80), 0);
    if (!change(v, &addr))
        return "";
    ck_assert_uint_eq(sockaddr_port(&addr), 80);
    return sockaddr_format_ip(&addr, out);
}

static int add(struct vnat *v, const char *real, const char *pool,
               const char *taken, const struct vnat *former)
{
    struct subnet_list pools = list_of(pool, NULL);
    struct subnet_list used = list_of(taken, NULL);
    struct subnet n = net(real);
    int rc = vnat_add(v, &n, &pools, &used, former, NULL);

    subnet_list_release(&pools);
    subnet_list_release(&used);
    return rc;
}

/* ---- pairs ---- */

START_TEST(each_address_stands_for_the_one_at_its_offset)
{
    struct vnat v = {0};

    ck_assert_int_eq(add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL), 0);
    ck_assert_int_eq(add(&v, "10.42.0.0/24", "246.0.0.0/8", NULL, NULL), 0);
    ck_assert_int_eq(add(&v, "fd43::/64", VNAT_POOL_V6, NULL, NULL), 0);
    ck_assert_int_eq(add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL),
                     -EEXIST);
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.43.0.0"), "246.0.0.0");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.43.255.255"), "246.0.255.255");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.42.0.7"), "246.1.0.7");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.42.1.7"), "");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "fd43::1:2"),
                     "fd74:7076:6e74::1:2");
    ck_assert_str_eq(to(vnat_to_real, &v, "246.0.1.2"), "10.43.1.2");
    ck_assert_str_eq(to(vnat_to_real, &v, "246.1.0.255"), "10.42.0.255");
    ck_assert_str_eq(to(vnat_to_real, &v, "246.1.1.0"), "");
    ck_assert_str_eq(to(vnat_to_real, &v, "fd74:7076:6e74::9"), "fd43::9");
    ck_assert_str_eq(to(vnat_to_real, NULL, "246.0.1.2"), "");
    vnat_release(&v);
}
END_TEST

START_TEST(virtual_subnets_are_nobodys)
{
    struct vnat v = {0}, next = {0}, moved = {0};

    ck_assert_int_eq(
        add(&v, "10.43.0.0/16", "246.0.0.0/8", "246.0.9.0/24", NULL), 0);
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.43.1.2"), "246.1.1.2");
    /* The former one is kept as long as it can be, */
    ck_assert_int_eq(add(&next, "10.43.0.0/16", "246.0.0.0/8", NULL, &v), 0);
    ck_assert_str_eq(to(vnat_to_virtual, &next, "10.43.1.2"), "246.1.1.2");
    /* and given up when somebody has it. */
    ck_assert_int_eq(
        add(&moved, "10.43.0.0/16", "246.0.0.0/8", "246.1.1.0/30", &v), 0);
    ck_assert_str_eq(to(vnat_to_virtual, &moved, "10.43.1.2"), "246.0.1.2");
    ck_assert_int_eq(add(&v, "10.0.0.0/8", "246.0.0.0/8", NULL, NULL), -ENOSPC);
    ck_assert_int_eq(add(&v, "fd43::/64", "246.0.0.0/8", NULL, NULL), -ENOSPC);
    ck_assert_int_eq(add(&v, "10.9.0.0/16", "240.0.0.0/16", "240.0.0.1", NULL),
                     -ENOSPC);
    ck_assert_int_eq(
        add(&v, "10.9.0.0/31", "255.255.255.0/30", "255.255.255.2", NULL), 0);
    ck_assert_int_eq(
        add(&v, "10.9.1.0/31", "255.255.255.0/30", "255.255.255.2", NULL),
        -ENOSPC);
    vnat_release(&v);
    vnat_release(&next);
    vnat_release(&moved);
}
END_TEST

START_TEST(longer_prefixes_have_no_virtual_addresses)
{
    struct vnat v = {0};
    struct subnet plain = net("10.43.7.0/24"), same = net("10.42.0.0/16");
    struct subnet wide = net("10.0.0.0/8"), part = net("10.43.7.0/24"), out;
    char text[SUBNET_TEXT];

    add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL);
    add(&v, "10.42.0.0/16", "246.0.0.0/8", NULL, NULL);
    subnet_list_add(&v.plain, &wide);
    subnet_list_add(&v.plain, &plain);
    subnet_list_add(&v.plain, &same);
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.43.6.1"), "246.0.6.1");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.43.7.1"), "");
    ck_assert_str_eq(to(vnat_to_virtual, &v, "10.42.0.1"), "");
    ck_assert(vnat_map_subnet(&v, &part, &out));
    ck_assert_str_eq(subnet_format(&out, text), "246.0.7.0/24");
    ck_assert(!vnat_map_subnet(&v, &wide, &out));
    vnat_release(&v);
}
END_TEST

START_TEST(variables_that_are_addresses_are_translated)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"10.43.0.7", "246.0.0.7"},
        {"10.43.0.7:80", "246.0.0.7:80"},
        {"tcp://10.43.0.7:80", "tcp://246.0.0.7:80"},
        {"http://10.43.0.7/x?y=10.43.0.8", "http://246.0.0.7/x?y=10.43.0.8"},
        {"fd43::7", "fd74:7076:6e74::7"},
        {"[fd43::7]:80", "[fd74:7076:6e74::7]:80"},
        {"udp://[fd43::7]:80", "udp://[fd74:7076:6e74::7]:80"},
        {"10.44.0.7", NULL},
        {"10.43.0.7/16", NULL},
        {"10.43.0.7 ", NULL},
        {"10.43.0.7:http", NULL},
        {"10.43.0.7,10.43.0.8", NULL},
        {"v10.43.0.7", NULL},
        {"[fd43::7", NULL},
        {"://10.43.0.7", NULL},
        {"", NULL},
        {"a", NULL},
        {"[", NULL},
    };
    struct vnat v = {0};

    add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL);
    add(&v, "fd43::/64", VNAT_POOL_V6, NULL, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cleanup_free char *got = vnat_text(&v, cases[i].text);

        ck_assert_msg(!got == !cases[i].want, "%s", cases[i].text);
        if (got)
            ck_assert_str_eq(got, cases[i].want);
    }
    ck_assert_ptr_null(vnat_text(NULL, "10.43.0.7"));
    vnat_release(&v);
}
END_TEST

/* ---- answers ---- */

/* "a.b" A?; answer: A of the question's name, authority: A with a name that
 * points into the first record's data (which looks like one), additional: AAAA
 * and HTTPS with hints. */
static const uint8_t answer[] = {
    0,  7, 0x81, 0xa0, 0,    1,  0,  1,  0, 1, 0, 2, 1,    'a',  1,    'b', 0,
    0,  1, 0,    1,    0xc0, 12, 0,  1,  0, 1, 0, 0, 0,    9,    0,    4,   10,
    43, 1, 0,    0xc0, 35,   0,  1,  0,  1, 0, 0, 0, 9,    0,    4,    10,  44,
    0,  1, 0,    0,    28,   0,  1,  0,  0, 0, 9, 0, 16,   0xfd, 0x43, 0,   0,
    0,  0, 0,    0,    0,    0,  0,  0,  0, 0, 0, 5, 0xc0, 12,   0,    65,  0,
    1,  0, 0,    0,    9,    0,  25, 0,  1, 0, 0, 1, 0,    2,    1,    'h', 0,
    4,  0, 8,    10,   43,   0,  1,  10, 9, 0, 1, 0, 6,    0,    0};

START_TEST(addresses_in_every_section_become_virtual)
{
    struct vnat v = {0};
    uint8_t msg[sizeof(answer)];
    size_t changed = 0;

    memcpy(msg, answer, sizeof(msg));
    ck_assert_int_eq(dns_translate(&v, msg, sizeof(msg)), 0);
    ck_assert_mem_eq(msg, answer, sizeof(msg));
    add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL);
    add(&v, "fd43::/64", VNAT_POOL_V6, NULL, NULL);
    ck_assert_int_eq(dns_translate(&v, msg, sizeof(msg)), 3);
    ck_assert_mem_eq(msg + 33, "\366\0\1\0", 4);
    ck_assert_mem_eq(msg + 49, "\12\54\0\1", 4); /* not of the pair */
    ck_assert_mem_eq(msg + 64, "\xfd\x74\x70\x76\x6e\x74", 6);
    ck_assert_mem_eq(msg + 105, "\366\0\0\1\12\11\0\1", 8);
    ck_assert_uint_eq(msg[3], 0x80); /* AD is gone */
    for (size_t i = 0; i < sizeof(msg); i++)
        changed += msg[i] != answer[i];
    ck_assert_uint_eq(changed, 1 + 2 + 5 + 2); /* nothing else */
    for (size_t n = 0; n < sizeof(msg); n++) {
        uint8_t cut[sizeof(msg)];

        memcpy(cut, answer, n);
        ck_assert_int_eq(dns_translate(&v, cut, n), -EBADMSG);
    }
    vnat_release(&v);
}
END_TEST

START_TEST(records_of_a_wrong_length_are_no_answer)
{
    struct vnat v = {0};
    uint8_t msg[sizeof(answer)];

    add(&v, "10.43.0.0/16", "246.0.0.0/8", NULL, NULL);
    memcpy(msg, answer, sizeof(msg));
    msg[104] = 7; /* the hints: 7 bytes */
    ck_assert_int_eq(dns_translate(&v, msg, sizeof(msg)), -EBADMSG);
    memcpy(msg, answer, sizeof(msg));
    msg[24] = 28; /* the first one: an AAAA of 4 bytes */
    ck_assert_int_eq(dns_translate(&v, msg, sizeof(msg)), -EBADMSG);
    vnat_release(&v);
}
END_TEST

/* ---- what a cluster's subnets become ---- */

#define INFO                                                                   \
    "{\"subnets\": {\"service\": [\"10.43.0.0/16\"], \"pod\": "                \
    "[\"10.42.0.0/16\"], \"also\": []}, \"dns\": {\"address\": \"10.43.0.10\"" \
    ", \"domain\": \"cluster.local\"}}"
#define SESSION "{\"server\": {\"host\": \"10.43.9.9\"}, "

static struct cluster_info ci;

/* `local`: what the namespace has a route to. */
static void build(const char *session, const char *local)
{
    cleanup_json struct json_object *i = json_tokener_parse(INFO);
    cleanup_json struct json_object *s = json_tokener_parse(session);
    struct route_policy p = {.local = list_of(local, "172.17.0.0/16")};

    ck_assert(i && s);
    ck_assert_int_eq(cluster_info_build(&ci, i, s, &p, NULL, NULL), 0);
    route_policy_release(&p);
}

static bool captures(const char *text)
{
    struct subnet n = net(text);

    return subnet_list_covers(&ci.capture, &n);
}

static const char *rejected(void)
{
    return json_object_get_string(json_get(ci.subnets, "rejected"));
}

START_TEST(what_overlaps_is_virtual_and_only_that)
{
    char text[SOCKADDR_TEXT];

    build(SESSION "\"x\": 1}", "10.43.128.0/24");
    ck_assert_str_eq(rejected(), "[ ]");
    ck_assert(captures("246.0.0.0/16"));
    ck_assert(!captures("10.43.0.1"));
    ck_assert(captures("10.42.0.0/16"));
    ck_assert_str_eq(sockaddr_format_ip(&ci.dns, text), "10.43.0.10");
    ck_assert_str_eq(sockaddr_format_ip(&ci.dns_here, text), "246.0.0.10");
    ck_assert_str_eq(json_object_get_string(json_get(ci.subnets, "service")),
                     "[ \"10.43.0.0\\/16\" ]");
    ck_assert_str_eq(json_get_str(json_object_array_get_idx(
                                      json_get_array(ci.subnets, "virtual"), 0),
                                  "virtual", ""),
                     "246.0.0.0/16");
    /* The API server has no virtual address, and none that is captured. */
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.9.9"), "");
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.9.8"), "246.0.9.8");
    ck_assert_uint_eq(ci.holes.n, 2);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(the_host_and_former_choices_count)
{
    build(SESSION "\"hostSubnets\": [\"10.0.0.0/8\"]}", NULL);
    ck_assert(captures("246.0.0.0/16") && captures("246.1.0.0/16"));
    ck_assert(!captures("10.42.0.1") && !captures("10.43.0.1"));
    cluster_info_release(&ci);
    build(SESSION "\"hostSubnets\": [\"10.0.0.0/8\"], "
                  "\"allowConflictingSubnets\": [\"10.43.0.0/16\"]}",
          NULL);
    ck_assert(captures("10.43.0.0/16") && captures("246.0.0.0/16"));
    ck_assert_uint_eq(ci.vnat.n, 1);
    cluster_info_release(&ci);
    build(SESSION "\"hostSubnets\": [\"10.0.0.0/8\"], \"vnat\": [\"off\"]}",
          NULL);
    ck_assert_uint_eq(ci.capture.n, 0);
    ck_assert_ptr_null(ci.domain);
    ck_assert(strstr(rejected(), "allowConflictingSubnets") != NULL);
    cluster_info_release(&ci);
    build(SESSION "\"virtualSubnets\": [\"198.18.0.0/15\"], \"hostSubnets\": "
                  "[\"10.0.0.0/8\", \"198.18.5.0/24\"]}",
          NULL);
    ck_assert(captures("198.19.0.0/16"));
    ck_assert(strstr(rejected(), "no room") != NULL); /* for the pods */
    cluster_info_release(&ci);
    build(SESSION "\"virtualSubnets\": [\"127.0.0.0/8\"], \"hostSubnets\": "
                  "[\"10.0.0.0/8\"]}",
          NULL);
    ck_assert(captures("246.0.0.0/16"));
    ck_assert(strstr(rejected(), "loopback") != NULL);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(subnets_are_virtual_by_wish)
{
    build(SESSION "\"vnat\": [\"pods\"]}", NULL);
    ck_assert(captures("10.43.0.0/16") && captures("246.0.0.0/16"));
    ck_assert(!captures("10.42.0.1"));
    cluster_info_release(&ci);
    build(SESSION "\"vnat\": [\"10.43.7.0/24\", \"192.0.2.0/24\"]}", NULL);
    ck_assert(captures("10.43.0.0/16") && captures("246.0.0.0/24"));
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.7.1"), "246.0.0.1");
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.8.1"), "");
    ck_assert_uint_eq(ci.holes.n, 2); /* that part, and the API server */
    ck_assert(strstr(rejected(), "192.0.2.0") != NULL);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(never_proxy_beats_virtual_addresses)
{
    struct subnet hole = net("246.0.7.0/24");

    build(SESSION "\"neverProxy\": [\"10.43.7.0/24\"]}", "10.43.128.0/24");
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.7.1"), "");
    ck_assert(subnet_list_covers(&ci.holes, &hole));
    hole = net("10.43.8.8");
    cluster_info_bypass(&ci, &hole);
    ck_assert_str_eq(to(vnat_to_virtual, &ci.vnat, "10.43.8.8"), "");
    hole = net("246.0.8.8");
    ck_assert(subnet_list_covers(&ci.holes, &hole));
    cluster_info_release(&ci);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vnat");
    TCase *tc = tcase_create("vnat");

    tcase_add_test(tc, each_address_stands_for_the_one_at_its_offset);
    tcase_add_test(tc, virtual_subnets_are_nobodys);
    tcase_add_test(tc, longer_prefixes_have_no_virtual_addresses);
    tcase_add_test(tc, variables_that_are_addresses_are_translated);
    tcase_add_test(tc, addresses_in_every_section_become_virtual);
    tcase_add_test(tc, records_of_a_wrong_length_are_no_answer);
    tcase_add_test(tc, what_overlaps_is_virtual_and_only_that);
    tcase_add_test(tc, the_host_and_former_choices_count);
    tcase_add_test(tc, subnets_are_virtual_by_wish);
    tcase_add_test(tc, never_proxy_beats_virtual_addresses);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
