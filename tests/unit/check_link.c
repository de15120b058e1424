/*
 * check_link.c - an attempt at a link that is refused, in both its forms
 *
 * The API server is a TLS server on loopback that answers the first request by
 * the first text, the second one (the WebSocket fallback) by the second.
 */
#include "check_net.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/sockaddr.h"
#include "daemon/link.h"
#include "daemon/session_config.h"
#include "net/listen.h"
#include "suite.h"

#define FORBIDDEN                                                              \
    "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"             \
    "Content-Length: 76\r\n\r\n"                                               \
    "{\"kind\":\"Status\",\"message\":\"forbidden: User \\\"eve\\\" cannot "   \
    "get connections\"}"
#define FORBIDDEN_TEXT "forbidden: User \"eve\" cannot get connections"
#define NOT_ALLOWED                                                            \
    "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 7\r\n\r\nno POST"
#define NO_UPGRADE   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define UNAUTHORIZED "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
#define MISSING                                                                \
    "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 page not found\n"

struct trial {
    uv_loop_t *loop;
    struct identity ca;
    struct tls_ctx *server_ctx;
    struct listener *listener;
    union sockaddr_any addr;
    struct stream *stream;  /* of the request that is being answered */
    const char *answers[2]; /* of the first and of the second request */
    char heads[2][4096];
    size_t count, head_len;
    struct link *link;
    struct link_failure failure;
    bool failed;
    const struct link_direct *direct; /* NULL: an ordinary link */
    bool foreign;                     /* the server is not to be trusted */
};

/* ---- the server ---- */

static void event_cb(void *arg, unsigned events)
{
    struct trial *t = arg;
    char *head = t->heads[t->count];
    const char *answer = t->answers[t->count];

    (void)events;
    while (t->head_len < sizeof(t->heads[0]) - 1 &&
           stream_read(t->stream, head + t->head_len, 1) == 1)
        t->head_len++;
    if (!strstr(head, "\r\n\r\n"))
        return;
    ck_assert_int_eq(stream_write(t->stream, answer, strlen(answer)),
                     (ssize_t)strlen(answer));
    t->count++;
    t->head_len = 0;
    stream_close(t->stream, NULL, NULL);
    t->stream = NULL;
}

static void tls_cb(void *arg, int status, const char *text)
{
    struct trial *t = arg;

    if (t->foreign) {
        ck_assert_int_lt(status, 0);
        stream_close(t->stream, NULL, NULL);
        t->stream = NULL;
        return;
    }
    ck_assert_msg(status == 0, "%s", text);
    stream_set_callback(t->stream, event_cb, t);
    stream_want(t->stream, STREAM_READABLE);
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct trial *t = arg;

    (void)peer;
    ck_assert_ptr_null(t->stream);
    ck_assert_uint_lt(t->count, 2);
    t->stream = tls_accept(t->server_ctx, stream_create_fd(t->loop, fd), 20000,
                           tls_cb, t);
}

static void server_start(struct trial *t)
{
    t->loop = loop_create();
    identity_make(&t->ca, NULL, "ca", "IP:127.0.0.1", -HOUR, HOUR);
    t->server_ctx = tls_ctx_create_server(
        &(struct tls_server_config){.cert_pem = t->ca.cert,
                                    .key_pem = t->ca.key},
        NULL);
    sockaddr_parse(&t->addr, "127.0.0.1", 0);
    t->listener = listener_create(t->loop, &t->addr, 4, accept_cb, t, NULL);
    ck_assert_ptr_nonnull(t->listener);
    listener_get_addr(t->listener, &t->addr);
}

/* ---- the link ---- */

static void ready_cb(void *arg, struct json_object *hello)
{
    (void)arg;
    (void)hello;
    ck_abort_msg("ready");
}

static void failed_cb(void *arg, const struct link_failure *f)
{
    struct trial *t = arg;

    t->failure = *f;
    t->failed = true;
}

static void event_line_cb(void *arg, struct json_object *event)
{
    (void)arg;
    (void)event;
    ck_abort_msg("event");
}

