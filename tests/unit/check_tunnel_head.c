/* Unit tests of src/tunnel/head.c and target.c: what a foreign head may ask
 * for, on links of addresses and of names. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tunnel/tunnel_internal.h"
#include "tunnel_pair.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct pair pair;
static struct user users[1], far_users[1];

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
    memset(users, 0, sizeof(users));
    memset(far_users, 0, sizeof(far_users));
}

/* ---- foreign heads ------------------------------------------------------- */

/* Sends any head on the client's link and gives the status of the answer. */
static int ask(nghttp2_nv *nv, size_t n)
{
    struct tunnel_stream *s = tstream_create(pair.client, TUNNEL_REQUEST);
    int status;

    ck_assert_ptr_nonnull(s);
    s->opener = true;
    s->phase = TUNNEL_ASKED;
    s->out_eof = true;
    s->id = nghttp2_submit_request(pair.client->h2, NULL, nv, n, NULL, s);
    ck_assert_int_gt(s->id, 0);
    tunnel_stream_set_user(s, &user_ops, &users[0]);
    users[0].closed = 0;
    tstream_ref(s);
    tunnel_kick(pair.client);
    RUN_UNTIL(users[0].closed);
    status = s->http_status;
    tstream_unref(s);
    return status;
}

static int hello(struct pair *p, struct tunnel_stream *s,
                 const struct tunnel_open *open)
{
    (void)p;
    ck_assert_int_eq(open->kind, TUNNEL_REQUEST);
    return tunnel_stream_respond(s, 200, "{}");
}

static int ask_get(const char *name, const char *value)
{
    nghttp2_nv nv[] = {head_nv(":method", "GET"), head_nv(":scheme", "http"),
                       head_nv(":authority", "tp"), head_nv(":path", "/x"),
                       head_nv(name, value)};

    return ask(nv, 5);
}

START_TEST(front_proxy_headers_are_refused)
{
    pair.open_cb = hello;
    pair_init(&pair);
    ck_assert_int_eq(ask_get("x-remote-user", "root"), 400);
    ck_assert_int_eq(ask_get("x-remote-extra-a", "b"), 400);
    ck_assert_int_eq(ask_get("x-remove-user", "fine"), 200);
    pair_close(&pair);
}
END_TEST

START_TEST(head_of_more_than_16_kib_is_refused)
{
    static char value[17000];

    pair.open_cb = hello;
    pair_init(&pair);
    memset(value, 'v', sizeof(value) - 1);
    ck_assert_int_eq(ask_get("x", value), 400);
    value[15000] = '\0';
    ck_assert_int_eq(ask_get("x", value), 200);
    pair_close(&pair);
}
END_TEST

static int ask_connect(const char *authority)
{
    nghttp2_nv nv[] = {head_nv(":method", "CONNECT"),
                       head_nv(":authority", authority)};

    return ask(nv, 2);
}

static int ask_udp(const char *protocol, const char *path)
{
    nghttp2_nv nv[] = {head_nv(":method", "CONNECT"),
                       head_nv(":protocol", protocol),
                       head_nv(":scheme", "http"), head_nv(":authority", "tp"),
                       head_nv(":path", path)};

    return ask(nv, 5);
}

START_TEST(only_ip_literals_may_be_asked_for)
{
    static const char *const hosts[] = {
        "web:80",     "10.0.0.1",  "10.0.0.1:0",  "10.0.0.1:99999",
        "fd00::1:80", "[fd00::1]", "[10.0.0.1]:", "[fe80::1%lo]:80"};
    static const char *const paths[] = {
        "/",
        "/.well-known/masque/udp/10.0.0.1/53",
        "/.well-known/masque/udp/10.0.0.1/53/x",
        "/.well-known/masque/udp/web/53/",
        "/.well-known/masque/udp/10.0.0.1/0/",
        "/.well-known/masque/udp/10.0.0.1/65536/",
        "/.well-known/masque/udp/10.0.0.1/+53/",
        "/.well-known/masque/udp/fd00%3/53/",
        "/.well-known/masque/udp/10.0.0.1%00/53/",
    };

    pair.refuse = -EACCES; /* what is well-formed */
    pair_init(&pair);
    ck_assert_int_eq(ask_connect("10.0.0.1:80"), 403);
    ck_assert_int_eq(ask_connect("[::ffff:10.0.0.1]:80"), 403);
    ck_assert_str_eq(pair.opened_text, "10.0.0.1:80");
    ck_assert_int_eq(
        ask_udp("connect-udp", "/.well-known/masque/udp/fd00%3A%3A1/53/"), 403);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
        ck_assert_int_eq(ask_connect(hosts[i]), 400);
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        ck_assert_int_eq(ask_udp("connect-udp", paths[i]), 400);
    ck_assert_int_eq(
        ask_udp("websocket", "/.well-known/masque/udp/10.0.0.1/53/"), 400);
    pair_close(&pair);
}
END_TEST

/* ---- names --------------------------------------------------------------- */

#define NAME "0abcdefghijklmnopqrstuvwx9" /* 26 characters */

