/* Unit tests of src/base. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/bucket.h"
#include "base/buf.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sockaddr.h"
#include "suite.h"

START_TEST(error_wrap_puts_context_first)
{
    struct tp_error err = {0};

    ck_assert_int_eq(tp_error_errno(&err, -ENOENT, "open %s", "x"), -ENOENT);
    ck_assert_int_eq(tp_error_wrap(&err, "load"), -ENOENT);
    ck_assert_str_eq(err.text, "load: open x: No such file or directory");
}
END_TEST

START_TEST(buf_never_exceeds_its_maximum)
{
    struct buf b;

    buf_init(&b, 10);
    ck_assert_int_eq(buf_append(&b, "0123456789", 10), 0);
    ck_assert_int_eq(buf_append(&b, "x", 1), -ENOBUFS);
    buf_consume(&b, 4);
    ck_assert_int_eq(buf_append(&b, "abcd", 4), 0);
    ck_assert_uint_eq(buf_used(&b), 10);
    ck_assert_mem_eq(buf_head(&b), "456789abcd", 10);
    buf_release(&b);
}
END_TEST

START_TEST(bucket_bounds_rate_burst_and_debt)
{
    struct bucket b;

    bucket_init(&b, 10, 2, 1000);
    ck_assert(bucket_take(&b, 1000) && bucket_take(&b, 1000));
    ck_assert(!bucket_take(&b, 1099)); /* the next one is due at 1100 */
    ck_assert(bucket_take(&b, 1100));
    ck_assert(!bucket_take(&b, 900)); /* a clock that went back gives none */
    ck_assert(bucket_fill(&b, 100000) == 2); /* never more than the burst */
    bucket_spend(&b, 7);
    ck_assert(bucket_fill(&b, 100400) == -1);
    ck_assert(bucket_fill(&b, 100500) == 0);
    ck_assert(!bucket_take(&b, 100500)); /* the debt is paid, no more */
    ck_assert(bucket_take(&b, 100600));
}
END_TEST

START_TEST(json_path_reads_nested_members)
{
    static const char text[] = "{\"a\":{\"b\":\"c\",\"n\":7},\"l\":[1,2]}";
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(text, sizeof(text) - 1, &err);

    ck_assert_ptr_nonnull(obj);
    ck_assert_str_eq(json_get_str(obj, "a.b", ""), "c");
    ck_assert_int_eq(json_get_int(obj, "a.n", 0), 7);
    ck_assert_ptr_null(json_get_str(obj, "a.x", NULL));
    ck_assert_uint_eq(json_array_len(json_get_array(obj, "l")), 2);
    ck_assert_uint_eq(json_array_len(json_get(obj, "a.b")), 0);
    ck_assert_uint_eq(json_array_len(NULL), 0);
    json_put_int(obj, "i", INT64_MAX);
    ck_assert(json_get_int(obj, "i", 0) == INT64_MAX);
    json_put_bool(obj, "t", true);
    ck_assert(json_get_bool(obj, "t", false));
    json_object_put(obj);
    ck_assert_ptr_null(json_parse_text("{\"a\":", 5, &err));
    ck_assert_str_eq(err.text, "not JSON: the text ends too early");
}
END_TEST

START_TEST(an_array_has_strings_alone)
{
    static const char text[] = "[\"ab\", 7, null, \"\", [\"in\"]]";
    struct json_object *array = json_parse_text(text, sizeof(text) - 1, NULL);

    ck_assert(json_array_has(array, "ab"));
    ck_assert(json_array_has(array, ""));
    ck_assert(!json_array_has(array, "a"));
    ck_assert(!json_array_has(array, "7"));
    ck_assert(!json_array_has(array, "in"));
    ck_assert(!json_array_has(NULL, ""));
    json_object_put(array);
}
END_TEST

