/*
 * tls_internal.h - what tls.c, tls_ctx.c and tls_text.c share
 */
#ifndef TP_NET_TLS_INTERNAL_H
#define TP_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/tls.h"

#define TLS_TEXT_SIZE 320

struct tls_ctx {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio_method; /* tls.c's; must outlive every BIO */
    unsigned refs;
};

struct tls_ctx *tls_ctx_retain(struct tls_ctx *ctx);

/* Defined in tls.c: the methods of the BIO between SSL and the stream. */
BIO_METHOD *tls_bio_method_create(void);

/* OpenSSL's verify callback: on a failure it leaves a text in the buffer that
 * tls_text_attach() tied to the SSL. */
int tls_text_verify_cb(int ok, X509_STORE_CTX *store);

struct tls_text {
    char text[TLS_TEXT_SIZE]; /* "" until something failed */
    const char *name;         /* that is verified, or NULL */
    int code;                 /* negative errno of a refused certificate */
};

void tls_text_attach(SSL *ssl, struct tls_text *text);

/* Explains a fatal error of an SSL_*() call: writes text->text unless it is
 * set and returns a negative errno. io_error: negative errno of the stream
 * below, 0 if it had none; eof: it ended. Empties OpenSSL's error queue. */
int tls_text_explain(struct tls_text *text, int io_error, bool eof);

/* The oldest reason in OpenSSL's error queue, which it empties. */
const char *tls_text_reason(void);

#endif
