/*
 * tls_ctx.c - certificates, keys and whom to trust
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/tls_internal.h"

/* AES-128-GCM first: it is the fastest where there are AES instructions. */
#define SUITES_13                                                              \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"                           \
    "TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_12                                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"               \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"               \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

/* One read() of the socket fetches what link_io.c asks for: eight full records
 * (RFC 8446 5.2: head, type and tag) and what OpenSSL takes to align them. */
#define READ_AHEAD (8 * (16384 + 5 + 1 + 16) + 16)

/* In the form of RFC 7301 3.1. */
static const unsigned char alpn[] = "\x08http/1.1";
#define ALPN_LEN (sizeof(alpn) - 1)

/* OpenSSL would ask on the terminal otherwise. */
static int no_password_cb(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static int alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                   const unsigned char *in, unsigned inlen, void *arg)
{
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, outlen, alpn, ALPN_LEN, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool has_suites(SSL_CTX *c)
{
    return SSL_CTX_set_ciphersuites(c, SUITES_13) == 1 &&
           SSL_CTX_set_cipher_list(c, SUITES_12) == 1 &&
           SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1;
}

static struct tls_ctx *ctx_create(const SSL_METHOD *method,
                                  struct tp_error *err)
{
    struct tls_ctx *ctx = calloc(1, sizeof(*ctx));

    if (!ctx) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    ctx->refs = 1;
    ctx->ssl_ctx = SSL_CTX_new(method);
    ctx->bio_method = tls_bio_method_create();
    if (!ctx->ssl_ctx || !ctx->bio_method || !has_suites(ctx->ssl_ctx)) {
        tp_error_set(err, -ENOMEM, "TLS library: %s", tls_text_reason());
        tls_ctx_destroy(ctx);
        return NULL;
    }
    SSL_CTX_set_mode(ctx->ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx->ssl_ctx, SSL_OP_NO_RENEGOTIATION |
                                          SSL_OP_NO_TICKET |
                                          SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx->ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx->ssl_ctx, 0);
    SSL_CTX_set_read_ahead(ctx->ssl_ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx->ssl_ctx, READ_AHEAD);
    SSL_CTX_set_default_passwd_cb(ctx->ssl_ctx, no_password_cb);
    return ctx;
}

struct tls_ctx *tls_ctx_retain(struct tls_ctx *ctx)
{
    ctx->refs++;
    return ctx;
}

void tls_ctx_destroy(struct tls_ctx *ctx)
{
    if (!ctx || --ctx->refs > 0)
        return;
    SSL_CTX_free(ctx->ssl_ctx);
    BIO_meth_free(ctx->bio_method);
    free(ctx);
}

/* What is done with each certificate of a PEM text. Takes over `cert` when it
 * returns true. */
typedef bool cert_fn(SSL_CTX *c, X509 *cert, unsigned index);

/* Returns how many there were, or a negative errno. */
static int each_cert(SSL_CTX *c, const char *pem, cert_fn *fn, const char *what,
                     struct tp_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    unsigned n = 0;
    X509 *cert;

    ERR_clear_error();
    while (bio && (cert = PEM_read_bio_X509(bio, NULL, no_password_cb, NULL))) {
        if (!fn(c, cert, n)) {
            X509_free(cert);
            BIO_free(bio);
            return tp_error_set(err, -EINVAL, "%s: %s", what,
                                tls_text_reason());
        }
        n++;
    }
    BIO_free(bio);
    if (n == 0) {
        ERR_clear_error();
        return tp_error_set(err, -EINVAL, "%s: no PEM certificate in it", what);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return tp_error_set(err, -EINVAL, "%s: certificate %u: %s", what, n + 1,
                            tls_text_reason());
    ERR_clear_error();
    return (int)n;
}

static bool add_ca(SSL_CTX *c, X509 *cert, unsigned index)
{
    (void)index;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(c), cert) != 1)
        return false;
    X509_free(cert);
    return true;
}

/* The names are what a server sends so that the client can choose. */
static bool add_client_ca(SSL_CTX *c, X509 *cert, unsigned index)
{
    return SSL_CTX_add_client_CA(c, cert) == 1 && add_ca(c, cert, index);
}

static bool add_own(SSL_CTX *c, X509 *cert, unsigned index)
{
    if (index > 0)
        return SSL_CTX_add0_chain_cert(c, cert) == 1;
    if (SSL_CTX_use_certificate(c, cert) != 1)
        return false;
    X509_free(cert);
    return true;
}