START_TEST(sockaddr_round_trip)
{
    static const char *const good[] = {"10.0.0.1:80", "[fd00::1]:65535"};
    static const char *const bad[] = {"10.0.0.1",      "fd00::1:80", "a:1",
                                      "1.2.3.4:65536", "1.2.3.4:+1", ":1"};
    union sockaddr_any addr;
    char text[SOCKADDR_TEXT];

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        ck_assert_int_eq(sockaddr_parse_hostport(&addr, good[i]), 0);
        ck_assert_str_eq(sockaddr_format(&addr, text), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_int_eq(sockaddr_parse_hostport(&addr, bad[i]), -EINVAL);
}
END_TEST

START_TEST(subnet_membership_and_mapped_addresses)
{
    struct subnet net, other;
    union sockaddr_any addr;

    ck_assert_int_eq(subnet_parse(&net, "10.43.0.0/16"), 0);
    ck_assert_int_eq(subnet_parse(&other, "10.43.1.0/15"), -EINVAL);
    ck_assert_int_eq(subnet_parse(&other, "10.42.0.0/15"), 0);
    ck_assert(subnet_overlaps(&net, &other));
    ck_assert_int_eq(sockaddr_parse(&addr, "::ffff:10.43.255.1", 1), 0);
    ck_assert(!subnet_contains(&net, &addr));
    sockaddr_unmap(&addr);
    ck_assert(subnet_contains(&net, &addr));
    ck_assert_int_eq(subnet_parse(&other, "0.0.0.0/0"), 0);
    ck_assert(subnet_overlaps(&net, &other));
    ck_assert_int_eq(subnet_parse(&other, "10.0.0.0/33"), -EINVAL);
}
END_TEST

START_TEST(addresses_as_bytes)
{
    static const struct {
        const char *ip;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"126.255.255.255", false},
        {"128.0.0.1", false},
        {"::1", true},
        {"::2", false},
        {"::", false},
        {"::ffff:127.0.0.1", false},
    };
    union sockaddr_any addr, copy;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert_int_eq(sockaddr_parse(&addr, rows[i].ip, 7), 0);
        ck_assert_msg(sockaddr_is_loopback(&addr) == rows[i].loopback, "%s",
                      rows[i].ip);
        sockaddr_from_bytes(&copy, addr.sa.sa_family, sockaddr_bytes(&addr));
        ck_assert_uint_eq(sockaddr_port(&copy), 0);
        sockaddr_set_port(&copy, 7);
        ck_assert(sockaddr_equal(&copy, &addr));
    }
    ck_assert_int_eq(sockaddr_parse(&addr, "10.1.2.3", 9), 0);
    sockaddr_set_bytes(&addr, "\x0a\x01\x02\x04");
    ck_assert_uint_eq(sockaddr_width(&addr), 4);
    ck_assert_int_eq(sockaddr_parse(&copy, "10.1.2.4", 9), 0);
    ck_assert(sockaddr_equal(&copy, &addr));
    memset(&addr, 0, sizeof(addr));
    ck_assert(!sockaddr_is_loopback(&addr));
}
END_TEST

START_TEST(host_and_port_apart)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"a.b:80", "a.b", 80},
                {"[fd00::1]:65535", "fd00::1", 65535},
                {"10.0.0.1:0", "10.0.0.1", 0}};
    static const char *const bad[] = {"a",    ":1",   "[]:1",    "::1:80",
                                      "a:1x", "a: 1", "a:65536", "abcdefgh:1"};
    char host[8 + 1];
    uint16_t port;

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        ck_assert_int_eq(
            sockaddr_split_hostport(good[i].text, host, sizeof(host), &port),
            0);
        ck_assert_str_eq(host, good[i].host);
        ck_assert_uint_eq(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(sockaddr_split_hostport(bad[i], host, 8, &port) ==
                          -EINVAL,
                      "%s", bad[i]);
}
END_TEST

