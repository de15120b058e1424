/* Unit tests of src/kube/client.c against sockets of this process: what goes
 * over the wire and whom it trusts. The API itself is tested on a cluster. */
#include <check.h>
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/json.h"
#include "kube/client.h"
#include "suite.h"

/* ---- a server for `rounds` connections, one request each ---------------- */

struct server {
    int fd;
    uint16_t port;
    const char *answer;
    int rounds;
    SSL_CTX *tls; /* NULL: plain */
    char request[16384];
    size_t len;
    pthread_t thread;
};

static ssize_t server_read(SSL *ssl, int fd, char *data, size_t len)
{
    return ssl ? SSL_read(ssl, data, (int)len) : read(fd, data, len);
}

static void serve_one(struct server *s, SSL *ssl, int fd)
{
    s->len = 0;
    for (;;) {
        ssize_t n = server_read(ssl, fd, s->request + s->len,
                                sizeof(s->request) - 1 - s->len);

        if (n <= 0)
            return;
        s->len += (size_t)n;
        s->request[s->len] = '\0';
        /* Bodies of the tests end in '}'. */
        if (strstr(s->request, "\r\n\r\n") &&
            (!strstr(s->request, "Content-Length") ||
             s->request[s->len - 1] == '}'))
            break;
    }
    if (ssl)
        SSL_write(ssl, s->answer, (int)strlen(s->answer));
    else if (write(fd, s->answer, strlen(s->answer)) < 0)
        perror("write");
}

static void *server_main(void *arg)
{
    struct server *s = arg;

    for (int i = 0; i < s->rounds; i++) {
        int fd = accept(s->fd, NULL, NULL);
        SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;

        if (ssl)
            SSL_set_fd(ssl, fd);
        if (!ssl || SSL_accept(ssl) == 1)
            serve_one(s, ssl, fd);
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void server_start(struct server *s, const char *answer, int rounds,
                         SSL_CTX *tls)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);

    memset(s, 0, sizeof(*s));
    s->answer = answer;
    s->rounds = rounds;
    s->tls = tls;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(s->fd, 4), 0);
    getsockname(s->fd, (struct sockaddr *)&addr, &len);
    s->port = ntohs(addr.sin_port);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->tls);
}

/* ---- certificates ------------------------------------------------------- */

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    ck_assert_ptr_nonnull(key);
    return key;
}

static X509 *make_self_signed(EVP_PKEY *key, const char *san)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *ext =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ck_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static char *to_pem(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text;
    long len;

    PEM_write_bio_X509(bio, cert);
    len = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

/* A server context for `san` and the PEM that trusts it. */
static SSL_CTX *make_tls(const char *san, char **pem)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = make_key();
    X509 *cert = make_self_signed(key, san);

    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    *pem = to_pem(cert);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

/* ---- one request -------------------------------------------------------- */

static int request(const struct kube_endpoint *ep, const char *method,
                   struct json_object *body, struct json_object **out,
                   struct tp_error *err)
{
    struct kube_client *c = kube_client_create(ep, 5000, err);
    int rc;

    if (!c)
        return err->code;
    rc = kube_request(c, method, "/api/v1/x", NULL, body, out, err);
    kube_client_destroy(c);
    return rc;
}

static void set_url(struct kube_endpoint *ep, const char *scheme,
                    const struct server *s)
{
    memset(ep, 0, sizeof(*ep));
    ck_assert(asprintf(&ep->server, "%s://127.0.0.1:%u/", scheme, s->port) > 0);
    ep->proxy_url = strdup("");
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n"
                         "Connection: close\r\n\r\n{\"kind\":\"Node\"}";

START_TEST(request_carries_method_path_token_and_body)
{
    struct json_object *body = json_tokener_parse("{\"a\":1}"), *out = NULL;
    struct kube_endpoint ep;
    struct tp_error err = {0};
    struct server s;

    server_start(&s, ok, 1, NULL);
    set_url(&ep, "http", &s);
    ep.token = strdup("secret");
    ck_assert_int_eq(request(&ep, "POST", body, &out, &err), 200);
    server_stop(&s);
    ck_assert_str_eq(json_get_str(out, "kind", ""), "Node");
    ck_assert_ptr_nonnull(strstr(s.request, "POST /api/v1/x HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(
        strstr(s.request, "Authorization: Bearer secret\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "\r\n\r\n{\"a\":1}"));
    json_object_put(body);
    json_object_put(out);
    kube_endpoint_release(&ep);
}
END_TEST

START_TEST(token_file_is_read_for_each_request)
{
    char path[] = "/tmp/tp-token-XXXXXX";
    int fd = mkstemp(path);
    struct kube_endpoint ep;
    struct tp_error err = {0};
    struct kube_client *c;
    struct server s;

    server_start(&s, ok, 2, NULL);
    set_url(&ep, "http", &s);
    ep.token_file = strdup(path);
    c = kube_client_create(&ep, 5000, &err);
    ck_assert_int_eq(write(fd, "one\n", 4), 4);
    ck_assert_int_eq(kube_request(c, "GET", "/", NULL, NULL, NULL, &err), 200);
    ck_assert_ptr_nonnull(strstr(s.request, "Bearer one\r\n"));
    ck_assert_int_eq(pwrite(fd, "two\n", 4, 0), 4);
    ck_assert_int_eq(kube_request(c, "GET", "/", NULL, NULL, NULL, &err), 200);
    ck_assert_ptr_nonnull(strstr(s.request, "Bearer two\r\n"));
    server_stop(&s);
    unlink(path);
    ck_assert_int_lt(kube_request(c, "GET", "/", NULL, NULL, NULL, &err), 0);
    ck_assert_int_eq(err.code, -ENOENT);
    kube_client_destroy(c);
    kube_endpoint_release(&ep);
    close(fd);
}
END_TEST

START_TEST(impersonation_headers_and_escaped_extra_keys)
{
    struct kube_endpoint ep;
    struct tp_error err = {0};
    struct server s;

    server_start(&s, ok, 1, NULL);
    set_url(&ep, "http", &s);
    ep.as_user = strdup("alice");
    ep.as_uid = strdup("7");
    ep.as_groups = calloc(3, sizeof(char *));
    ep.as_groups[0] = strdup("dev");
    ep.as_groups[1] = strdup("ops");
    ep.as_extra_json = strdup("{\"a/b\":[\"x\",\"y\"]}");
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), 200);
    server_stop(&s);
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-User: alice\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-Uid: 7\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-Group: dev\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-Group: ops\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-Extra-a%2Fb: x\r\n"));
    ck_assert_ptr_nonnull(strstr(s.request, "Impersonate-Extra-a%2Fb: y\r\n"));
    kube_endpoint_release(&ep);
}
END_TEST

START_TEST(header_injection_by_a_token_is_refused)
{
    struct kube_endpoint ep = {0};
    struct tp_error err = {0};

    ep.server = strdup("http://127.0.0.1:1");
    ep.token = strdup("x\r\nImpersonate-User: root");
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), -EINVAL);
    kube_endpoint_release(&ep);
}
END_TEST

