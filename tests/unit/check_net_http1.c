/* Unit tests: heads of HTTP/1.1 messages. */
#include "check_net.h"

#include "net/http1.h"

static int parse(struct http1_head *head, enum http1_kind kind,
                 const char *text)
{
    memset(head, 0, sizeof(*head));
    return http1_parse(head, kind, text, strlen(text));
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

static const char *const bad_requests[] = {
    "\r\nGET / HTTP/1.1\r\n\r\n",          /* an empty first line */
    "GET / HTTP/1.1\nHost: a\n\n",         /* bare LF */
    "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", /* bare CR */
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET  / HTTP/1.1\r\n\r\n", /* two spaces */
    "GET / HTTP/1.1 \r\n\r\n",
    "GET /\r\n\r\n", /* no version */
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/1.2\r\n\r\n",
    "GET / http/1.1\r\n\r\n",
    "GET / HTTP/1.11\r\n\r\n",
    " GET / HTTP/1.1\r\n\r\n",
    "G(T / HTTP/1.1\r\n\r\n",         /* no token */
    "GET /\xc3\xa4 HTTP/1.1\r\n\r\n", /* not ASCII */
    GET " folded\r\n\r\n",            /* obs-fold */
    GET "A : b\r\n\r\n",              /* a space before the colon */
    GET "A b\r\n\r\n",                /* no colon */
    GET ": b\r\n\r\n",                /* no name */
    GET "A\x01: b\r\n\r\n",
    GET "A: b\x01\r\n\r\n", /* control characters */
    GET "A: b\x7f\r\n\r\n",
    GET "Host: b\r\n\r\n", /* two hosts */
    GET "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    GET "Content-Length: 1, 1\r\n\r\n",
    GET "Content-Length: +1\r\n\r\n",
    GET "Content-Length: -1\r\n\r\n",
    GET "Content-Length: 0x1\r\n\r\n",
    GET "Content-Length:\r\n\r\n",
    GET "Content-Length: 9223372036854775808\r\n\r\n",
    GET "Content-Length: 99999999999999999999\r\n\r\n",
    GET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET "Transfer-Encoding: gzip, chunked\r\n\r\n",
    GET "Transfer-Encoding: identity\r\n\r\n",
    "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
};

START_TEST(bad_requests_are_refused)
{
    struct http1_head head;

    ck_assert_msg(parse(&head, HTTP1_REQUEST, bad_requests[_i]) == -EBADMSG,
                  "accepted: %s", bad_requests[_i]);
    ck_assert_ptr_null(head.storage);
}
END_TEST

static const char *const bad_responses[] = {
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 +20 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/3 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/1.1 200 O\x1bK\r\n\r\n",
};

START_TEST(bad_responses_are_refused)
{
    struct http1_head head;

    ck_assert_msg(parse(&head, HTTP1_RESPONSE, bad_responses[_i]) == -EBADMSG,
                  "accepted: %s", bad_responses[_i]);
}
END_TEST

/* Bytes that no head may hold are found before it is complete. */
START_TEST(garbage_is_refused_early)
{
    struct http1_head head;

    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, "\x16\x03\x01", 3),
                     -EBADMSG);
    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, "GET\0", 4), -EBADMSG);
    ck_assert_int_eq(http1_parse(&head, HTTP1_RESPONSE, "HTTP", 4), 0);
    ck_assert_int_eq(http1_parse(&head, HTTP1_RESPONSE, "HTT/", 4), -EBADMSG);
    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, "GET / HT\n", 9),
                     -EBADMSG);
}
END_TEST

START_TEST(request_is_taken_apart)
{
    static const char text[] = "POST /a?b=c HTTP/1.1\r\n"
                               "host: example:80\r\n"
                               "Connection: keep-alive ,Upgrade\r\n"
                               "UPGRADE:tp/1\r\n"
                               "X-Empty:\r\n"
                               "X-Text: \t a b\xff \t\r\n"
                               "Content-Length: 12\r\n"
                               "x-twice: 1\r\nX-Twice: 2\r\n"
                               "\r\nextra";
    struct http1_head head;

    for (size_t n = 0; n < strlen(text) - 5; n++) /* every prefix */
        ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, text, n), 0);
    ck_assert_int_eq(parse(&head, HTTP1_REQUEST, text), sizeof(text) - 6);
    ck_assert_str_eq(head.method, "POST");
    ck_assert_str_eq(head.target, "/a?b=c");
    ck_assert_uint_eq(head.count, 8);
    ck_assert_str_eq(http1_get(&head, "Host"), "example:80");
    ck_assert_str_eq(http1_get(&head, "upgrade"), "tp/1");
    ck_assert_str_eq(http1_get(&head, "X-Empty"), "");
    ck_assert_str_eq(http1_get(&head, "X-Text"), "a b\xff");
    ck_assert_ptr_null(http1_get(&head, "X-None"));
    ck_assert_uint_eq(http1_count(&head, "X-TWICE"), 2);
    ck_assert(http1_has_token(&head, "Connection", "upgrade"));
    ck_assert(http1_has_token(&head, "connection", "Keep-Alive"));
    ck_assert(!http1_has_token(&head, "Connection", "keep"));
    ck_assert(!http1_has_token(&head, "X-Text", "a"));
    ck_assert_int_eq(head.content_length, 12);
    ck_assert(!head.chunked);
    ck_assert(head.keep_alive);
    http1_release(&head);
    ck_assert_ptr_null(head.storage);
}
END_TEST

