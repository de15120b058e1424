/* Unit tests: what clients say to the host's proxy, and who may. */
#include "check_net.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/dial_ctl.h"
#include "daemon/proxy_access.h"
#include "daemon/proxy_pac.h"
#include "daemon/proxy_request.h"
#include "net/http1_chunks.h"
#include "net/socks5.h"
#include "suite.h"

/* ---- chunked bodies ---- */

static const struct {
    const char *text;
    ssize_t used; /* of the text; the body is whole unless it is all of it */
    bool done;
} bodies[] = {
    {"0\r\n\r\n", 5, true},
    {"0\r\n\r\nGET / HTTP/1.1\r\n", 5, true},
    {"3\r\nabc\r\n0\r\n\r\nGET", 13, true},
    {"A;x=\"y\"\r\n0123456789\r\n00\r\nA: b\r\n\r\nrest", 33, true},
    {"3\r\nabc\r\n0\r\n", 11, false},
    {"3\r\nab", 5, false},
    {"5\r\n0\r\n\r\n\r\n0\r\n\r\nX", 15,
     true}, /* data that looks like an end */
    {"\r\n", -EBADMSG, false},
    {"3\nabc\r\n", -EBADMSG, false},
    {"3\r\nabcd\r\n", -EBADMSG, false},
    {"0x3\r\nabc\r\n", -EBADMSG, false},
    {"-3\r\nabc\r\n", -EBADMSG, false},
    {"1000000000000000\r\n", -EBADMSG, false}, /* too many digits */
    {"0\r\nA: b\n\r\n", -EBADMSG, false},
    {"0\r\n\rX", -EBADMSG, false},
    {"3;\nabc", -EBADMSG, false},
};

/* Whole, and a byte at a time. */
START_TEST(chunked_bodies_end_where_they_say)
{
    const char *text = bodies[_i].text;
    struct http1_chunks c = {0}, slow = {0};
    ssize_t n = http1_chunks_take(&c, text, strlen(text)), sum = 0;

    ck_assert_int_eq(n, bodies[_i].used);
    ck_assert_int_eq(c.done, bodies[_i].done);
    for (size_t i = 0; text[i] && sum >= 0; i++) {
        n = http1_chunks_take(&slow, text + i, 1);
        sum = n < 0 ? n : sum + n;
    }
    ck_assert_int_eq(sum, bodies[_i].used);
    ck_assert_int_eq(slow.done, bodies[_i].done);
}
END_TEST

START_TEST(extensions_and_trailers_are_bounded)
{
    static char text[10000];
    struct http1_chunks c = {0};

    memset(text, 'a', sizeof(text));
    memcpy(text, "0;", 2);
    ck_assert_int_eq(http1_chunks_take(&c, text, sizeof(text)), -EBADMSG);
    c = (struct http1_chunks){0};
    memcpy(text, "0\r\n", 3);
    ck_assert_int_eq(http1_chunks_take(&c, text, sizeof(text)), -EBADMSG);
}
END_TEST

/* ---- SOCKS 5 ---- */

#define PARSE(fn, text, ...) fn(text, sizeof(text) - 1, __VA_ARGS__)

START_TEST(socks_messages)
{
    struct socks5_target t;
    char user[SOCKS5_TEXT], password[SOCKS5_TEXT];
    bool none, pass;

    ck_assert_int_eq(PARSE(socks5_parse_greeting, "\5\2\0\2", &none, &pass), 4);
    ck_assert(none && pass);
    ck_assert_int_eq(PARSE(socks5_parse_greeting, "\5\1\2", &none, &pass), 3);
    ck_assert(!none && pass);
    ck_assert_int_eq(PARSE(socks5_parse_greeting, "\5\2\0", &none, &pass), 0);
    ck_assert_int_eq(PARSE(socks5_parse_greeting, "\4\1\0", &none, &pass),
                     -EBADMSG);
    ck_assert_int_eq(
        PARSE(socks5_parse_password, "\1\2tp\3abc", user, password), 8);
    ck_assert_str_eq(user, "tp");
    ck_assert_str_eq(password, "abc");
    ck_assert_int_eq(PARSE(socks5_parse_request, "\5\1\0\3\3web\0\120", &t),
                     10);
    ck_assert_str_eq(t.host, "web");
    ck_assert_uint_eq(t.port, 80);
    ck_assert_int_eq(PARSE(socks5_parse_request, "\5\1\0\1\12\53\0\1\0\65", &t),
                     10);
    ck_assert_str_eq(t.host, "10.43.0.1");
    ck_assert_int_eq(PARSE(socks5_parse_request, "\5\1\0\3\3w\0b\0\120", &t),
                     -EBADMSG); /* a NUL in a name */
    ck_assert_int_eq(PARSE(socks5_parse_request, "\5\1\0\2\0", &t),
                     -EAFNOSUPPORT);
    ck_assert_int_eq(
        PARSE(socks5_parse_datagram, "\0\0\0\1\12\53\0\12\0\65x", &t), 10);
    ck_assert_int_eq(
        PARSE(socks5_parse_datagram, "\0\0\1\1\12\53\0\12\0\65x", &t),
        -EOPNOTSUPP); /* a fragment */
}
END_TEST

