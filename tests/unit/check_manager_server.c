/* Unit tests of src/manager/server*.c: bodies and limits, over plain HTTP. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/server.h"
#include "manager/server_body.h"
#include "suite.h"

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))
#define BODY_MAX     ((size_t)4 << 20)

static uv_loop_t loop;
static struct server *server;
static union sockaddr_any address;
static int requests;                /* that the handler saw */
static struct server_request *kept; /* not answered yet */
static bool keep_next;

static uint32_t sum_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t h = 2166136261U;

    while (len-- > 0)
        h = (h ^ *p++) * 16777619U;
    return h;
}

/* Answers with the length and the sum of the body. */
static void answer(struct server_request *req)
{
    char text[64];
    size_t len;
    const char *body = server_request_body(req, &len);

    ck_assert_int_eq(body[len], '\0');
    snprintf(text, sizeof(text), "len=%zu sum=%08x\n", len, sum_of(body, len));
    server_respond(req, 200, "text/plain", NULL, text);
}

static void request_cb(void *arg, struct server_request *req)
{
    (void)arg;
    requests++;
    if (keep_next)
        kept = req;
    else
        answer(req);
}

static void start(const struct server_limits *limits)
{
    struct tp_error err = {0};

    signal(SIGPIPE, SIG_IGN);
    requests = 0;
    kept = NULL;
    keep_next = false;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    sockaddr_parse(&address, "127.0.0.1", 0);
    server = server_create(&loop, &address, false, request_cb, NULL, &err);
    ck_assert_msg(server != NULL, "%s", err.text);
    server_set_limits(server, limits);
    server_get_addr(server, &address);
}

static void stop(void)
{
    server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* ---- a client that never blocks ------------------------------------------ */

struct client {
    int fd;
    char text[4096];
    size_t used;
    bool ended;
};

static void client_open(struct client *c)
{
    memset(c, 0, sizeof(*c));
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(c->fd, &address.sa, sizeof(address.in4)), 0);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void client_read(struct client *c)
{
    ssize_t n =
        recv(c->fd, c->text + c->used, sizeof(c->text) - 1 - c->used, 0);

    if (n > 0)
        c->used += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        c->ended = true;
}

/* Sends in pieces while the server takes it, reading what comes back. */
static void client_send(struct client *c, const char *data, size_t len,
                        size_t piece)
{
    while (len > 0 && !c->ended) {
        ssize_t n = send(c->fd, data, len < piece ? len : piece, 0);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
        turn();
        client_read(c);
    }
}

static void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text), 1 << 20);
}

/* Until `n` answers have come, or the end. */
static void client_await(struct client *c, int n)
{
    for (int i = 0; i < 2000 && !c->ended; i++) {
        int seen = 0;

        for (char *p = c->text; (p = strstr(p, "\r\n\r\n")); p += 4)
            seen++;
        if (seen >= n && c->text[c->used - 1] == '\n')
            return;
        poll(NULL, 0, i > 100);
        turn();
        client_read(c);
    }
}

static int client_status(const struct client *c)
{
    return strncmp(c->text, "HTTP/1.1 ", 9) ? 0 : atoi(c->text + 9);
}

static void client_close(struct client *c)
{
    close(c->fd);
    for (int i = 0; i < 5; i++)
        turn();
}

static void expect(const struct client *c, const char *body, size_t len)
{
    char want[64];

    snprintf(want, sizeof(want), "len=%zu sum=%08x\n", len, sum_of(body, len));
    ck_assert_msg(strstr(c->text, want) != NULL, "%s is not in: %s", want,
                  c->text);
}

/* ---- bodies -------------------------------------------------------------- */

static char *make_body(size_t len)
{
    char *body = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 7 ^ i >> 8);
    body[len] = '\0';
    return body;
}

static const size_t lens[] = {0, 1, 4096, 100000, BODY_MAX - 1, BODY_MAX};

START_TEST(body_of_a_length_is_given)
{
    static const struct server_limits limits = {.body_max = BODY_MAX};
    char head[128], *body = make_body(lens[_i]);
    struct client c;

    start(&limits);
    client_open(&c);
    snprintf(head, sizeof(head),
             "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
             lens[_i]);
    for (int i = 1; i <= 2; i++) { /* twice on one connection */
        client_say(&c, head);
        client_send(&c, body, lens[_i], 100000);
        client_await(&c, i);
    }
    ck_assert_int_eq(client_status(&c), 200);
    ck_assert_int_eq(requests, 2);
    expect(&c, body, lens[_i]);
    client_close(&c);
    stop();
    free(body);
}
END_TEST

