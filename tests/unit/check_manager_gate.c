/* The manager's real TLS listener and gate on loopback: who is let in. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/json.h"
#include "manager/api.h"
#include "manager/certificate.h"
#include "manager/frontproxy.h"
#include "manager/gate.h"
#include "manager/links.h"
#include "manager/metrics.h"
#include "net/tls.h"
#include "pki.h"
#include "suite.h"

#define DISCOVERY "GET /apis/connect.tp.internal/v1 HTTP/1.1\r\nHost: x\r\n"

struct fixture {
    uv_loop_t loop;
    struct pki_pair proxy_ca, other_ca, client, wrong_name, wrong_ca;
    struct certificate certificate;
    struct frontproxy rules;
    struct metrics metrics;
    struct gate gate;
    struct links *links;
    struct tls_ctx *tls;
    struct server *server;
    uv_async_t wake;
    uint16_t port;
};

/* One exchange, in a thread of its own. */
struct exchange {
    struct fixture *f;
    const struct pki_pair *client; /* NULL: no certificate */
    const char *request;
    char answer[8192];
    pthread_t thread;
};

static void wake_cb(uv_async_t *async)
{
    uv_stop(async->loop);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK)},
                               .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void use_client(SSL_CTX *ctx, const struct pki_pair *pair)
{
    X509 *cert = pki_load_cert(pair->cert);
    EVP_PKEY *key = pki_load_key(pair->key);

    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void talk(struct exchange *e, SSL *ssl)
{
    size_t used = 0;
    int n;

    if (SSL_connect(ssl) != 1 ||
        SSL_write(ssl, e->request, (int)strlen(e->request)) <= 0)
        return;
    while ((n = SSL_read(ssl, e->answer + used,
                         (int)(sizeof(e->answer) - 1 - used))) > 0)
        used += (size_t)n;
}

static void *exchange_main(void *arg)
{
    struct exchange *e = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = connect_to(e->f->port);
    SSL *ssl;

    if (e->client)
        use_client(ctx, e->client);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    talk(e, ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    uv_async_send(&e->f->wake);
    return NULL;
}

static void run_exchange(struct exchange *e, struct fixture *f,
                         const struct pki_pair *client, const char *request)
{
    memset(e, 0, sizeof(*e));
    e->f = f;
    e->client = client;
    e->request = request;
    ck_assert_int_eq(pthread_create(&e->thread, NULL, exchange_main, e), 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    pthread_join(e->thread, NULL);
}

static void make_rules(struct frontproxy *rules, const char *ca_pem)
{
    struct json_object *map = json_object_new_object();
    struct json_object *data = json_object_new_object();
    struct tp_error err = {0};

    json_put_str(data, "requestheader-client-ca-file", ca_pem);
    json_put_str(data, "requestheader-allowed-names", "[\"front-proxy\"]");
    json_put_str(data, "requestheader-username-headers", "[\"X-Remote-User\"]");
    json_object_object_add(map, "data", data);
    ck_assert_int_eq(frontproxy_parse(rules, map, false, &err), 0);
    json_object_put(map);
}

static void make_tls(struct fixture *f)
{
    static const char *const names[] = {"localhost", NULL};
    struct tls_server_config config = {.client_ca_pem = f->proxy_ca.cert};
    struct tp_error err = {0};

    ck_assert_int_eq(certificate_issue(&f->certificate, f->other_ca.cert,
                                       f->other_ca.key, names, &err),
                     0);
    config.cert_pem = f->certificate.cert_pem;
    config.key_pem = f->certificate.key_pem;
    f->tls = tls_ctx_create_server(&config, &err);
    ck_assert_msg(f->tls != NULL, "%s", err.text);
}

static void setup(struct fixture *f)
{
    struct links_env env = {.loop = &f->loop, .metrics = &f->metrics};
    union sockaddr_any addr;
    struct tp_error err = {0};

    memset(f, 0, sizeof(*f));
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&f->loop);
    uv_async_init(&f->loop, &f->wake, wake_cb);
    pki_make_ca(&f->proxy_ca, "front-proxy-ca");
    pki_make_ca(&f->other_ca, "cluster-ca");
    pki_make_client(&f->client, &f->proxy_ca, "front-proxy");
    pki_make_client(&f->wrong_name, &f->proxy_ca, "system:admin");
    pki_make_client(&f->wrong_ca, &f->other_ca, "front-proxy");
    make_rules(&f->rules, f->proxy_ca.cert);
    make_tls(f);
    f->links = links_create(&env);
    f->gate.links = f->links;
    f->gate.metrics = &f->metrics;
    f->gate.frontproxy = &f->rules;
    gate_init(&f->gate, &f->loop);
    sockaddr_parse(&addr, "127.0.0.1", 0);
    f->server =
        server_create(&f->loop, &addr, true, gate_request_cb, &f->gate, &err);
    ck_assert_msg(f->server != NULL, "%s", err.text);
    server_set_tls(f->server, f->tls, false);
    server_get_addr(f->server, &addr);
    f->port = sockaddr_port(&addr);
}

static void teardown(struct fixture *f)
{
    struct pki_pair *pairs[] = {&f->proxy_ca, &f->other_ca, &f->client,
                                &f->wrong_name, &f->wrong_ca};

    server_close(f->server);
    links_close(f->links);
    uv_close((uv_handle_t *)&f->wake, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&f->loop), 0);
    links_destroy(f->links);
    tls_ctx_destroy(f->tls);
    frontproxy_release(&f->rules);
    certificate_release(&f->certificate);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        pki_release(pairs[i]);
}

static int status_of(const struct exchange *e)
{
    return strncmp(e->answer, "HTTP/1.1 ", 9) ? 0 : atoi(e->answer + 9);
}

static int ask(struct fixture *f, const struct pki_pair *client,
               const char *request)
{
    struct exchange *e = malloc(sizeof(*e));
    int status;

    run_exchange(e, f, client, request);
    status = status_of(e);
    free(e);
    return status;
}

START_TEST(only_the_front_proxy_is_heard)
{
    static const char request[] =
        DISCOVERY "X-Remote-User: admin\r\nConnection: close\r\n\r\n";
    struct fixture f;

    setup(&f);
    ck_assert_int_eq(ask(&f, &f.client, request), 200);
    ck_assert_int_eq(ask(&f, NULL, request), 401);
    ck_assert_int_eq(ask(&f, &f.wrong_name, request), 401);
    ck_assert_int_eq(ask(&f, &f.wrong_ca, request), 0); /* no handshake */
    ck_assert_uint_eq(f.metrics.refused, 2);
    teardown(&f);
}
END_TEST

START_TEST(a_user_must_be_named_once)
{
    struct fixture f;

    setup(&f);
    ck_assert_int_eq(ask(&f, &f.client, DISCOVERY "Connection: close\r\n\r\n"),
                     401);
    ck_assert_int_eq(ask(&f, &f.client,
                         DISCOVERY "X-Remote-User: a\r\nX-Remote-User: b\r\n"
                                   "Connection: close\r\n\r\n"),
                     400);
    teardown(&f);
}
END_TEST

START_TEST(connections_are_kept_and_answer_in_order)
{
    static const char requests[] =
        DISCOVERY "X-Remote-User: a\r\n\r\n"
                  "POST /apis/connect.tp.internal/v1 HTTP/1.1\r\nHost: x\r\n"
                  "X-Remote-User: a\r\nContent-Length: 5\r\n\r\nhello"
                  "GET /nothing HTTP/1.1\r\nHost: x\r\nX-Remote-User: a\r\n"
                  "Connection: close\r\n\r\n";
    struct exchange *e = malloc(sizeof(*e));
    struct fixture f;
    const char *second, *third;

    setup(&f);
    run_exchange(e, &f, &f.client, requests);
    ck_assert_int_eq(status_of(e), 200);
    second = strstr(e->answer, "HTTP/1.1 405");
    ck_assert_ptr_nonnull(second);
    third = strstr(second, "HTTP/1.1 404");
    ck_assert_ptr_nonnull(third);
    ck_assert_ptr_nonnull(strstr(third, "\"kind\":\"Status\""));
    teardown(&f);
    free(e);
}
END_TEST

START_TEST(malformed_and_too_large_heads_are_refused)
{
    char *large = calloc(1, 40000);
    struct fixture f;

    setup(&f);
    ck_assert_int_eq(ask(&f, &f.client, "GET / HTTP/1.1\r\nA : b\r\n\r\n"),
                     400);
    strcpy(large, DISCOVERY "A: ");
    memset(large + strlen(large), 'x', 35000);
    strcat(large, "\r\n\r\n");
    ck_assert_int_eq(ask(&f, &f.client, large), 431);
    teardown(&f);
    free(large);
}
END_TEST

START_TEST(after_a_rotation_the_old_proxy_is_not_heard)
{
    static const char request[] =
        DISCOVERY "X-Remote-User: admin\r\nConnection: close\r\n\r\n";
    struct fixture f;

    setup(&f);
    ck_assert_int_eq(ask(&f, &f.client, request), 200);
    frontproxy_release(&f.rules); /* as when they are not acceptable */
    ck_assert_int_eq(ask(&f, &f.client, request), 401);
    server_set_tls(f.server, NULL, true);
    ck_assert_int_eq(ask(&f, &f.client, request), 0);
    teardown(&f);
}
END_TEST

#define LINK                                                                   \
    "/apis/connect.tp.internal/v1/namespaces/ns/connections/"                  \
    "abcdefghijklmnopqrstuvwxyz/portforward HTTP/1.1\r\nHost: x\r\n"           \
    "X-Remote-User: a\r\nConnection: Upgrade\r\n"
#define WEBSOCKET                                                              \
    "GET " LINK "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"          \
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"                          \
    "Sec-WebSocket-Protocol: "

/* What is an upgrade goes on to the API server, which is not there: 503. */
START_TEST(links_of_both_directions_are_asked_for)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"POST " LINK "Upgrade: tp/1\r\n\r\n", 503},
        {"POST " LINK "Upgrade: tp-incoming/1\r\n\r\n", 503},
        {"POST " LINK "Upgrade: tp-agent/1\r\n\r\n", 400},
        {"GET " LINK "Upgrade: tp-incoming/1\r\n\r\n", 400},
        {WEBSOCKET "v1.link.tp.internal\r\n\r\n", 503},
        {WEBSOCKET "x, v1.incoming.tp.internal\r\n\r\n", 503},
        {WEBSOCKET "v2.incoming.tp.internal\r\n\r\n", 400},
    };
    const struct kube_endpoint nowhere = {
        .server = (char *)(uintptr_t) "https://127.0.0.1:9",
        .proxy_url = (char *)(uintptr_t) "",
    };
    struct fixture f;

    setup(&f);
    f.gate.api = api_create(&f.loop, &nowhere);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char request[1024];

        snprintf(request, sizeof(request), "%.*sConnection: close\r\n\r\n",
                 (int)strlen(rows[i].request) - 2, rows[i].request);
        ck_assert_msg(ask(&f, &f.client, request) == rows[i].status, "%s",
                      request);
    }
    api_close(f.gate.api);
    teardown(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_gate");
    TCase *tc = tcase_create("gate");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, only_the_front_proxy_is_heard);
    tcase_add_test(tc, a_user_must_be_named_once);
    tcase_add_test(tc, connections_are_kept_and_answer_in_order);
    tcase_add_test(tc, malformed_and_too_large_heads_are_refused);
    tcase_add_test(tc, after_a_rotation_the_old_proxy_is_not_heard);
    tcase_add_test(tc, links_of_both_directions_are_asked_for);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
