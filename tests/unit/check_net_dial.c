/* Unit tests: dialling, against servers on loopback that follow a script. */
#include "check_net.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/sockaddr.h"
#include "net/dial.h"
#include "net/dial_internal.h"
#include "net/http1.h"
#include "net/listen.h"
#include "net/websocket.h"

/* Copies text; an '@' in it becomes value. */
static void substitute(char *out, size_t size, const char *text,
                       const char *value)
{
    const char *at = strchr(text, '@');
    int len = at ? (int)(at - text) : (int)strlen(text);

    ck_assert_int_lt(snprintf(out, size, "%.*s%s%s", len, text, at ? value : "",
                              at ? at + 1 : ""),
                     (int)size);
}

/* --- a server ------------------------------------------------------------- */

/* What the server does with the connection, in order. */
enum step_kind {
    STEP_END,    /* keeps it open and does nothing more */
    STEP_HEAD,   /* reads a request's head */
    STEP_ANSWER, /* writes `text`; an @ becomes Sec-WebSocket-Accept */
    STEP_TLS,    /* does the server's handshake */
    STEP_CLOSE,
};

struct step {
    enum step_kind kind;
    const char *text;
};

struct server {
    uv_loop_t *loop;
    struct listener *listener;
    struct tls_ctx *ctx;
    const struct step *step;
    struct stream *stream;
    union sockaddr_any addr;
    char heads[2][4096]; /* what was asked */
    size_t head_count, head_len;
    char accept[29];
    bool stopped;               /* all steps are done */
    void (*stop_cb)(void *arg); /* at STEP_END */
    void *arg;
};

static void server_run(struct server *v);

static void take_head(struct server *v)
{
    char *text = v->heads[v->head_count];
    struct http1_head head;
    const char *key;

    v->head_count++;
    ck_assert_int_eq(http1_parse(&head, HTTP1_REQUEST, text, v->head_len),
                     (int)v->head_len);
    key = http1_get(&head, "Sec-WebSocket-Key");
    if (key)
        websocket_make_accept(key, v->accept);
    http1_release(&head);
    v->head_len = 0;
    v->step++;
    server_run(v);
}

static void server_event_cb(void *arg, unsigned events)
{
    struct server *v = arg;
    char *text = v->heads[v->head_count];
    ssize_t n;

    (void)events;
    while ((n = stream_read(v->stream, text + v->head_len, 1)) == 1) {
        text[++v->head_len] = '\0';
        if (strstr(text, "\r\n\r\n")) {
            take_head(v);
            return;
        }
    }
    if (n != -EAGAIN)
        stream_want(v->stream, 0);
}

static void server_tls_cb(void *arg, int status, const char *text)
{
    struct server *v = arg;

    (void)text;
    if (status < 0)
        return;
    v->step++;
    server_run(v);
}

static void server_answer(struct server *v)
{
    char text[65536];
    size_t len;

    substitute(text, sizeof(text), v->step->text, v->accept);
    len = strlen(text);
    if (len == 0)
        return;
    ck_assert_int_eq(stream_write(v->stream, text, len), (ssize_t)len);
}

static void server_run(struct server *v)
{
    for (;; v->step++) {
        switch (v->step->kind) {
        case STEP_HEAD:
            stream_set_callback(v->stream, server_event_cb, v);
            stream_want(v->stream, STREAM_READABLE);
            return;
        case STEP_ANSWER:
            server_answer(v);
            break;
        case STEP_TLS:
            v->stream = tls_accept(v->ctx, v->stream, 20000, server_tls_cb, v);
            return;
        case STEP_CLOSE:
            stream_close(v->stream, NULL, NULL);
            v->stream = NULL;
            return;
        case STEP_END:
            v->stopped = true;
            if (v->stop_cb)
                v->stop_cb(v->arg);
            return;
        }
    }
}

static void server_accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct server *v = arg;

    (void)peer;
    ck_assert_ptr_null(v->stream);
    v->stream = stream_create_fd(v->loop, fd);
    server_run(v);
}

static void server_start(struct server *v, uv_loop_t *loop, struct tls_ctx *ctx,
                         const struct step *steps)
{
    memset(v, 0, sizeof(*v));
    v->loop = loop;
    v->ctx = ctx;
    v->step = steps;
    sockaddr_parse(&v->addr, "127.0.0.1", 0);
    v->listener = listener_create(loop, &v->addr, 4, server_accept_cb, v, NULL);
    ck_assert_ptr_nonnull(v->listener);
    listener_get_addr(v->listener, &v->addr);
}