#define CHUNKED                                                                \
    "POST /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static const size_t pieces[] = {1, 2, 3, 7, 1 << 20};

START_TEST(chunked_body_in_pieces_of_any_size)
{
    static const struct server_limits limits = {.body_max = 1000};
    static const char text[] = CHUNKED "5\r\nhello\r\n"
                                       "00a ; name=\"v\"\r\n0123456789\r\n"
                                       "A;x\r\n0123456789\r\n"
                                       "0\r\nTrailer: x\r\nOther: y\r\n\r\n"
                                       "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";
    struct client c;

    start(&limits);
    client_open(&c);
    client_send(&c, text, strlen(text), pieces[_i]);
    client_await(&c, 2);
    expect(&c, "hello01234567890123456789", 25);
    expect(&c, "", 0);
    ck_assert_int_eq(requests, 2);
    client_close(&c);
    stop();
}
END_TEST

START_TEST(large_chunked_body)
{
    static const struct server_limits limits = {.body_max = BODY_MAX};
    char *body = make_body(BODY_MAX), head[16];
    struct client c;

    start(&limits);
    client_open(&c);
    client_say(&c, CHUNKED);
    for (size_t at = 0; at < BODY_MAX; at += 65536) {
        client_say(&c, "10000\r\n");
        client_send(&c, body + at, 65536, 65536);
        client_say(&c, "\r\n");
    }
    snprintf(head, sizeof(head), "0\r\n\r\n");
    client_say(&c, head);
    client_await(&c, 1);
    expect(&c, body, BODY_MAX);
    client_close(&c);
    stop();
    free(body);
}
END_TEST

struct bad {
    int status;
    const char *text;
};