/* ---- requests ---- */

static int parse(const char *text, struct proxy_request *r,
                 struct http1_head *head)
{
    ck_assert_int_gt(http1_parse(head, HTTP1_REQUEST, text, strlen(text)), 0);
    return proxy_request_parse(r, head);
}

START_TEST(a_request_is_rewritten_for_the_server)
{
    struct proxy_request r;
    struct http1_head head;
    struct buf out;

    buf_init(&out, 4096);
    ck_assert_int_eq(parse("GET http://web.ns:81/a?b HTTP/1.1\r\nHost: evil\r\n"
                           "Proxy-Authorization: Basic eDp5\r\nX: y\r\n"
                           "Connection: X2\r\nX2: z\r\n\r\n",
                           &r, &head),
                     0);
    ck_assert_str_eq(r.host, "web.ns");
    ck_assert_uint_eq(r.port, 81);
    ck_assert_int_eq(proxy_request_rewrite(&r, &head, false, &out), 0);
    ck_assert_int_eq(buf_append(&out, "", 1), 0);
    ck_assert_str_eq((const char *)buf_head(&out),
                     "GET /a?b HTTP/1.1\r\nHost: web.ns:81\r\nX: y\r\n"
                     "Via: 1.1 tp\r\nConnection: close\r\n\r\n");
    buf_release(&out);
    http1_release(&head);
}
END_TEST

static const struct {
    const char *target;
    int rc;
} targets[] = {
    {"CONNECT web:443", 0},
    {"CONNECT [fd00::1]:443", 0},
    {"CONNECT web", -EBADMSG},
    {"CONNECT web:0", -EBADMSG},
    {"CONNECT web:80x", -EBADMSG},
    {"CONNECT web:65536", -EBADMSG},
    {"CONNECT a@b:1", -EBADMSG},
    {"CONNECT [fd00::1%25a]:1", -EBADMSG},
    {"GET https://web/", -EPROTONOSUPPORT},
    {"GET http://user@web/", -EBADMSG},
    {"GET http:///", -EBADMSG},
    {"GET http://web/#x", -EBADMSG},
    {"GET web", -EBADMSG},
    {"GET /proxy.pac", 0},
};

START_TEST(targets_are_read_strictly)
{
    struct proxy_request r;
    struct http1_head head;
    char text[200];

    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n\r\n",
             targets[_i].target);
    ck_assert_int_eq(parse(text, &r, &head), targets[_i].rc);
    http1_release(&head);
}
END_TEST

/* ---- who may (SECURITY 12, 13) ---- */

static const struct {
    const char *host;
    bool ours;
} hosts[] = {
    {"127.0.0.1:1080", true},   {"localhost:1080", true},
    {"[::1]:1080", true},       {"LocalHost:1080", true},
    {"evil.test:1080", false},  {"127.0.0.1", false},
    {"127.0.0.1:1081", false},  {"localhost.evil.test:1080", false},
    {"127.0.0.1:1080x", false}, {"", false},
};

START_TEST(only_names_of_this_machine_are_ours)
{
    ck_assert_int_eq(proxy_host_is_ours(hosts[_i].host, NULL, 1080),
                     hosts[_i].ours);
}
END_TEST

START_TEST(passwords)
{
    ck_assert(proxy_authorization_is_right("Basic dHA6YWJj", "abc"));
    ck_assert(proxy_authorization_is_right("basic dHA6YWJj", "abc"));
    ck_assert(!proxy_authorization_is_right("Basic dHA6YWJj", "abd"));
    ck_assert(!proxy_authorization_is_right("Basic dHA6YWJj", "abcd"));
    ck_assert(!proxy_authorization_is_right("Basic eHg6YWJj", "abc"));
    ck_assert(!proxy_authorization_is_right("Basic", "abc"));
    ck_assert(!proxy_authorization_is_right("Bearer dHA6YWJj", "abc"));
    ck_assert(!proxy_authorization_is_right(NULL, "abc"));
}
END_TEST