/* --- one dial ------------------------------------------------------------- */

struct trial {
    uv_loop_t *loop;
    struct identity ca;
    struct tls_ctx *client, *server_ctx;
    struct server server;
    struct dial_config config;
    struct dial_proxy proxy;
    struct dial *dial;
    bool done;
    int status, http_status;
    char text[512], body[DIAL_MAX_BODY + 1];
    struct stream *stream;
};

static void result_cb(void *arg, const struct dial_result *result)
{
    struct trial *t = arg;

    ck_assert(!t->done);
    ck_assert_int_eq(result->status == 0, result->stream != NULL);
    t->done = true;
    t->dial = NULL;
    t->status = result->status;
    t->http_status = result->http_status;
    t->stream = result->stream;
    snprintf(t->text, sizeof(t->text), "%s", result->text);
    snprintf(t->body, sizeof(t->body), "%s",
             result->body ? result->body : "(none)");
}

static void trial_create(struct trial *t, const struct step *steps)
{
    memset(t, 0, sizeof(*t));
    t->loop = loop_create();
    identity_make(&t->ca, NULL, "ca", "DNS:host.test,IP:127.0.0.1", -HOUR,
                  HOUR);
    t->client = tls_ctx_create_client(
        &(struct tls_client_config){.ca_pem = t->ca.cert}, NULL);
    t->server_ctx = tls_ctx_create_server(
        &(struct tls_server_config){.cert_pem = t->ca.cert,
                                    .key_pem = t->ca.key},
        NULL);
    server_start(&t->server, t->loop, t->server_ctx, steps);
    t->config.host = "127.0.0.1";
    t->config.port = sockaddr_port(&t->server.addr);
    t->config.timeout_ms = 20000;
}

static void want_upgrade(struct trial *t)
{
    t->config.method = "POST";
    t->config.path = "/link?x=y";
    t->config.upgrade = "tp/1";
    t->config.headers = "Authorization: Bearer secret\r\n";
}

/* The server of this trial is a proxy; the target has only a name. */
static void want_proxy(struct trial *t, const char *authorization)
{
    t->proxy.host = "127.0.0.1";
    t->proxy.port = sockaddr_port(&t->server.addr);
    t->proxy.authorization = authorization;
    t->config.proxy = &t->proxy;
    t->config.host = "host.test";
    t->config.port = 6443;
}

static void trial_run(struct trial *t)
{
    t->dial = dial_start(t->loop, &t->config, result_cb, t);
    ck_assert_ptr_nonnull(t->dial);
    ck_assert(!t->done);
    loop_until(t->loop, &t->done);
}

static void trial_destroy(struct trial *t)
{
    if (t->stream)
        stream_close(t->stream, NULL, NULL);
    if (t->server.stream)
        stream_close(t->server.stream, NULL, NULL);
    listener_close(t->server.listener);
    tls_ctx_destroy(t->client);
    tls_ctx_destroy(t->server_ctx);
    loop_destroy(t->loop);
    identity_release(&t->ca);
}

/* Text that names the server's port: @. */
static void check_text(const struct trial *t, const char *text)
{
    char expected[512], port[8];

    snprintf(port, sizeof(port), "%u", sockaddr_port(&t->server.addr));
    substitute(expected, sizeof(expected), text, port);
    ck_assert_str_eq(t->text, expected);
}

