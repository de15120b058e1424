/*
 * tls.h - TLS 1.2/1.3 on a stream (OpenSSL 3, RFC 8446)
 *
 * Contexts hold the certificates and the rules who is trusted; there is no
 * option that skips verification of a server except `insecure`, which exists
 * because kubeconfig has `insecure-skip-tls-verify`.
 *
 * Several TLS records are collected into one write() below, and one read()
 * below fetches several (a BIO of our own): at most 128 KiB wait for the
 * socket. An idle stream holds no buffer. stream_shutdown() returns -EAGAIN
 * until all that was written has left; stream_close() does not wait for it.
 *
 * The end of the TCP stream without close_notify is -ECONNRESET: a truncation.
 * ALPN is "http/1.1". A context and its streams belong to one thread.
 */
#ifndef TP_NET_TLS_H
#define TP_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/stream.h"

struct tls_ctx;

/* PEM texts in memory; NULL where not used. Keys never touch a file. */
struct tls_client_config {
    const char *ca_pem;   /* NULL: the system's trust store */
    bool system_too;      /* with ca_pem: the system's store as well */
    const char *cert_pem; /* client certificate chain */
    const char *key_pem;  /* its key */
    bool insecure;        /* do not verify the server */
    bool newest_only;     /* TLS 1.3 */
};

struct tls_server_config {
    const char *cert_pem;
    const char *key_pem;
    const char *client_ca_pem; /* ask for a client certificate; NULL: do not */
    bool client_required;      /* no certificate, no handshake */
    bool newest_only;          /* TLS 1.3 */
};

struct tls_ctx *tls_ctx_create_client(const struct tls_client_config *config,
                                      struct tp_error *err);
struct tls_ctx *tls_ctx_create_server(const struct tls_server_config *config,
                                      struct tp_error *err);
/* Running streams keep what they need. NULL is fine. */
void tls_ctx_destroy(struct tls_ctx *ctx);

/* Called once, from the loop: status 0, or a negative errno with the reason in
 * text. The stream is usable (0) or good for closing only.
 *
 *   -EKEYREJECTED  a certificate is not trusted or is for another name
 *   -EKEYEXPIRED   a certificate is expired or not yet valid
 *   -EPROTO        the peer speaks no TLS, or refused by an alert
 *   -ETIMEDOUT, -ECONNRESET and other errors of the stream below */
typedef void tls_handshake_cb(void *arg, int status, const char *text);

/* Puts TLS on `below`, which it owns from here on (also on failure), and starts
 * the handshake, of at most `timeout_ms`. server_name is for SNI and for
 * verification; an IP literal is verified as an address and not sent. */
struct stream *tls_connect(struct tls_ctx *ctx, struct stream *below,
                           const char *server_name, unsigned timeout_ms,
                           tls_handshake_cb *cb, void *arg);
struct stream *tls_accept(struct tls_ctx *ctx, struct stream *below,
                          unsigned timeout_ms, tls_handshake_cb *cb, void *arg);

/* The verified client certificate's common name, written to `name`; 0, or
 * -ENOENT without one (or if it was not verified). */
int tls_peer_common_name(const struct stream *s, char *name, size_t size);

/* Why the stream failed, one line for a person (it may hold names that the
 * peer's certificate gives), or NULL. In TLS 1.3 a client learns only after
 * the handshake that its own certificate was refused. Borrowed. */
const char *tls_error_text(const struct stream *s);

#endif