static const char *write_text(char path[64], const char *text)
{
    int fd;

    snprintf(path, 64, "/tmp/tp-check-proxy.XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

#define ROUTES                                                                 \
    "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n" \
    "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n"                       \
    "eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
#define ZERO32 "00000000000000000000000000000000"
#define ROUTES6                                                                \
    "fd000000000000000000000000000000 40 " ZERO32 " 00 " ZERO32                \
    " 00000100 00000001 00000000 00000001 eth0\n" ZERO32 " 00 " ZERO32         \
    " 00 fd000000000000000000000000000001 00000400 00000001 00000000 "         \
    "00000003 eth0\n"

static const struct {
    const char *peer;
    bool local;
} peers[] = {
    {"127.0.0.1", true},  {"127.8.8.8", true},   {"::1", true},
    {"172.17.0.1", true}, {"172.17.0.3", false}, {"172.18.0.1", false},
    {"0.0.0.0", false},   {"fd00::1", true},     {"fd00::2", false},
    {"::", false},
};

START_TEST(only_loopback_and_gateways_are_local)
{
    char v4[64], v6[64];
    union sockaddr_any peer;

    write_text(v4, ROUTES);
    write_text(v6, ROUTES6);
    ck_assert_int_eq(sockaddr_parse(&peer, peers[_i].peer, 1), 0);
    ck_assert_int_eq(proxy_peer_is_local(&peer, v4, v6), peers[_i].local);
    unlink(v4);
    unlink(v6);
}
END_TEST

static const char *const never[] = {"127.0.0.1", "::1",     "0.0.0.0",
                                    "::",        "fe80::1", "169.254.169.254",
                                    "224.0.0.1", "ff02::1", "255.255.255.255"};

START_TEST(some_addresses_are_no_destination)
{
    union sockaddr_any addr;

    ck_assert_int_eq(sockaddr_parse(&addr, never[_i], 80), 0);
    ck_assert(proxy_address_is_never(&addr));
    ck_assert_int_eq(sockaddr_parse(&addr, "10.43.0.1", 80), 0);
    ck_assert(!proxy_address_is_never(&addr));
}
END_TEST

/* ---- the PAC file, tp-daemon dial ---- */

START_TEST(the_pac_file_names_the_cluster_alone)
{
    static const char *const suffixes[] = {"shop"};
    struct subnet net;
    struct proxy_cluster c = {.domain = "cluster.local",
                              .suffixes = suffixes,
                              .n_suffixes = 1,
                              .capture = &net,
                              .n_capture = 1};
    struct buf out;
    const char *text;

    ck_assert_int_eq(subnet_parse(&net, "10.43.0.0/16"), 0);
    buf_init(&out, PROXY_PAC_MAX);
    ck_assert_int_eq(proxy_pac_write(&out, "127.0.0.1:1080", &c), 0);
    ck_assert_int_eq(buf_append(&out, "", 1), 0);
    text = (const char *)buf_head(&out);
    ck_assert(strstr(text, "var proxy = \"PROXY 127.0.0.1:1080\";"));
    ck_assert(strstr(text, "var names = [\".cluster.local\", \".shop\"];"));
    ck_assert(strstr(text, "[\"10.43.0.0\", \"255.255.0.0\", 16, 1]"));
    buf_release(&out);
    buf_init(&out, PROXY_PAC_MAX);
    ck_assert_int_eq(proxy_pac_write(&out, "127.0.0.1:1080", NULL), 0);
    ck_assert_int_eq(buf_append(&out, "", 1), 0);
    ck_assert(strstr((const char *)buf_head(&out), "var proxy = direct;"));
    buf_release(&out);
}
END_TEST

static const char *const no_ports[] = {"80x", "0",   "65536", "",
                                       "-1",  " 80", "0x50",  "99999999999"};

START_TEST(dial_takes_only_ports)
{
    struct tp_error err = {0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    ck_assert_int_eq(dial_ctl_run("/nonexistent", "web", no_ports[_i], true,
                                  null, null, &err),
                     -EINVAL);
    ck_assert_int_ne(
        dial_ctl_run("/nonexistent", "web", "80", true, null, null, &err),
        -EINVAL);
    close(null);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("daemon/proxy");
    TCase *tc = tcase_create("proxy");

    tcase_add_loop_test(tc, chunked_bodies_end_where_they_say, 0,
                        COUNT(bodies));
    tcase_add_test(tc, extensions_and_trailers_are_bounded);
    tcase_add_test(tc, socks_messages);
    tcase_add_test(tc, a_request_is_rewritten_for_the_server);
    tcase_add_loop_test(tc, targets_are_read_strictly, 0, COUNT(targets));
    tcase_add_loop_test(tc, only_names_of_this_machine_are_ours, 0,
                        COUNT(hosts));
    tcase_add_test(tc, passwords);
    tcase_add_loop_test(tc, only_loopback_and_gateways_are_local, 0,
                        COUNT(peers));
    tcase_add_loop_test(tc, some_addresses_are_no_destination, 0, COUNT(never));
    tcase_add_test(tc, the_pac_file_names_the_cluster_alone);
    tcase_add_loop_test(tc, dial_takes_only_ports, 0, COUNT(no_ports));
    suite_add_tcase(s, tc);
    return suite_run(s);
}