static void check_read(struct trial *t, const char *expected)
{
    size_t want = strlen(expected), got = 0;
    char data[128];

    stream_want(t->stream, STREAM_READABLE);
    while (got < want) {
        ssize_t n = stream_read(t->stream, data + got, want - got);

        if (n == -EAGAIN)
            uv_run(t->loop, UV_RUN_ONCE);
        else
            ck_assert_int_gt(n, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    ck_assert_mem_eq(data, expected, want);
}

/* --- getting there -------------------------------------------------------- */

static const struct step only_accept[] = {{STEP_END, NULL}};

START_TEST(plain_connection_without_http)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    static const struct step steps[] = {{STEP_ANSWER, "hello"},
                                        {STEP_END, NULL}};
    struct trial t;

    trial_create(&t, steps);
    t.config.host = hosts[_i];
    trial_run(&t);
    ck_assert_msg(t.status == 0, "%s", t.text);
    check_read(&t, "hello");
    trial_destroy(&t);
}
END_TEST

START_TEST(refused_connection_names_the_address)
{
    struct trial t;

    trial_create(&t, only_accept);
    listener_close(t.server.listener);
    t.server.listener = NULL;
    trial_run(&t);
    ck_assert_int_eq(t.status, -ECONNREFUSED);
    check_text(&t, "connect to 127.0.0.1:@: Connection refused");
    trial_destroy(&t);
}
END_TEST

START_TEST(unknown_name_is_said)
{
    struct trial t;

    trial_create(&t, only_accept);
    t.config.host = "name.invalid";
    trial_run(&t);
    ck_assert_int_eq(t.status, -EHOSTUNREACH);
    ck_assert(strstr(t.text, "resolve name.invalid: ") == t.text);
    trial_destroy(&t);
}
END_TEST

START_TEST(words_that_would_break_a_request_are_refused)
{
    struct trial t;

    trial_create(&t, only_accept);
    want_upgrade(&t);
    t.config.path = "/x HTTP/1.1\r\nA: b";
    trial_run(&t);
    ck_assert_int_eq(t.status, -EINVAL);
    trial_destroy(&t);
}
END_TEST

START_TEST(tls_verifies_the_name)
{
    static const struct step steps[] = {
        {STEP_TLS, NULL}, {STEP_ANSWER, "hello"}, {STEP_END, NULL}};
    static const struct {
        const char *server_name;
        int status;
        const char *text;
    } rows[] = {
        {NULL, 0, ""},
        {"host.test", 0, ""},
        {"other.test", -EKEYREJECTED,
         "TLS with 127.0.0.1:@: certificate is for host.test, 127.0.0.1, not "
         "for other.test"},
    };
    struct trial t;

    trial_create(&t, steps);
    t.config.tls = t.client;
    t.config.server_name = rows[_i].server_name;
    trial_run(&t);
    ck_assert_int_eq(t.status, rows[_i].status);
    check_text(&t, rows[_i].text);
    if (t.stream)
        check_read(&t, "hello");
    trial_destroy(&t);
}
END_TEST

/* --- the upgrade ---------------------------------------------------------- */

#define SWITCH                                                                 \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\n"  \
    "Upgrade: tp/1\r\n\r\n"

/* Bytes behind the head belong to the stream, with and without TLS. */
START_TEST(upgrade_keeps_what_follows)
{
    static const struct step steps[] = {
        {STEP_TLS, NULL},
        {STEP_HEAD, NULL},
        {STEP_ANSWER, "HTTP/1.1 100 Continue\r\n\r\n" SWITCH "first"},
        {STEP_ANSWER, "second"},
        {STEP_END, NULL}};
    struct trial t;
    char host[64];

    trial_create(&t, _i ? steps : steps + 1);
    want_upgrade(&t);
    t.config.tls = _i ? t.client : NULL;
    trial_run(&t);
    ck_assert_msg(t.status == 0, "%s", t.text);
    check_read(&t, "firstsecond");
    snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", t.config.port);
    ck_assert_ptr_nonnull(strstr(t.server.heads[0], host));
    ck_assert_ptr_nonnull(
        strstr(t.server.heads[0], "POST /link?x=y HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(
        strstr(t.server.heads[0], "\r\nAuthorization: Bearer secret\r\n"));
    trial_destroy(&t);
}
END_TEST

START_TEST(websocket_upgrade_checks_the_accept_key)
{
    static const struct step good[] = {
        {STEP_HEAD, NULL},
        {STEP_ANSWER, "HTTP/1.1 101 Switching Protocols\r\n"
                      "Connection: Upgrade\r\nUpgrade: WebSocket\r\n"
                      "Sec-WebSocket-Accept: @\r\n\r\n"},
        {STEP_END, NULL}};
    static const struct step bad[] = {
        {STEP_HEAD, NULL},
        {STEP_ANSWER, "HTTP/1.1 101 Switching Protocols\r\n"
                      "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Accept: x@\r\n\r\n"},
        {STEP_END, NULL}};
    struct trial t;

    trial_create(&t, _i ? bad : good);
    want_upgrade(&t);
    t.config.method = "GET";
    t.config.upgrade = "websocket";
    trial_run(&t);
    ck_assert_int_eq(t.status, _i ? -EPROTO : 0);
    if (_i)
        check_text(&t, "upgrade at 127.0.0.1:@: its Sec-WebSocket-Accept is "
                       "wrong");
    trial_destroy(&t);
}
END_TEST

#define STATUS_JSON "{\"kind\":\"Status\",\"message\":\"no\"}"

static const struct {
    const char *answer;
    bool close;
    int status, http_status;
    const char *text, *body;
} refusals[] = {
    {"HTTP/1.1 403 Forbidden\r\nContent-Length: 32\r\n\r\n" STATUS_JSON "more",
     false, -EACCES, 403, "127.0.0.1:@ answered 403 Forbidden", STATUS_JSON},
    {"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\n{\"kin\r\n1B;x=y\r\nd\":\"Status\",\"message\":\"no\"}\r\n0\r\n\r\n",
     false, -EACCES, 401, "127.0.0.1:@ answered 401 Unauthorized", STATUS_JSON},
    {"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" STATUS_JSON, true,
     -ENOENT, 404, "127.0.0.1:@ answered 404 Not Found", STATUS_JSON},
    {"HTTP/1.1 503 Oops\x80\r\nContent-Length: 100\r\n\r\ncut", true, -EPROTO,
     503, "127.0.0.1:@ answered 503 Oops?", "cut"},
    {"HTTP/1.1 504 Late\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
     -ETIMEDOUT, 504, "127.0.0.1:@ answered 504 Late", ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, -EPROTO, 200,
     "127.0.0.1:@ answered 200 OK: it did not upgrade the connection", ""},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
     "Upgrade: h2c\r\n\r\n",
     false, -EPROTO, 0,
     "upgrade at 127.0.0.1:@: it switched to another protocol", "(none)"},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, -EBADMSG, 0,
     "127.0.0.1:@ does not answer in HTTP/1.1", "(none)"},
    {"", true, -ECONNRESET, 0,
     "127.0.0.1:@ closed the connection without an answer", "(none)"},
};

