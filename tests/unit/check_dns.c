/* Unit tests of the dns module: messages, zones, and queries that travel over
 * real sockets and a real tunnel on loopback. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/dns_zone.h"
#include "dns_world.h"
#include "suite.h"

/* ---- messages ---- */

START_TEST(questions_are_read)
{
    uint8_t msg[512];
    size_t len = dns_world_query(msg, 0xbeef, "Web.Default.SVC", 33);
    struct dns_question q;

    ck_assert_int_eq(dns_msg_parse(&q, msg, len), 0);
    ck_assert_uint_eq(q.id, 0xbeef);
    ck_assert_str_eq(q.name, "web.default.svc");
    ck_assert_uint_eq(q.type, 33);
    ck_assert_uint_eq(q.end, len);
    ck_assert(!q.is_answer);
    for (size_t n = 0; n < len; n++)
        ck_assert_int_eq(dns_msg_parse(&q, msg, n), -EBADMSG);
}
END_TEST

START_TEST(dots_in_a_label_are_no_borders)
{
    uint8_t msg[512];
    struct dns_question q;
    size_t len = dns_world_query(msg, 1, "aXcluster.local", 1);

    msg[14] = '.'; /* one label: a.cluster */
    ck_assert_int_eq(dns_msg_parse(&q, msg, len), 0);
    ck_assert_str_eq(q.name, "a\\046cluster.local");
    ck_assert(!dns_name_in(q.name, "cluster.local"));
}
END_TEST

START_TEST(bad_questions_are_refused)
{
    uint8_t msg[512];
    struct dns_question q;
    size_t len = dns_world_query(msg, 1, "a.b", 1);

    msg[12] = 0xc0; /* a pointer */
    ck_assert_int_eq(dns_msg_parse(&q, msg, len), -EBADMSG);
    len = dns_world_query(msg, 1, "a.b", 1);
    msg[5] = 2; /* two questions */
    ck_assert_int_eq(dns_msg_parse(&q, msg, len), -EBADMSG);
    memset(msg + 12, 1, 300); /* a name of 1-byte labels that is too long */
    msg[5] = 1;
    ck_assert_int_eq(dns_msg_parse(&q, msg, 400), -EBADMSG);
}
END_TEST

START_TEST(answers_must_repeat_the_question)
{
    uint8_t query[512], answer[512];
    size_t end = dns_world_query(query, 7, "a.example", 1);
    size_t len = dns_world_query(answer, 7, "A.EXAMPLE", 1);

    ck_assert(!dns_msg_answers(answer, len, query, end));
    answer[2] |= 0x80;
    ck_assert(dns_msg_answers(answer, len, query, end));
    answer[1] = 8;
    ck_assert(!dns_msg_answers(answer, len, query, end));
    answer[1] = 7;
    answer[13] = 'b';
    ck_assert(!dns_msg_answers(answer, len, query, end));
    len = dns_world_query(answer, 7, "a.example", 28);
    answer[2] |= 0x80;
    ck_assert(!dns_msg_answers(answer, len, query, end));
    answer[5] = 0; /* no question: an error only */
    ck_assert(!dns_msg_answers(answer, 12, query, end));
    answer[3] = DNS_FORMERR;
    ck_assert(dns_msg_answers(answer, 12, query, end));
}
END_TEST

/* ---- zones ---- */