static void closed_cb(void *arg, const char *why)
{
    (void)arg;
    ck_abort_msg("closed: %s", why);
}

static const struct link_ops ops = {
    .ready_cb = ready_cb,
    .failed_cb = failed_cb,
    .event_cb = event_line_cb,
    .closed_cb = closed_cb,
};

static struct json_object *make_session(const struct trial *t)
{
    struct json_object *session = json_object_new_object();
    struct json_object *server = json_object_new_object();

    json_put_str(session, "namespace", "team");
    json_put_str(session, "ca", t->ca.cert);
    json_put_str(session, "token", "t0k");
    json_put_str(server, "host", "127.0.0.1");
    json_object_object_add(server, "port",
                           json_object_new_int(sockaddr_port(&t->addr)));
    json_put_str(server, "url", "https://127.0.0.1");
    json_object_object_add(session, "server", server);
    return session;
}

/* One attempt at a link; what it fails with is in t->failure. */
static void attempt_again(struct trial *t)
{
    cleanup_json struct json_object *json = NULL;
    struct session_config session;
    struct link_config config = {.session = &session,
                                 .name = "abcdefghijklmnopqrstuvwxyz"};
    struct tp_error err = {0};

    config.direct = t->direct;
    config.direction = t->direct ? LINK_DIRECT : LINK_OUTGOING;
    json = make_session(t);
    ck_assert_msg(session_config_parse(&session, json, &err) == 0, "%s",
                  err.text);
    t->link = link_create(t->loop, &config, &ops, t, &err);
    ck_assert_msg(t->link != NULL, "%s", err.text);
    loop_until(t->loop, &t->failed);
    link_destroy(t->link);
    session_config_release(&session);
    listener_close(t->listener);
    tls_ctx_destroy(t->server_ctx);
    loop_destroy(t->loop);
    identity_release(&t->ca);
}

static void attempt(struct trial *t, const char *first, const char *second)
{
    memset(t, 0, sizeof(*t));
    t->answers[0] = first;
    t->answers[1] = second;
    server_start(t);
    attempt_again(t);
}

/* A direct link to the same server, which is trusted by `ca`; NULL: its own. */
static void attempt_direct(struct trial *t, const char *ca,
                           const char *server_name)
{
    struct link_direct direct = {
        .host = "127.0.0.1", .server_name = server_name, .ticket = "body.code"};

    memset(t, 0, sizeof(*t));
    t->answers[0] = NOT_ALLOWED;
    t->foreign = ca || strcmp(server_name, "127.0.0.1") != 0;
    server_start(t);
    direct.ca_pem = ca ? ca : t->ca.cert;
    direct.port = sockaddr_port(&t->addr);
    t->direct = &direct;
    attempt_again(t);
    t->direct = NULL;
}

START_TEST(a_direct_link_shows_its_ticket_and_no_credential)
{
    struct trial t;

    attempt_direct(&t, NULL, "127.0.0.1");
    ck_assert_uint_eq(t.count, 1); /* no WebSocket is tried */
    ck_assert_ptr_nonnull(strstr(t.heads[0], "POST /apis/connect.tp.internal"));
    ck_assert_ptr_nonnull(strstr(t.heads[0], "\r\nUpgrade: tp-direct/1\r\n"));
    ck_assert_ptr_nonnull(
        strstr(t.heads[0], "\r\nAuthorization: Tp-Ticket body.code\r\n"));
    ck_assert_ptr_null(strstr(t.heads[0], "t0k"));
}
END_TEST

/* SECURITY 15: not a byte after the handshake. */
START_TEST(a_foreign_server_gets_no_ticket)
{
    struct identity other;
    struct trial t;

    identity_make(&other, NULL, "other", "IP:127.0.0.1", -HOUR, HOUR);
    attempt_direct(&t, _i == 0 ? other.cert : NULL,
                   _i == 0 ? "127.0.0.1" : "tp-manager.tp-system.svc");
    ck_assert_uint_eq(t.count, 0);
    ck_assert_str_eq(t.heads[0], "");
    ck_assert(t.failed);
    identity_release(&other);
}
END_TEST

