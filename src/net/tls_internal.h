/*
 * tls_internal.h - what tls.c, tls_bio.c, tls_ctx.c and tls_text.c share
 */
#ifndef TP_NET_TLS_INTERNAL_H
#define TP_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/tls.h"

#define TLS_TEXT_SIZE 320

struct tls_ctx {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio_method; /* must outlive every BIO */
    unsigned refs;
};

struct tls_ctx *tls_ctx_retain(struct tls_ctx *ctx);

#define TLS_RECORD_SIZE 16384 /* of plain bytes, RFC 8446 5.1 */
#define TLS_BATCH_SIZE  (8 * TLS_RECORD_SIZE)
#define TLS_BATCH_EXTRA 1024 /* heads and tags of a batch */

/* What lies between SSL and the stream below. */
struct tls_bio {
    struct stream *below;
    struct buf out;  /* encrypted, has not left yet */
    int io_error;    /* of the stream below, met inside SSL */
    int write_error; /* of the stream below, met in tls_bio_flush() */
    bool below_eof;
    bool below_short; /* the last read below took all there was */
    bool collect;     /* what SSL writes waits for tls_bio_flush() */
};

/* The methods of the BIO; owned by the caller, NULL when out of memory. */
BIO_METHOD *tls_bio_method_create(void);

/* Gives ssl (or NULL: false) a BIO on below, which stays the caller's. b must
 * outlive ssl. False when out of memory. */
bool tls_bio_attach(struct tls_bio *b, BIO_METHOD *method, SSL *ssl,
                    struct stream *below);

/* Writes what waits. Returns 0 when all has left, -EAGAIN, or the error, which
 * is kept: reading may go on, what waits is lost. */
int tls_bio_flush(struct tls_bio *b);

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