START_TEST(reverse_names_are_networks)
{
    static const struct {
        const char *name;
        const char *net; /* NULL: none */
    } cases[] = {
        {"10.0.43.10.in-addr.arpa", "10.43.0.10/32"},
        {"43.10.in-addr.arpa", "10.43.0.0/16"},
        {"b.a.0.0.2.4.d.f.ip6.arpa", "fd42:00ab::/32"},
        {"in-addr.arpa", NULL},
        {"256.1.1.1.in-addr.arpa", NULL},
        {"1.1.1.1.1.in-addr.arpa", NULL},
        {"01.in-addr.arpa", NULL},
        {"x.in-addr.arpa", NULL},
        {"10.ip6.arpa", NULL},
        {"10.in-addr.arpa.example", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct subnet net, want;
        int rc = dns_reverse_parse(&net, cases[i].name);

        ck_assert_msg((rc == 0) == (cases[i].net != NULL), "%s", cases[i].name);
        if (!cases[i].net)
            continue;
        ck_assert_int_eq(subnet_parse(&want, cases[i].net), 0);
        ck_assert_msg(!memcmp(&net, &want, sizeof(net)), "%s", cases[i].name);
    }
}
END_TEST

START_TEST(a_zone_takes_only_what_is_the_clusters)
{
    static const char *const suffixes[] = {".Corp.Example.", "com", "svc", ""};
    static const char *const excludes[] = {"gone.cluster.local"};
    static const struct {
        const char *name;
        bool ours;
    } cases[] = {
        {"web.default.svc.cluster.local", true},
        {"cluster.local", true},
        {"notcluster.local", false},
        {"a.gone.cluster.local", false},
        {"x.corp.example", true},
        {"web.default.svc", true},
        {"example.com", false}, /* whoever calls a namespace com */
        {"web.com", false},
        {"web", false},
        {"", false},
        {"10.0.43.10.in-addr.arpa", true},
        {"43.10.in-addr.arpa", true},
        {"10.in-addr.arpa", false}, /* wider than ours */
        {"1.1.168.192.in-addr.arpa", false},
    };
    struct subnet net;
    struct dns_config config = {
        .domain = "cluster.local",
        .suffixes = suffixes,
        .n_suffixes = 4,
        .excludes = excludes,
        .n_excludes = 1,
        .subnets = &net,
        .n_subnets = 1,
    };
    struct dns_zone *z;

    ck_assert_int_eq(subnet_parse(&net, "10.43.0.0/16"), 0);
    z = dns_zone_create(&config);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(dns_zone_has(z, cases[i].name) == cases[i].ours, "%s",
                      cases[i].name);
    dns_zone_destroy(z);
    config.domain = "com";
    z = dns_zone_create(&config);
    ck_assert(!dns_zone_has(z, "example.com"));
    dns_zone_destroy(z);
    ck_assert(!dns_zone_has(NULL, "a.b"));
}
END_TEST

/* ---- queries ---- */

START_TEST(names_find_their_resolver)
{
    struct answer in, out;

    dns_world_ask(&in, 1, "web.default.svc.cluster.local");
    dns_world_ask(&out, 1, "example.com");
    SERVE_UNTIL(in.n && out.n);
    ck_assert_uint_eq(in.id, 1);
    ck_assert(in.flags & 0x04);
    ck_assert_uint_eq(out.id, 1);
    ck_assert(!(out.flags & 0x04));
    ck_assert_uint_eq(cluster.queries, 1);
    ck_assert_uint_eq(upstream.queries, 1);
    ck_assert_str_eq(pair.opened_text, "10.43.0.10:53");
}
END_TEST

START_TEST(equal_ids_of_many_clients_do_not_meet)
{
    static struct answer answers[600];
    char name[64];

    for (size_t i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "n%zu.%s", i,
                 i % 2 ? "cluster.local" : "example.com");
        dns_world_ask(&answers[i], 42, name);
    }
    for (size_t i = 0; i < 600; i++) {
        SERVE_UNTIL(answers[i].n);
        ck_assert_uint_eq(answers[i].n, 1);
        ck_assert_uint_eq(answers[i].id, 42);
        ck_assert_uint_eq(answers[i].rcode, 0);
        ck_assert_uint_eq(!!(answers[i].flags & 0x04), i % 2);
    }
}
END_TEST

START_TEST(ids_on_the_way_are_our_own)
{
    unsigned same = 0;
    struct answer a;

    for (unsigned i = 0; i < 20; i++) {
        dns_world_ask(&a, 42, "example.com");
        SERVE_UNTIL(a.n);
        same += upstream.last_id == 42;
    }
    ck_assert_uint_lt(same, 3);
}
END_TEST