START_TEST(subnet_of_an_interface)
{
    union sockaddr_any addr, mask;
    struct subnet net;
    char text[SUBNET_TEXT];

    ck_assert_int_eq(sockaddr_parse(&addr, "10.1.2.3", 0), 0);
    ck_assert_int_eq(sockaddr_parse(&mask, "255.255.240.0", 0), 0);
    ck_assert_int_eq(subnet_from_mask(&net, &addr.sa, &mask.sa), 0);
    ck_assert_str_eq(subnet_format(&net, text), "10.1.0.0/20");
    ck_assert(!subnet_is_link_local(&net));
    ck_assert_int_eq(sockaddr_parse(&addr, "fe80::1:2", 0), 0);
    ck_assert_int_eq(sockaddr_parse(&mask, "ffff:ffff:ffff:ffff::", 0), 0);
    ck_assert_int_eq(subnet_from_mask(&net, &addr.sa, &mask.sa), 0);
    ck_assert_str_eq(subnet_format(&net, text), "fe80::/64");
    ck_assert(subnet_is_link_local(&net));
    addr.sa.sa_family = AF_UNIX;
    ck_assert_int_eq(subnet_from_mask(&net, &addr.sa, &mask.sa), -EINVAL);
}
END_TEST

START_TEST(base64_of_every_length_and_nothing_malformed)
{
    static const char *const pairs[][2] = {
        {"", ""},        {"a", "YQ=="},        {"ab", "YWI="},
        {"abc", "YWJj"}, {"abcd", "YWJjZA=="}, {"\xff\xfe~", "//5+"},
    };
    static const char *const bad[] = {
        "YQ=", "YQ=A", "Y*==", "YQ==YQ==", "AA==" /* NUL */, "===="};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
        char *back = base64_decode_text(text);

        ck_assert_str_eq(text, pairs[i][1]);
        ck_assert_str_eq(back, pairs[i][0]);
        free(text);
        free(back);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_ptr_null(base64_decode_text(bad[i]));
}
END_TEST

START_TEST(percent_decode_within_its_bounds)
{
    char out[6], same[] = "%41%2fb";

    ck_assert_int_eq(percent_decode(out, 6, "a%3Abc%7e...", 9), 0);
    ck_assert_str_eq(out, "a:bc~");
    ck_assert_int_eq(percent_decode(out, 6, "abcdef", 6), -ENOBUFS);
    ck_assert_int_eq(percent_decode(out, 0, "", 0), -ENOBUFS);
    ck_assert_int_eq(percent_decode(out, 6, "%4", 2), -EINVAL);
    ck_assert_int_eq(percent_decode(out, 6, "%411", 2), -EINVAL);
    ck_assert_int_eq(percent_decode(out, 6, "%4g", 3), -EINVAL);
    ck_assert_int_eq(percent_decode(out, 6, "%00", 3), -EINVAL);
    ck_assert_int_eq(percent_decode(same, sizeof(same), same, 7), 0);
    ck_assert_str_eq(same, "A/b");
}
END_TEST

START_TEST(file_read_keeps_its_maximum)
{
    char path[] = "/tmp/check_base.XXXXXX";
    int fd = mkstemp(path);
    struct tp_error err = {0};
    char *text = NULL;
    size_t len;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_read(path, 4, &text, &len, &err), 0);
    ck_assert_uint_eq(len, 0);
    ck_assert_str_eq(text, "");
    free(text);
    ck_assert_int_eq((int)write(fd, "12345", 5), 5);
    ck_assert_int_eq(file_read(path, 5, &text, &len, &err), 0);
    ck_assert_str_eq(text, "12345");
    free(text);
    ck_assert_int_eq(file_read(path, 4, &text, &len, &err), -EMSGSIZE);
    ck_assert_int_eq(file_read("/tmp", 4, &text, &len, &err), -EISDIR);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(file_read(path, 4, &text, &len, &err), -ENOENT);
    close(fd);
}
END_TEST

/* As with --config <(command). */
START_TEST(file_read_waits_for_a_pipe)
{
    char path[32], *text = NULL;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
    if (fork() == 0) {
        close(fds[0]);
        usleep(20000);
        _exit(write(fds[1], "late", 4) == 4 ? 0 : 1);
    }
    close(fds[1]);
    ck_assert_int_eq(file_read(path, 9, &text, NULL, NULL), 0);
    ck_assert_str_eq(text, "late");
    free(text);
    close(fds[0]);
}
END_TEST