START_TEST(response_is_taken_apart)
{
    static const struct {
        const char *text;
        int status;
        const char *reason;
        bool keep_alive, chunked;
        int64_t length;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", 200, "OK", true, false, -1},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, "Switching Protocols",
         true, false, -1},
        {"HTTP/1.1 404 \r\n\r\n", 404, "", true, false, -1},
        {"HTTP/1.1 404\r\n\r\n", 404, "", true, false, -1},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, "OK", false, false, -1},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", 200, "OK", true,
         false, -1},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
         200, "OK", false, false, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 200, "OK",
         true, true, -1},
    };
    struct http1_head head;

    for (size_t i = 0; i < COUNT(rows); i++) {
        ck_assert_int_eq(parse(&head, HTTP1_RESPONSE, rows[i].text),
                         (int)strlen(rows[i].text));
        ck_assert_int_eq(head.status, rows[i].status);
        ck_assert_str_eq(head.reason, rows[i].reason);
        ck_assert_int_eq(head.keep_alive, rows[i].keep_alive);
        ck_assert_int_eq(head.chunked, rows[i].chunked);
        ck_assert_int_eq(head.content_length, rows[i].length);
        http1_release(&head);
    }
}
END_TEST

START_TEST(credentials_are_one_header_of_the_scheme)
{
    static const struct {
        const char *lines, *want;
    } rows[] = {
        {"Authorization: Bearer a.b\r\n", "a.b"},
        {"AUTHORIZATION: bEARER a\r\n", "a"},
        {"Authorization: Bearer a\r\nauthorization: Bearer a\r\n", NULL},
        {"Authorization: Basic a\r\n", NULL},
        {"Authorization: Bearer\r\n", NULL},
        {"Proxy-Authorization: Bearer a\r\n", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http1_head head;
        char text[200];

        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", rows[i].lines);
        ck_assert_int_gt(parse(&head, HTTP1_REQUEST, text), 0);
        ck_assert_pstr_eq(http1_credentials(&head, "Authorization", "Bearer "),
                          rows[i].want);
        http1_release(&head);
    }
}
END_TEST

START_TEST(limits_hold)
{
    static char big[HTTP1_MAX_HEAD + 100];
    struct http1_head head;
    char *p = stpcpy(big, "GET / HTTP/1.1\r\n");

    for (int i = 0; i < HTTP1_MAX_HEADERS; i++)
        p = stpcpy(p, "a: b\r\n");
    strcpy(p, "\r\n");
    ck_assert_int_gt(parse(&head, HTTP1_REQUEST, big), 0);
    ck_assert_uint_eq(head.count, HTTP1_MAX_HEADERS);
    http1_release(&head);
    strcpy(p, "a: b\r\n\r\n");
    ck_assert_int_eq(parse(&head, HTTP1_REQUEST, big), -EMSGSIZE);

    memset(big, 'a', sizeof(big));
    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, big, HTTP1_MAX_HEAD - 1),
                     0);
    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, big, sizeof(big)),
                     -EMSGSIZE);
}
END_TEST

Suite *net_http1_suite(void)
{
    Suite *s = suite_create("net/http1");
    TCase *tc = tcase_create("http1");

    tcase_add_loop_test(tc, bad_requests_are_refused, 0, COUNT(bad_requests));
    tcase_add_loop_test(tc, bad_responses_are_refused, 0, COUNT(bad_responses));
    tcase_add_test(tc, garbage_is_refused_early);
    tcase_add_test(tc, request_is_taken_apart);
    tcase_add_test(tc, response_is_taken_apart);
    tcase_add_test(tc, credentials_are_one_header_of_the_scheme);
    tcase_add_test(tc, limits_hold);
    suite_add_tcase(s, tc);
    return s;
}
