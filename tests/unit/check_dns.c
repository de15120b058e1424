/* Unit tests of the dns module: messages, zones, and queries that travel over
 * real sockets and a real tunnel on loopback. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/dns.h"
#include "daemon/dns_msg.h"
#include "daemon/dns_zone.h"
#include "tunnel/udp.h"
#include "tunnel_pair.h"
#include "suite.h"

/* ---- messages ---- */

/* Writes a query and returns its length. */
static size_t make_query(uint8_t *out, uint16_t id, const char *name,
                         uint16_t type)
{
    static const uint8_t rest[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t at = 12;

    out[0] = (uint8_t)(id >> 8);
    out[1] = (uint8_t)id;
    memcpy(out + 2, rest, sizeof(rest));
    while (*name) {
        size_t len = strcspn(name, ".");

        out[at++] = (uint8_t)len;
        memcpy(out + at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    out[at++] = 0;
    out[at++] = (uint8_t)(type >> 8);
    out[at++] = (uint8_t)type;
    out[at++] = 0;
    out[at++] = 1;
    return at;
}

START_TEST(questions_are_read)
{
    uint8_t msg[512];
    size_t len = make_query(msg, 0xbeef, "Web.Default.SVC", 33);
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
    size_t len = make_query(msg, 1, "aXcluster.local", 1);

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
    size_t len = make_query(msg, 1, "a.b", 1);

    msg[12] = 0xc0; /* a pointer */
    ck_assert_int_eq(dns_msg_parse(&q, msg, len), -EBADMSG);
    len = make_query(msg, 1, "a.b", 1);
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
    size_t end = make_query(query, 7, "a.example", 1);
    size_t len = make_query(answer, 7, "A.EXAMPLE", 1);

    ck_assert(!dns_msg_answers(answer, len, query, end));
    answer[2] |= 0x80;
    ck_assert(dns_msg_answers(answer, len, query, end));
    answer[1] = 8;
    ck_assert(!dns_msg_answers(answer, len, query, end));
    answer[1] = 7;
    answer[13] = 'b';
    ck_assert(!dns_msg_answers(answer, len, query, end));
    len = make_query(answer, 7, "a.example", 28);
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

/* A resolver on loopback: answers with the query itself, QR set and a tag in
 * the AA bit, by UDP and TCP on one port. */
struct fake {
    union sockaddr_any addr;
    int udp, tcp, conn;
    bool tag, silent, truncate;
    unsigned queries, conns;
    uint16_t last_id;
};

static struct pair pair;
static struct fake cluster, upstream;
static struct dns *dns;

static void fake_open(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->tcp = tcp_listen(&f->addr);
    f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(f->udp, &f->addr.sa, sizeof(f->addr.in4)), 0);
    fcntl(f->tcp, F_SETFL, O_NONBLOCK);
    f->conn = -1;
}

static void fake_close(struct fake *f)
{
    close(f->udp);
    close(f->tcp);
    if (f->conn >= 0)
        close(f->conn);
}

static void fake_mark(struct fake *f, uint8_t *msg)
{
    f->queries++;
    f->last_id = dns_msg_id(msg);
    msg[2] |= (uint8_t)(0x80 | (f->tag ? 0x04 : 0) | (f->truncate ? 0x02 : 0));
}

static void fake_serve_tcp(struct fake *f)
{
    uint8_t msg[4096];
    ssize_t n;

    if (f->conn < 0) {
        f->conn = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC);
        f->conns += f->conn >= 0;
    }
    n = f->conn < 0 ? -1 : recv(f->conn, msg, 2, MSG_DONTWAIT | MSG_PEEK);
    if (n == 0) {
        close(f->conn);
        f->conn = -1;
    }
    if (n < 2)
        return;
    n = msg[0] << 8 | msg[1];
    ck_assert_int_eq(recv(f->conn, msg, (size_t)n + 2, MSG_WAITALL), n + 2);
    fake_mark(f, msg + 2);
    if (!f->silent)
        ck_assert_int_eq(send(f->conn, msg, (size_t)n + 2, 0), n + 2);
}

static void fake_serve(struct fake *f)
{
    union sockaddr_any from;
    socklen_t len = sizeof(from.storage);
    uint8_t msg[4096];
    ssize_t n =
        recvfrom(f->udp, msg, sizeof(msg), MSG_DONTWAIT, &from.sa, &len);

    if (n > 0) {
        fake_mark(f, msg);
        if (!f->silent)
            ck_assert_int_eq(sendto(f->udp, msg, (size_t)n, 0, &from.sa, len),
                             n);
    }
    fake_serve_tcp(f);
}

#define SERVE_UNTIL(condition)                                                 \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            pair_turn(&pair);                                                  \
            fake_serve(&cluster);                                              \
            fake_serve(&upstream);                                             \
        }                                                                      \
    } while (0)