START_TEST(errors_have_a_number_and_a_text)
{
    struct kube_endpoint ep;
    struct tp_error err = {0};
    struct server s;

    server_start(&s, ok, 0, NULL);
    server_stop(&s); /* nobody listens there any more */
    set_url(&ep, "http", &s);
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), -ECONNREFUSED);
    ck_assert(err.text[0] != '\0');
    kube_endpoint_release(&ep);
}
END_TEST

START_TEST(tls_trusts_the_given_ca_only)
{
    struct kube_endpoint ep;
    struct tp_error err = {0};
    char *pem, *other;
    struct server s;

    SSL_CTX_free(make_tls("IP:127.0.0.1", &other));
    server_start(&s, ok, 3, make_tls("IP:127.0.0.1", &pem));
    set_url(&ep, "https", &s);
    ep.ca_pem = strdup(pem);
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), 200);
    free(ep.ca_pem);
    ep.ca_pem = strdup(other);
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), -EKEYREJECTED);
    ep.insecure = true;
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), 200);
    server_stop(&s);
    kube_endpoint_release(&ep);
    free(pem);
    free(other);
}
END_TEST

START_TEST(tls_server_name_replaces_the_host_in_verification_only)
{
    struct kube_endpoint ep;
    struct tp_error err = {0};
    char *pem, host[64];
    struct server s;

    server_start(&s, ok, 2, make_tls("DNS:api.example", &pem));
    set_url(&ep, "https", &s);
    ep.ca_pem = pem;
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), -EKEYREJECTED);
    ep.tls_server_name = strdup("api.example");
    ck_assert_int_eq(request(&ep, "GET", NULL, NULL, &err), 200);
    server_stop(&s);
    snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.port);
    ck_assert_ptr_nonnull(strstr(s.request, host));
    kube_endpoint_release(&ep);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kube_client");
    TCase *tc = tcase_create("client");

    signal(SIGPIPE, SIG_IGN); /* clients that do not like the server */
    tcase_add_test(tc, request_carries_method_path_token_and_body);
    tcase_add_test(tc, token_file_is_read_for_each_request);
    tcase_add_test(tc, impersonation_headers_and_escaped_extra_keys);
    tcase_add_test(tc, header_injection_by_a_token_is_refused);
    tcase_add_test(tc, errors_have_a_number_and_a_text);
    tcase_add_test(tc, tls_trusts_the_given_ca_only);
    tcase_add_test(tc, tls_server_name_replaces_the_host_in_verification_only);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