START_TEST(a_direct_link_without_an_authority_is_not_made)
{
    struct link_direct direct = {.host = "127.0.0.1",
                                 .port = 1,
                                 .ca_pem = "",
                                 .server_name = "x",
                                 .ticket = "t"};
    struct link_config config = {
        .direction = LINK_DIRECT, .direct = &direct, .name = "n"};
    struct session_config session = {
        .host = "h", .path = "", .namespace = "team"};
    struct tp_error err = {0};
    uv_loop_t *loop = loop_create();

    config.session = &session;
    ck_assert_ptr_null(link_create(loop, &config, &ops, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "how it is verified"));
    direct.ca_pem = "x";
    direct.ticket = "a\r\nX-Remote-User: root";
    ck_assert_ptr_null(link_create(loop, &config, &ops, NULL, &err));
    loop_destroy(loop);
}
END_TEST

START_TEST(fallback_asks_for_a_websocket)
{
    struct trial t;

    attempt(&t, NOT_ALLOWED, FORBIDDEN);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_ptr_nonnull(strstr(t.heads[0], "POST /apis/connect.tp.internal"));
    ck_assert_ptr_nonnull(strstr(t.heads[0], "\r\nUpgrade: tp/1\r\n"));
    ck_assert_ptr_nonnull(strstr(t.heads[1], "GET /apis/connect.tp.internal"));
    ck_assert_ptr_nonnull(strstr(t.heads[1], "\r\nUpgrade: websocket\r\n"));
    ck_assert_ptr_nonnull(strstr(
        t.heads[1], "\r\nSec-WebSocket-Protocol: v1.link.tp.internal\r\n"));
    ck_assert_ptr_nonnull(
        strstr(t.heads[1], "\r\nAuthorization: Bearer t0k\r\n"));
}
END_TEST

/* The same refusal, whichever of the two requests gets it. */
START_TEST(refusal_of_the_fallback_is_as_clear_as_the_first_ones)
{
    static const struct {
        const char *answer, *code, *text;
        bool permanent;
    } cases[] = {
        {FORBIDDEN, "refused", FORBIDDEN_TEXT, true},
        {MISSING, "not-installed", "tp helm install", true},
        {UNAUTHORIZED, "unauthorized", "credentials", false},
    };
    struct link_failure direct;
    struct trial t;

    attempt(&t, cases[_i].answer, NULL);
    ck_assert_uint_eq(t.count, 1); /* it is final: no other form is tried */
    direct = t.failure;
    ck_assert_str_eq(direct.code, cases[_i].code);
    ck_assert_int_eq(direct.permanent, cases[_i].permanent);
    ck_assert_ptr_nonnull(strstr(direct.text, cases[_i].text));
    attempt(&t, _i == 0 ? NO_UPGRADE : NOT_ALLOWED, cases[_i].answer);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_str_eq(t.failure.code, direct.code);
    ck_assert_str_eq(t.failure.text, direct.text);
    ck_assert_int_eq(t.failure.permanent, direct.permanent);
    ck_assert_int_eq(t.failure.unauthorized, direct.unauthorized);
    ck_assert(t.failure.from_server);
}
END_TEST

START_TEST(where_neither_form_goes_the_first_answer_is_told)
{
    struct trial t;

    attempt(&t, NOT_ALLOWED, NO_UPGRADE);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_str_eq(t.failure.code, "unreachable");
    ck_assert_str_eq(t.failure.text,
                     "the upgrade was answered by HTTP status 405: no POST");
    ck_assert(!t.failure.permanent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tc = tcase_create("refusals");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, fallback_asks_for_a_websocket);
    tcase_add_loop_test(
        tc, refusal_of_the_fallback_is_as_clear_as_the_first_ones, 0, 3);
    tcase_add_test(tc, a_direct_link_shows_its_ticket_and_no_credential);
    tcase_add_loop_test(tc, a_foreign_server_gets_no_ticket, 0, 2);
    tcase_add_test(tc, a_direct_link_without_an_authority_is_not_made);
    tcase_add_test(tc, where_neither_form_goes_the_first_answer_is_told);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