static void server_flow_closed_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_udp_ops server_flow_ops = {
    .closed_cb = server_flow_closed_cb,
};

/* Whatever address is asked for, the fake cluster DNS is dialled. */
static int serve_cluster(struct pair *p, struct tunnel_stream *s,
                         const struct tunnel_open *open)
{
    struct tunnel_open there = *open;
    int fd;

    sockaddr_format(&open->addr, p->opened_text);
    there.addr = cluster.addr;
    if (open->kind == TUNNEL_TCP) {
        p->open_cb = NULL;
        fd = pair_serve(p, s, &there);
        p->open_cb = serve_cluster;
        return fd;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(connect(fd, &there.addr.sa, sizeof(there.addr.in4)), 0);
    return tunnel_udp_serve(p->loop, s, fd, 10000, &server_flow_ops, p)
               ? 0
               : -ENOMEM;
}

static void configure(unsigned timeout_ms)
{
    struct dns_config config = {.domain = "cluster.local",
                                .timeout_ms = timeout_ms};

    ck_assert_int_eq(sockaddr_parse(&config.address, "10.43.0.10", 0), 0);
    dns_set_cluster(dns, &config);
}

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
    pair.open_cb = serve_cluster;
    pair_init(&pair);
    fake_open(&cluster);
    fake_open(&upstream);
    cluster.tag = true;
    dns = dns_create(pair.loop, &upstream.addr, 1, 0, NULL);
    ck_assert_ptr_nonnull(dns);
    configure(0);
    dns_set_tunnel(dns, pair.client);
}

static void teardown(void)
{
    dns_destroy(dns);
    pair_close(&pair);
    fake_close(&cluster);
    fake_close(&upstream);
}

struct answer {
    unsigned n;
    uint16_t id;
    uint8_t flags, rcode;
    size_t len;
};

static void reply_cb(void *arg, const void *msg, size_t len)
{
    struct answer *a = arg;
    const uint8_t *p = msg;

    a->n++;
    a->id = dns_msg_id(p);
    a->flags = p[2];
    a->rcode = p[3] & 0x0f;
    a->len = len;
}

static void ask(struct answer *a, uint16_t id, const char *name)
{
    uint8_t msg[512];

    memset(a, 0, sizeof(*a));
    dns_query(dns, msg, make_query(msg, id, name, 1), reply_cb, a);
}

START_TEST(names_find_their_resolver)
{
    struct answer in, out;

    ask(&in, 1, "web.default.svc.cluster.local");
    ask(&out, 1, "example.com");
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
        ask(&answers[i], 42, name);
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
        ask(&a, 42, "example.com");
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
    ask(&a, 5, "big.cluster.local");
    SERVE_UNTIL(a.n);
    ck_assert(a.flags & 0x02);
}
END_TEST

START_TEST(silence_becomes_servfail_after_a_second_try)
{
    struct answer in, out;

    configure(600);
    cluster.silent = upstream.silent = true;
    ask(&in, 5, "a.cluster.local");
    ask(&out, 6, "example.com");
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
    ask(&in, 5, "a.cluster.local");
    ask(&out, 6, "example.com");
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
    ask(&in, 5, "a.cluster.local");
    dns_set_tunnel(dns, pair.client);
    SERVE_UNTIL(in.n);
    ck_assert_uint_eq(in.rcode, 0);
    ck_assert(in.flags & 0x04);
}
END_TEST

START_TEST(cancelled_queries_are_not_answered)
{
    struct answer a, b;

    ask(&a, 1, "a.cluster.local");
    ask(&b, 1, "b.cluster.local");
    dns_cancel(dns, &a);
    SERVE_UNTIL(b.n);
    ck_assert_uint_eq(a.n, 0);
}
END_TEST