START_TEST(refusals_are_explained)
{
    const struct step steps[] = {
        {STEP_HEAD, NULL},
        {STEP_ANSWER, refusals[_i].answer},
        {refusals[_i].close ? STEP_CLOSE : STEP_END, NULL},
    };
    struct trial t;

    trial_create(&t, steps);
    want_upgrade(&t);
    trial_run(&t);
    ck_assert_int_eq(t.status, refusals[_i].status);
    ck_assert_int_eq(t.http_status, refusals[_i].http_status);
    check_text(&t, refusals[_i].text);
    ck_assert_str_eq(t.body, refusals[_i].body);
    trial_destroy(&t);
}
END_TEST

/* A long body is cut; it does not have to end. */
START_TEST(long_body_is_cut)
{
    static char answer[20000];
    const struct step steps[] = {
        {STEP_HEAD, NULL}, {STEP_ANSWER, answer}, {STEP_END, NULL}};
    struct trial t;
    size_t len;

    strcpy(answer, _i ? "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "ffff\r\n"
                      : "HTTP/1.1 500 No\r\nContent-Length: 99999\r\n\r\n");
    len = strlen(answer);
    memset(answer + len, 'x', sizeof(answer) - len - 1);
    trial_create(&t, steps);
    want_upgrade(&t);
    trial_run(&t);
    ck_assert_int_eq(t.http_status, 500);
    ck_assert_uint_eq(strlen(t.body), DIAL_MAX_BODY);
    trial_destroy(&t);
}
END_TEST

/* --- proxies -------------------------------------------------------------- */

START_TEST(proxy_is_passed)
{
    static const struct step steps[] = {
        {STEP_TLS, NULL}, /* an https:// proxy */
        {STEP_HEAD, NULL},
        {STEP_ANSWER, "HTTP/1.1 200 Connection established\r\n\r\n"},
        {STEP_TLS, NULL}, /* the host itself */
        {STEP_HEAD, NULL},
        {STEP_ANSWER, SWITCH "hello"},
        {STEP_END, NULL}};
    struct trial t;

    trial_create(&t, _i ? steps : steps + 1);
    want_upgrade(&t);
    want_proxy(&t, "Basic dTpw");
    t.proxy.tls = _i;
    t.proxy.tls_ctx = t.client;
    t.config.tls = t.client;
    trial_run(&t);
    ck_assert_msg(t.status == 0, "%s", t.text);
    check_read(&t, "hello");
    ck_assert_str_eq(t.server.heads[0],
                     "CONNECT host.test:6443 HTTP/1.1\r\n"
                     "Host: host.test:6443\r\n"
                     "Proxy-Authorization: Basic dTpw\r\n\r\n");
    ck_assert_ptr_null(strstr(t.server.heads[1], "Proxy"));
    trial_destroy(&t);
}
END_TEST