static void broker_pair(int pair[2])
{
    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
}

START_TEST(broker_hands_over_a_descriptor_and_keys)
{
    struct broker_answer a;
    int pair[2], fds[2];
    char c;

    broker_pair(pair);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(broker_receive(pair[0], &a), -EAGAIN);
    ck_assert_int_eq(broker_ask(pair[0]), 0);
    ck_assert_int_eq(broker_wait(pair[1]), 1);
    ck_assert_int_eq(broker_give(pair[1], fds[0], "host", "key"), 0);
    close(fds[0]);
    ck_assert_int_eq(broker_receive(pair[0], &a), 0);
    ck_assert_str_eq(a.hostkey, "host");
    ck_assert_str_eq(a.key, "key");
    ck_assert_ptr_null(a.error);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(read(a.fd, &c, 1), 1);
    broker_answer_release(&a);
    close(fds[1]);
    ck_assert_int_eq(broker_refuse(pair[1], "why"), 0);
    ck_assert_int_eq(broker_receive(pair[0], &a), 0);
    ck_assert_str_eq(a.error, "why");
    ck_assert_int_eq(a.fd, -1);
    broker_answer_release(&a);
    close(pair[0]);
    ck_assert_int_eq(broker_wait(pair[1]), 0);
    close(pair[1]);
}
END_TEST

START_TEST(broker_requests_stay_until_taken)
{
    int pair[2];

    broker_pair(pair);
    ck_assert_int_eq(broker_peek(pair[1]), -EAGAIN);
    ck_assert_int_eq(broker_ask(pair[0]), 0);
    ck_assert_int_eq(broker_peek(pair[1]), 1);
    ck_assert_int_eq(broker_peek(pair[1]), 1);
    ck_assert_int_eq(broker_wait(pair[1]), 1);
    ck_assert_int_eq(broker_peek(pair[1]), -EAGAIN);
    close(pair[0]);
    ck_assert_int_eq(broker_peek(pair[1]), 0);
    close(pair[1]);
}
END_TEST

START_TEST(broker_nonsense_is_an_error)
{
    static const struct {
        const char *text;
        size_t len;
    } packets[] = {
        {"a", 1}, {"a\0", 2}, {"a\0b", 3}, {"a\0b\0c\0", 6}, {"\0", 1}};
    struct broker_answer a;
    int pair[2];

    broker_pair(pair);
    for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++) {
        ck_assert_int_gt(send(pair[1], packets[i].text, packets[i].len, 0), 0);
        ck_assert_int_eq(broker_receive(pair[0], &a), -EPROTO);
    }
    close(pair[1]);
    ck_assert_int_eq(broker_receive(pair[0], &a), -EPIPE);
    close(pair[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *tc = tcase_create("base");

    tcase_add_test(tc, error_wrap_puts_context_first);
    tcase_add_test(tc, buf_never_exceeds_its_maximum);
    tcase_add_test(tc, bucket_bounds_rate_burst_and_debt);
    tcase_add_test(tc, json_path_reads_nested_members);
    tcase_add_test(tc, an_array_has_strings_alone);
    tcase_add_test(tc, sockaddr_round_trip);
    tcase_add_test(tc, addresses_as_bytes);
    tcase_add_test(tc, host_and_port_apart);
    tcase_add_test(tc, subnet_of_an_interface);
    tcase_add_test(tc, subnet_membership_and_mapped_addresses);
    tcase_add_test(tc, base64_of_every_length_and_nothing_malformed);
    tcase_add_test(tc, percent_decode_within_its_bounds);
    tcase_add_test(tc, file_read_keeps_its_maximum);
    tcase_add_test(tc, file_read_waits_for_a_pipe);
    tcase_add_test(tc, broker_hands_over_a_descriptor_and_keys);
    tcase_add_test(tc, broker_requests_stay_until_taken);
    tcase_add_test(tc, broker_nonsense_is_an_error);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