START_TEST(answers_and_junk_are_no_queries)
{
    struct answer a = {0}, b;
    uint8_t msg[512];
    size_t len = make_query(msg, 1, "a.cluster.local", 1);

    msg[2] |= 0x80;
    dns_query(dns, msg, len, reply_cb, &a);
    dns_query(dns, msg, 3, reply_cb, &a);
    ask(&b, 1, "b.cluster.local");
    SERVE_UNTIL(b.n);
    ck_assert_uint_eq(a.n, 0);
    ck_assert_uint_eq(cluster.queries, 1);
}
END_TEST

/* ---- TCP ---- */

static void send_tcp(int fd, uint16_t id, const char *name)
{
    uint8_t msg[514];
    size_t len = make_query(msg + 2, id, name, 1);

    msg[0] = (uint8_t)(len >> 8);
    msg[1] = (uint8_t)len;
    ck_assert_int_eq(send(fd, msg, len + 2, 0), (ssize_t)len + 2);
}

/* One answer, if it is there whole. */
static bool recv_tcp(int fd, struct answer *a)
{
    uint8_t msg[514];
    ssize_t len, n = recv(fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_PEEK);

    if (n < 2)
        return false;
    len = msg[0] << 8 | msg[1];
    if (n < len + 2)
        return false;
    recv(fd, msg, (size_t)len + 2, 0);
    reply_cb(a, msg + 2, (size_t)len);
    return true;
}

static int open_tcp(void)
{
    int fds[2];

    tcp_pair(fds);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    dns_serve_tcp(dns, fds[1]);
    return fds[0];
}

START_TEST(tcp_queries_find_their_resolver)
{
    int fd = open_tcp();
    struct answer answers[10] = {0};
    char c;

    for (uint16_t i = 0; i < 10; i++) {
        send_tcp(fd, i, i % 2 ? "a.cluster.local" : "example.com");
        SERVE_UNTIL(recv_tcp(fd, &answers[i]));
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
    int fd = open_tcp();
    unsigned seen[200] = {0};

    for (uint16_t i = 0; i < 200; i++)
        send_tcp(fd, i, i % 2 ? "a.cluster.local" : "example.com");
    for (unsigned n = 0; n < 200; n++) {
        struct answer a = {0};

        SERVE_UNTIL(recv_tcp(fd, &a));
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
    int fd = open_tcp();
    struct answer a = {0};

    cluster.silent = true;
    send_tcp(fd, 9, "a.cluster.local");
    SERVE_UNTIL(cluster.queries);
    close(cluster.conn);
    cluster.conn = -1;
    SERVE_UNTIL(recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    cluster.silent = false;
    send_tcp(fd, 10, "a.cluster.local");
    SERVE_UNTIL(recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, 0);
    ck_assert_uint_eq(cluster.conns, 2);
    close(fd);
}
END_TEST

START_TEST(tcp_without_a_link_is_servfail)
{
    int fd = open_tcp();
    struct answer a = {0};

    dns_set_tunnel(dns, NULL);
    send_tcp(fd, 9, "a.cluster.local");
    SERVE_UNTIL(recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    close(fd);
}
END_TEST

START_TEST(link_may_end_under_queries)
{
    int fd = open_tcp();
    struct answer a = {0}, udp;

    cluster.silent = true;
    send_tcp(fd, 9, "a.cluster.local");
    ask(&udp, 3, "b.cluster.local");
    SERVE_UNTIL(cluster.queries == 2);
    dns_set_tunnel(dns, NULL);
    tunnel_destroy(pair.client);
    pair.client = NULL;
    SERVE_UNTIL(recv_tcp(fd, &a));
    ck_assert_uint_eq(a.rcode, DNS_SERVFAIL);
    SERVE_UNTIL(udp.n);
    ck_assert_uint_eq(udp.rcode, DNS_SERVFAIL);
    close(fd);
}
END_TEST

START_TEST(junk_by_tcp_ends_the_connection)
{
    int fd = open_tcp();
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
    tcase_add_checked_fixture(tc, setup, teardown);
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