static const struct bad bads[] = {
    {413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"},
    {413,
     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000000\r\n\r\n"},
    {413, CHUNKED "65\r\n"},
    {413, CHUNKED "32\r\n0123456789012345678901234567890123456789"
                  "0123456789\r\n33\r\n"},
    {413, CHUNKED "fffffffffffffffff\r\n"},
    {400, CHUNKED "\r\n"},
    {400, CHUNKED ";x\r\n"},
    {400, CHUNKED "x\r\n"},
    {400, CHUNKED "-1\r\n"},
    {400, CHUNKED "0x5\r\nhello\r\n"},
    {400, CHUNKED "5\nhello\r\n0\r\n\r\n"},
    {400, CHUNKED "5\r\nhello0\r\n\r\n"},
    {400, CHUNKED "5\r\nhello\n0\r\n\r\n"},
    {400, CHUNKED "5\rhello\r\n"},
};

START_TEST(bad_bodies_are_refused_and_the_connection_ends)
{
    static const struct server_limits limits = {.body_max = 100};
    struct client c;

    start(&limits);
    client_open(&c);
    client_say(&c, bads[_i].text);
    for (int i = 0; i < 1000 && !c.ended; i++) {
        turn();
        client_read(&c);
    }
    ck_assert_int_eq(client_status(&c), bads[_i].status);
    ck_assert(c.ended);
    ck_assert_int_eq(requests, 0);
    client_close(&c);
    stop();
}
END_TEST

START_TEST(endless_framing_is_refused)
{
    static const struct server_limits limits = {.body_max = 100};
    char *text = malloc(20000);
    struct http1_head head = {.chunked = true, .content_length = -1};
    struct server_body b;

    memset(text, '0', 20000);
    ck_assert_int_eq(server_body_init(&b, &head, limits.body_max, true), 0);
    ck_assert_int_eq(server_body_feed(&b, (uint8_t *)text, 20000), -EBADMSG);
    ck_assert_int_eq(server_body_init(&b, &head, limits.body_max, true), 0);
    memcpy(text, "0\r\n", 3);
    ck_assert_int_eq(server_body_feed(&b, (uint8_t *)text, 20000), -EMSGSIZE);
    server_body_release(&b);
    free(text);
}
END_TEST

START_TEST(bodies_are_dropped_unless_asked_for)
{
    static const struct server_limits limits = {0};
    char *body = make_body(1 << 20);
    struct client c;

    start(&limits);
    client_open(&c);
    client_say(&c, "POST / HTTP/1.1\r\nHost: x\r\n"
                   "Content-Length: 1048576\r\n\r\n");
    client_send(&c, body, 1 << 20, 1 << 20);
    client_say(&c, CHUNKED "5\r\nhello\r\n0\r\n\r\n"
                           "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
                           "POST / HTTP/1.1\r\nHost: x\r\n"
                           "Content-Length: 1048577\r\n\r\n");
    client_await(&c, 4);
    ck_assert_int_eq(requests, 3);
    ck_assert_ptr_nonnull(strstr(c.text, "HTTP/1.1 413 "));
    expect(&c, "", 0);
    client_close(&c);
    stop();
    free(body);
}
END_TEST

START_TEST(bodies_together_are_bounded)
{
    static const struct server_limits limits = {.body_max = 100000};
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    char *body = make_body(100000);
    struct client c[5];

    start(&limits);
    for (int i = 0; i < 5; i++) {
        client_open(&c[i]);
        client_say(&c[i], head);
        client_send(&c[i], body, 90000, 90000);
        for (int j = 0; j < 100; j++)
            turn();
    }
    client_await(&c[4], 1);
    ck_assert_int_eq(client_status(&c[4]), 503);
    for (int i = 0; i < 4; i++) {
        client_send(&c[i], body + 90000, 10000, 10000);
        client_await(&c[i], 1);
        expect(&c[i], body, 100000);
    }
    for (int i = 0; i < 5; i++)
        client_close(&c[i]);
    client_open(&c[0]); /* and what was kept is given back */
    client_say(&c[0], head);
    client_send(&c[0], body, 100000, 100000);
    client_await(&c[0], 1);
    ck_assert_int_eq(client_status(&c[0]), 200);
    client_close(&c[0]);
    stop();
    free(body);
}
END_TEST

/* As with a review that takes its time. */
START_TEST(body_is_good_until_the_answer)
{
    static const struct server_limits limits = {.body_max = 1000};
    struct client c;

    start(&limits);
    keep_next = true;
    client_open(&c);
    client_say(&c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
                   "helloGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_ptr_nonnull(kept);
    ck_assert_int_eq(requests, 1);
    keep_next = false;
    if (_i) {
        client_close(&c);
    }
    answer(kept);
    if (!_i) {
        client_await(&c, 2);
        expect(&c, "hello", 5);
        expect(&c, "", 0);
        client_close(&c);
    }
    stop();
}
END_TEST

/* ---- limits -------------------------------------------------------------- */

static const struct server_limits limited[] = {
    {.connections = 5, .untrusted = 50},
    {.connections = 50, .untrusted = 5},
    {.connections = 100}, /* 32 of one address */
};
static const int allowed[] = {5, 5, 32};

START_TEST(connections_are_limited)
{
    struct client c[40];
    int open = 0;

    start(&limited[_i]);
    for (int i = 0; i < COUNT(c); i++) {
        client_open(&c[i]);
        turn();
        turn();
    }
    for (int i = 0; i < COUNT(c); i++) {
        client_read(&c[i]);
        open += !c[i].ended;
    }
    ck_assert_int_eq(open, allowed[_i]);
    for (int i = 0; i < COUNT(c); i++)
        client_close(&c[i]);
    stop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_server");
    TCase *tc = tcase_create("server");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, body_of_a_length_is_given, 0, COUNT(lens));
    tcase_add_loop_test(tc, chunked_body_in_pieces_of_any_size, 0,
                        COUNT(pieces));
    tcase_add_test(tc, large_chunked_body);
    tcase_add_loop_test(tc, bad_bodies_are_refused_and_the_connection_ends, 0,
                        COUNT(bads));
    tcase_add_test(tc, endless_framing_is_refused);
    tcase_add_test(tc, bodies_are_dropped_unless_asked_for);
    tcase_add_test(tc, bodies_together_are_bounded);
    tcase_add_loop_test(tc, body_is_good_until_the_answer, 0, 2);
    tcase_add_loop_test(tc, connections_are_limited, 0, COUNT(limited));
    suite_add_tcase(s, tc);
    return suite_run(s);
}