static int use_key(SSL_CTX *c, const char *pem, struct tp_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = NULL;
    int rc = 0;

    ERR_clear_error();
    if (bio)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_password_cb, NULL);
    if (!key)
        rc = tp_error_set(err, -EINVAL,
                          strstr(pem, "ENCRYPTED")
                              ? "private key: encrypted keys cannot be used"
                              : "private key: no PEM key in it");
    else if (SSL_CTX_use_PrivateKey(c, key) != 1)
        rc = tp_error_set(err, -EINVAL, "private key: %s", tls_text_reason());
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}

static int use_identity(SSL_CTX *c, const char *cert_pem, const char *key_pem,
                        struct tp_error *err)
{
    int rc;

    if (!cert_pem && !key_pem)
        return 0;
    if (!cert_pem || !key_pem)
        return tp_error_set(err, -EINVAL,
                            "a certificate and its key are needed, not one");
    rc = each_cert(c, cert_pem, add_own, "certificate", err);
    return rc < 0 ? rc : use_key(c, key_pem, err);
}

/* Any certificate of the bundle is an anchor, also an intermediate one: as in
 * Go, for which CA bundles of clusters are written. */
static int use_cas(SSL_CTX *c, const char *pem, cert_fn *fn,
                   struct tp_error *err)
{
    int rc = each_cert(c, pem, fn, "CA certificate", err);

    if (rc > 0)
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c),
                                    X509_V_FLAG_PARTIAL_CHAIN);
    return rc < 0 ? rc : 0;
}

static int set_newest_only(SSL_CTX *c, struct tp_error *err)
{
    return SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1
               ? 0
               : tp_error_set(err, -ENOTSUP, "TLS library: no TLS 1.3");
}

static int setup_client(SSL_CTX *c, const struct tls_client_config *config,
                        struct tp_error *err)
{
    int rc = config->newest_only ? set_newest_only(c, err) : 0;

    if (rc < 0)
        return rc;
    SSL_CTX_set_verify(c, config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       config->insecure ? NULL : tls_text_verify_cb);
    if (SSL_CTX_set_alpn_protos(c, alpn, ALPN_LEN) != 0)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = use_identity(c, config->cert_pem, config->key_pem, err);
    if (rc < 0 || config->insecure)
        return rc;
    if (config->ca_pem) {
        rc = use_cas(c, config->ca_pem, add_ca, err);
        if (rc < 0 || !config->system_too)
            return rc;
    }
    if (SSL_CTX_set_default_verify_paths(c) != 1)
        return tp_error_set(err, -EINVAL, "the system's trust store: %s",
                            tls_text_reason());
    return 0;
}

struct tls_ctx *tls_ctx_create_client(const struct tls_client_config *config,
                                      struct tp_error *err)
{
    struct tls_ctx *ctx = ctx_create(TLS_client_method(), err);

    if (ctx && setup_client(ctx->ssl_ctx, config, err) < 0) {
        tls_ctx_destroy(ctx);
        return NULL;
    }
    return ctx;
}

static int setup_server(SSL_CTX *c, const struct tls_server_config *config,
                        struct tp_error *err)
{
    int rc;

    SSL_CTX_set_alpn_select_cb(c, alpn_cb, NULL);
    if (!config->cert_pem || !config->key_pem)
        return tp_error_set(err, -EINVAL, "a server needs a certificate");
    rc = use_identity(c, config->cert_pem, config->key_pem, err);
    if (rc == 0 && config->newest_only)
        rc = set_newest_only(c, err);
    if (rc < 0)
        return rc;
    if (!config->client_ca_pem) {
        if (config->client_required)
            return tp_error_set(err, -EINVAL,
                                "client certificates need a CA certificate");
        return 0;
    }
    SSL_CTX_set_verify(
        c,
        SSL_VERIFY_PEER |
            (config->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        tls_text_verify_cb);
    return use_cas(c, config->client_ca_pem, add_client_ca, err);
}

struct tls_ctx *tls_ctx_create_server(const struct tls_server_config *config,
                                      struct tp_error *err)
{
    struct tls_ctx *ctx = ctx_create(TLS_server_method(), err);

    if (ctx && setup_server(ctx->ssl_ctx, config, err) < 0) {
        tls_ctx_destroy(ctx);
        return NULL;
    }
    return ctx;
}