START_TEST(https_proxy_is_verified_by_the_system_store)
{
    static const struct step steps[] = {{STEP_TLS, NULL}, {STEP_END, NULL}};
    struct trial t;

    trial_create(&t, steps);
    want_proxy(&t, NULL);
    t.proxy.tls = true;
    trial_run(&t);
    ck_assert_int_eq(t.status, -EKEYREJECTED);
    ck_assert_ptr_nonnull(strstr(t.text, "TLS with proxy 127.0.0.1:"));
    trial_destroy(&t);
}
END_TEST

START_TEST(proxy_that_wants_credentials)
{
    static const struct step steps[] = {
        {STEP_HEAD, NULL},
        {STEP_ANSWER, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                      "Content-Length: 2\r\n\r\nno"},
        {STEP_END, NULL}};
    static const char *const texts[] = {
        "proxy 127.0.0.1:@ answered 407 Proxy Authentication Required: set "
        "credentials in the proxy URL",
        "proxy 127.0.0.1:@ answered 407 Proxy Authentication Required: the "
        "credentials in the proxy URL were refused"};
    struct trial t;

    trial_create(&t, steps);
    want_proxy(&t, _i ? "Basic eDp5" : NULL);
    trial_run(&t);
    ck_assert_int_eq(t.status, -EACCES);
    ck_assert_int_eq(t.http_status, 407);
    check_text(&t, texts[_i]);
    ck_assert_str_eq(t.body, "no");
    trial_destroy(&t);
}
END_TEST

START_TEST(unreachable_proxy_is_named)
{
    struct trial t;

    trial_create(&t, only_accept);
    listener_close(t.server.listener);
    t.server.listener = NULL;
    want_proxy(&t, NULL);
    trial_run(&t);
    ck_assert_int_eq(t.status, -ECONNREFUSED);
    check_text(&t, "proxy: connect to 127.0.0.1:@: Connection refused");
    trial_destroy(&t);
}
END_TEST

/* --- the end of patience -------------------------------------------------- */

/* The scripts end at every stage; the last one within a refusal's body. */
static const struct step silent_at_once[] = {{STEP_END, NULL}};
static const struct step silent_after_head[] = {{STEP_HEAD, NULL},
                                                {STEP_END, NULL}};
static const struct step silent_in_body[] = {
    {STEP_HEAD, NULL},
    {STEP_ANSWER, "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf"},
    {STEP_END, NULL}};
static const struct step silent_in_tls_answer[] = {
    {STEP_TLS, NULL}, {STEP_HEAD, NULL}, {STEP_END, NULL}};
static const struct step silent_behind_proxy[] = {
    {STEP_HEAD, NULL},
    {STEP_ANSWER, "HTTP/1.1 200 OK\r\n\r\n"},
    {STEP_END, NULL}};

static const struct {
    const struct step *steps;
    bool tls, proxy, proxy_tls;
    int status;
    const char *text;
} stages[] = {
    {silent_at_once, true, false, false, -ETIMEDOUT,
     "TLS with 127.0.0.1:@: the handshake timed out"},
    {silent_after_head, false, false, false, -ETIMEDOUT,
     "127.0.0.1:@ does not answer"},
    {silent_in_tls_answer, true, false, false, -ETIMEDOUT,
     "127.0.0.1:@ does not answer"},
    {silent_in_body, false, false, false, -EACCES,
     "127.0.0.1:@ answered 403 Forbidden"},
    {silent_at_once, true, true, true, -ETIMEDOUT,
     "TLS with proxy 127.0.0.1:@: the handshake timed out"},
    {silent_after_head, true, true, false, -ETIMEDOUT,
     "proxy 127.0.0.1:@ does not answer"},
    {silent_behind_proxy, true, true, false, -ETIMEDOUT,
     "TLS with host.test:6443: the handshake timed out"},
};

static void stage_create(struct trial *t, int i)
{
    trial_create(t, stages[i].steps);
    want_upgrade(t);
    if (stages[i].tls)
        t->config.tls = t->client;
    if (stages[i].proxy)
        want_proxy(t, NULL);
    t->proxy.tls = stages[i].proxy_tls;
    t->proxy.tls_ctx = t->client;
}