START_TEST(truncation_reaches_the_client)
{
    struct answer a;

    cluster.truncate = true;
    dns_world_ask(&a, 5, "big.cluster.local");
    SERVE_UNTIL(a.n);
    ck_assert(a.flags & 0x02);
}
END_TEST

START_TEST(silence_becomes_servfail_after_a_second_try)
{
    struct answer in, out;

    dns_world_configure(600);
    cluster.silent = upstream.silent = true;
    dns_world_ask(&in, 5, "a.cluster.local");
    dns_world_ask(&out, 6, "example.com");
    SERVE_UNTIL(in.n && out.n);
    ck_assert_uint_eq(in.rcode, DNS_SERVFAIL);
    ck_assert_uint_eq(out.rcode, DNS_SERVFAIL);
    ck_assert_uint_eq(in.id, 5);
    ck_assert_uint_eq(cluster.queries, 2);
    ck_assert_uint_eq(upstream.queries, 2);
}
END_TEST

START_TEST(without_a_link_outside_names_go_on)
{
    struct answer in, out;

    dns_set_tunnel(dns, NULL);
    dns_world_ask(&in, 5, "a.cluster.local");
    dns_world_ask(&out, 6, "example.com");
    SERVE_UNTIL(out.n);
    ck_assert_uint_eq(out.rcode, 0);
    ck_assert_uint_eq(in.n, 0);
    SERVE_UNTIL(in.n);
    ck_assert_uint_eq(in.rcode, DNS_SERVFAIL);
    ck_assert_uint_eq(cluster.queries, 0);
}
END_TEST

START_TEST(a_link_that_comes_in_time_answers)
{
    struct answer in;

    dns_set_tunnel(dns, NULL);
    dns_world_ask(&in, 5, "a.cluster.local");
    dns_set_tunnel(dns, pair.client);
    SERVE_UNTIL(in.n);
    ck_assert_uint_eq(in.rcode, 0);
    ck_assert(in.flags & 0x04);
}
END_TEST

START_TEST(cancelled_queries_are_not_answered)
{
    struct answer a, b;

    dns_world_ask(&a, 1, "a.cluster.local");
    dns_world_ask(&b, 1, "b.cluster.local");
    dns_cancel(dns, &a);
    SERVE_UNTIL(b.n);
    ck_assert_uint_eq(a.n, 0);
}
END_TEST

START_TEST(answers_and_junk_are_no_queries)
{
    struct answer a = {0}, b;
    uint8_t msg[512];
    size_t len = dns_world_query(msg, 1, "a.cluster.local", 1);

    msg[2] |= 0x80;
    dns_query(dns, msg, len, dns_world_reply_cb, &a);
    dns_query(dns, msg, 3, dns_world_reply_cb, &a);
    dns_world_ask(&b, 1, "b.cluster.local");
    SERVE_UNTIL(b.n);
    ck_assert_uint_eq(a.n, 0);
    ck_assert_uint_eq(cluster.queries, 1);
}
END_TEST

/* ---- TCP ---- */

START_TEST(tcp_queries_find_their_resolver)
{
    int fd = dns_world_open_tcp();
    struct answer answers[10] = {0};
    char c;

    for (uint16_t i = 0; i < 10; i++) {
        dns_world_send_tcp(fd, i, i % 2 ? "a.cluster.local" : "example.com");
        SERVE_UNTIL(dns_world_recv_tcp(fd, &answers[i]));
        ck_assert_uint_eq(answers[i].id, i);
        ck_assert_uint_eq(!!(answers[i].flags & 0x04), i % 2);
    }
    ck_assert_uint_eq(cluster.conns, 1);
    ck_assert_uint_eq(upstream.conns, 1);
    shutdown(fd, SHUT_WR);
    SERVE_UNTIL(recv(fd, &c, 1, MSG_DONTWAIT) == 0);
    close(fd);
}
END_TEST