START_TEST(names_are_heard_and_nothing_else)
{
    static const char *const hosts[] = {
        "10.0.0.1:80", "[fd00::1]:80", "a" NAME ":80",
        NAME,          NAME ":",       NAME ":0",
        NAME ":65536", NAME ":80:80",  NAME ":80x",
        ":80",         "localhost:80", "0Abcdefghijklmnopqrstuvwx9:80"};
    static const char *const hosts_udp[] = {
        "10.0.0.1/53/",  "fd00%3A%3A1/53/", NAME "/0/", "a" NAME "/53/",
        NAME "%2e1/53/", NAME "/53",        "/53/",     NAME "%00x/53/"};
    char path[128];

    pair.config.names = true;
    pair.refuse = -EACCES; /* what is well-formed */
    pair_init(&pair);
    ck_assert_int_eq(ask_connect(NAME ":8080"), 403);
    ck_assert_str_eq(pair.opened_text, NAME ":8080");
    ck_assert_int_eq(
        ask_udp("connect-udp", "/.well-known/masque/udp/" NAME "/53/"), 403);
    ck_assert_str_eq(pair.opened_text, NAME ":53");
    for (size_t i = 0; i < COUNT(hosts); i++)
        ck_assert_int_eq(ask_connect(hosts[i]), 400);
    for (size_t i = 0; i < COUNT(hosts_udp); i++) {
        snprintf(path, sizeof(path), "/.well-known/masque/udp/%s",
                 hosts_udp[i]);
        ck_assert_int_eq(ask_udp("connect-udp", path), 400);
    }
    pair_close(&pair);
}
END_TEST

START_TEST(names_are_refused_where_addresses_are_asked_for)
{
    pair.refuse = -EACCES;
    pair_init(&pair);
    ck_assert_int_eq(ask_connect(NAME ":8080"), 400);
    ck_assert_int_eq(
        ask_udp("connect-udp", "/.well-known/masque/udp/" NAME "/53/"), 400);
    pair_close(&pair);
}
END_TEST

/* Requests are the same on both kinds of links. */
START_TEST(requests_pass_on_a_link_of_names)
{
    pair.config.names = true;
    pair.open_cb = hello;
    pair_init(&pair);
    ck_assert_int_eq(ask_get("x-remove-user", "fine"), 200);
    pair_close(&pair);
}
END_TEST

START_TEST(name_that_is_none_cannot_be_opened)
{
    static const char *const names[] = {"", "web", "a" NAME, "10.0.0.1",
                                        "0abcdefghijklmnopqrstuvwx-"};

    pair.config.names = true;
    pair_init(&pair);
    for (size_t i = 0; i < COUNT(names); i++) {
        errno = 0;
        ck_assert_ptr_null(tunnel_open_tcp_name(pair.client, names[i], 80,
                                                &user_ops, &users[0]));
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_ptr_null(tunnel_open_udp_name(pair.client, names[i], 80,
                                                &user_ops, &users[0]));
    }
    ck_assert_ptr_null(
        tunnel_open_tcp_name(pair.client, NAME, 0, &user_ops, &users[0]));
    ck_assert_ptr_null(
        tunnel_open_udp_name(pair.client, NAME, 0, &user_ops, &users[0]));
    pair_close(&pair);
}
END_TEST

static const struct tunnel_open *last_open(const struct tunnel_open *open)
{
    static struct tunnel_open last;
    static char name[TUNNEL_NAME_LEN + 1];

    if (open) {
        last = *open;
        snprintf(name, sizeof(name), "%s", open->name);
        last.name = name;
    }
    return &last;
}

static int serve_name(struct pair *p, struct tunnel_stream *s,
                      const struct tunnel_open *open)
{
    last_open(open);
    return user_serve(p, s, open);
}

/* Both kinds as raw streams: what the far end hears, and bytes both ways. */
START_TEST(stream_by_name_carries_bytes)
{
    pair.config.names = true;
    pair.open_cb = serve_name;
    pair.arg = far_users;
    pair_init(&pair);
    users[0].offer = far_users[0].offer = 1 << 20;
    users[0].pair = &pair;
    users[0].stream = (_i ? tunnel_open_udp_name : tunnel_open_tcp_name)(
        pair.client, NAME, 8080, &user_ops, &users[0]);
    ck_assert_ptr_nonnull(users[0].stream);
    RUN_UNTIL(users[0].closed && far_users[0].closed);
    ck_assert_int_eq(users[0].status, 0);
    ck_assert_uint_eq(users[0].received, 1 << 20);
    ck_assert_uint_eq(far_users[0].received, 1 << 20);
    ck_assert(!users[0].bad && !far_users[0].bad);
    ck_assert_int_eq(last_open(NULL)->kind, _i ? TUNNEL_UDP : TUNNEL_TCP);
    ck_assert_str_eq(last_open(NULL)->name, NAME);
    ck_assert_uint_eq(last_open(NULL)->port, 8080);
    pair_close(&pair);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel-head");
    TCase *tc = tcase_create("head");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, front_proxy_headers_are_refused);
    tcase_add_test(tc, head_of_more_than_16_kib_is_refused);
    tcase_add_test(tc, only_ip_literals_may_be_asked_for);
    tcase_add_test(tc, names_are_heard_and_nothing_else);
    tcase_add_test(tc, names_are_refused_where_addresses_are_asked_for);
    tcase_add_test(tc, requests_pass_on_a_link_of_names);
    tcase_add_test(tc, name_that_is_none_cannot_be_opened);
    tcase_add_loop_test(tc, stream_by_name_carries_bytes, 0, 2);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