START_TEST(every_stage_times_out)
{
    struct trial t;

    stage_create(&t, _i);
    t.config.timeout_ms = 150;
    trial_run(&t);
    ck_assert_int_eq(t.status, stages[_i].status);
    check_text(&t, stages[_i].text);
    if (stages[_i].steps == silent_in_body)
        ck_assert_str_eq(t.body, "half");
    trial_destroy(&t);
}
END_TEST

static void cancel_cb(void *arg)
{
    struct trial *t = arg;

    dial_cancel(t->dial);
    t->dial = NULL;
}

START_TEST(every_stage_can_be_cancelled)
{
    struct trial t;

    stage_create(&t, _i);
    t.server.stop_cb = cancel_cb;
    t.server.arg = &t;
    t.dial = dial_start(t.loop, &t.config, result_cb, &t);
    while (t.dial)
        uv_run(t.loop, UV_RUN_ONCE);
    ck_assert(!t.done);
    trial_destroy(&t); /* turns the loop until nothing is left */
    ck_assert(!t.done);
}
END_TEST

START_TEST(resolving_can_be_cancelled)
{
    struct trial t;

    trial_create(&t, only_accept);
    t.config.host = _i % 2 ? "localhost" : "127.0.0.1";
    t.dial = dial_start(t.loop, &t.config, result_cb, &t);
    if (_i >= 2)
        uv_run(t.loop, UV_RUN_NOWAIT);
    if (!t.done)
        dial_cancel(t.dial);
    trial_destroy(&t);
}
END_TEST

START_TEST(chunks_are_decoded)
{
    static const struct {
        const char *in, *out;
        int rc;
    } rows[] = {
        {"", "", 0},
        {"3", "", 0},
        {"3\r\nab", "ab", 0},
        {"3\r\nabc", "abc", 0},
        {"3\r\nabc\r\n", "abc", 0},
        {"3\r\nabc\r\n0\r\n", "abc", 1},
        {"003;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
         "abc0123456789", 1},
        {"3\r\nabcd\r\n", "abc", -EBADMSG},
        {"x\r\n", "", -EBADMSG},
        {"3\nabc", "", -EBADMSG},
        {"-1\r\n", "", -EBADMSG},
        {"fffffffffffffffff\r\n", "", -EBADMSG},
    };
    char out[16];
    size_t used;

    for (size_t i = 0; i < COUNT(rows); i++) {
        int rc = dial_decode_chunks(rows[i].in, strlen(rows[i].in), out,
                                    sizeof(out), &used);

        ck_assert_int_eq(rc, rows[i].rc);
        ck_assert_uint_eq(used, strlen(rows[i].out));
        ck_assert_mem_eq(out, rows[i].out, used);
    }
}
END_TEST

Suite *net_dial_suite(void)
{
    Suite *s = suite_create("net/dial");
    TCase *tc = tcase_create("dial");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, plain_connection_without_http, 0, 2);
    tcase_add_test(tc, refused_connection_names_the_address);
    tcase_add_test(tc, unknown_name_is_said);
    tcase_add_test(tc, words_that_would_break_a_request_are_refused);
    tcase_add_loop_test(tc, tls_verifies_the_name, 0, 3);
    tcase_add_loop_test(tc, upgrade_keeps_what_follows, 0, 2);
    tcase_add_loop_test(tc, websocket_upgrade_checks_the_accept_key, 0, 2);
    tcase_add_loop_test(tc, refusals_are_explained, 0, COUNT(refusals));
    tcase_add_loop_test(tc, long_body_is_cut, 0, 2);
    tcase_add_loop_test(tc, proxy_is_passed, 0, 2);
    tcase_add_test(tc, https_proxy_is_verified_by_the_system_store);
    tcase_add_loop_test(tc, proxy_that_wants_credentials, 0, 2);
    tcase_add_test(tc, unreachable_proxy_is_named);
    tcase_add_loop_test(tc, every_stage_times_out, 0, COUNT(stages));
    tcase_add_loop_test(tc, every_stage_can_be_cancelled, 0, COUNT(stages));
    tcase_add_loop_test(tc, resolving_can_be_cancelled, 0, 4);
    tcase_add_test(tc, chunks_are_decoded);
    suite_add_tcase(s, tc);
    return s;
}