START_TEST(tcp_queries_may_be_pipelined)
{
    int fd = dns_world_open_tcp();
    unsigned seen[200] = {0};

    for (uint16_t i = 0; i < 200; i++)
        dns_world_send_tcp(fd, i, i % 2 ? "a.cluster.local" : "example.com");
    for (unsigned n = 0; n < 200; n++) {
        struct answer a = {0};

        SERVE_UNTIL(dns_world_recv_tcp(fd, &a));
        ck_assert_uint_lt(a.id, 200);
        ck_assert_uint_eq(a.rcode, 0);
        seen[a.id]++;
    }
    for (unsigned n = 0; n < 200; n++)
        ck_assert_uint_eq(seen[n], 1);
    close(fd);
}
END_TEST

START_TEST(tcp_backend_that_dies_becomes_servfail)
{
    int fd = dns_world_open_tcp();
    struct answer a = {0};

    cluster.silent = true;
    dns_world_send_tcp(fd, 9, "a.cluster.local");
    SERVE_UNTIL(cluster.queries);
    close(cluster.conn);
    cluster.conn = -1;
    SERVE_UNTIL(dns_world_recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    cluster.silent = false;
    dns_world_send_tcp(fd, 10, "a.cluster.local");
    SERVE_UNTIL(dns_world_recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, 0);
    ck_assert_uint_eq(cluster.conns, 2);
    close(fd);
}
END_TEST

START_TEST(tcp_without_a_link_is_servfail)
{
    int fd = dns_world_open_tcp();
    struct answer a = {0};

    dns_set_tunnel(dns, NULL);
    dns_world_send_tcp(fd, 9, "a.cluster.local");
    SERVE_UNTIL(dns_world_recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    close(fd);
}
END_TEST

START_TEST(link_may_end_under_queries)
{
    int fd = dns_world_open_tcp();
    struct answer a = {0}, udp;

    cluster.silent = true;
    dns_world_send_tcp(fd, 9, "a.cluster.local");
    dns_world_ask(&udp, 3, "b.cluster.local");
    SERVE_UNTIL(cluster.queries == 2);
    dns_set_tunnel(dns, NULL);
    tunnel_destroy(pair.client);
    pair.client = NULL;
    SERVE_UNTIL(dns_world_recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    SERVE_UNTIL(udp.n);
    ck_assert_uint_eq(udp.rcode, DNS_SERVFAIL);
    close(fd);
}
END_TEST

START_TEST(junk_by_tcp_ends_the_connection)
{
    int fd = dns_world_open_tcp();
    char c;

    ck_assert_int_eq(send(fd, "\0\4junk", 6, 0), 6);
    SERVE_UNTIL(recv(fd, &c, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dns");
    TCase *pure = tcase_create("messages");
    TCase *tc = tcase_create("queries");

    tcase_add_test(pure, questions_are_read);
    tcase_add_test(pure, dots_in_a_label_are_no_borders);
    tcase_add_test(pure, bad_questions_are_refused);
    tcase_add_test(pure, answers_must_repeat_the_question);
    tcase_add_test(pure, reverse_names_are_networks);
    tcase_add_test(pure, a_zone_takes_only_what_is_the_clusters);
    suite_add_tcase(suite, pure);
    tcase_add_checked_fixture(tc, dns_world_setup, dns_world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, names_find_their_resolver);
    tcase_add_test(tc, equal_ids_of_many_clients_do_not_meet);
    tcase_add_test(tc, ids_on_the_way_are_our_own);
    tcase_add_test(tc, truncation_reaches_the_client);
    tcase_add_test(tc, silence_becomes_servfail_after_a_second_try);
    tcase_add_test(tc, without_a_link_outside_names_go_on);
    tcase_add_test(tc, a_link_that_comes_in_time_answers);
    tcase_add_test(tc, cancelled_queries_are_not_answered);
    tcase_add_test(tc, answers_and_junk_are_no_queries);
    tcase_add_test(tc, tcp_queries_find_their_resolver);
    tcase_add_test(tc, tcp_queries_may_be_pipelined);
    tcase_add_test(tc, tcp_backend_that_dies_becomes_servfail);
    tcase_add_test(tc, tcp_without_a_link_is_servfail);
    tcase_add_test(tc, link_may_end_under_queries);
    tcase_add_test(tc, junk_by_tcp_ends_the_connection);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
