/* conn_tls.c - TLS to an engine, with the files of DOCKER_CERT_PATH */
#include <errno.h>
#include <poll.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "engine/conn_internal.h"

int engine_tls_need(SSL *ssl, int rc)
{
    int saved = errno;

    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return saved ? -saved : -ECONNRESET;
    default:
        return -EPROTO;
    }
}

static int tls_error(const struct engine_target *t, const char *what,
                     struct tp_error *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    return tp_error_set(err, -EPROTO, "Docker at %s: %s: %s", t->url, what,
                        reason ? reason : "failed");
}

static int load_tls_files(SSL_CTX *ctx, const struct engine_target *t,
                          struct tp_error *err)
{
    if (t->ca_file && SSL_CTX_load_verify_locations(ctx, t->ca_file, NULL) != 1)
        return tls_error(t, t->ca_file, err);
    if (!t->ca_file && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return tls_error(t, "system certificates", err);
    if (t->cert_file &&
        SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
        return tls_error(t, t->cert_file, err);
    if (t->key_file &&
        SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1)
        return tls_error(t, t->key_file, err);
    return 0;
}

/* Who must be on the other side: an address or a name. */
static void expect_host(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return;
    SSL_set_tlsext_host_name(ssl, host);
    SSL_set1_host(ssl, host);
}

static int handshake(struct engine_conn *c, const struct engine_target *t,
                     struct tp_error *err)
{
    int64_t deadline = engine_now_ms() + ENGINE_CONNECT_MS;

    for (;;) {
        int rc, need;
        long verdict;

        ERR_clear_error();
        rc = SSL_connect(c->ssl);
        if (rc == 1)
            return 0;
        need = engine_tls_need(c->ssl, rc);
        verdict = SSL_get_verify_result(c->ssl);
        if (need <= 0 && verdict != X509_V_OK)
            return tp_error_set(err, -EPROTO, "Docker at %s: certificate: %s",
                                t->url, X509_verify_cert_error_string(verdict));
        if (need <= 0)
            return tls_error(t, "TLS", err);
        rc =
            engine_conn_wait(c, (short)need, (int)(deadline - engine_now_ms()));
        if (rc < 0)
            return engine_unreachable(t, rc, err);
    }
}

int engine_tls_start(struct engine_conn *c, const struct engine_target *t,
                     struct tp_error *err)
{
    int rc;

    c->ctx = SSL_CTX_new(TLS_client_method());
    if (!c->ctx)
        return tls_error(t, "TLS", err);
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(c->ctx, t->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    ERR_clear_error();
    rc = load_tls_files(c->ctx, t, err);
    if (rc < 0)
        return rc;
    c->ssl = SSL_new(c->ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        return tls_error(t, "TLS", err);
    expect_host(c->ssl, t->host);
    return handshake(c, t, err);
}
