/*
 * tls.c - TLS as a layer on a stream
 *
 * Below SSL is a BIO of our own (tls_bio.c) that reads and writes the stream
 * below directly.
 *
 * Reading: OpenSSL's read-ahead fetches up to eight records into
 * its own buffer. Bytes that wait there make no event of the socket; while
 * `pending` says so and the user wants to read, an idle handle brings the
 * event. It is also how an error or the end is announced.
 *
 * The user is only ever called from the loop, never from inside SSL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/sockaddr.h"
#include "net/stream_internal.h"
#include "net/tls_internal.h"

enum tls_state {
    TLS_HANDSHAKE, /* read and write say -EAGAIN */
    TLS_OPEN,
    TLS_FAILED, /* `error` is what read and write say */
};

struct tls {
    struct stream base;
    struct tls_bio bio;
    struct tls_ctx *ctx;
    SSL *ssl;
    uv_idle_t idle;
    uv_timer_t timer;
    struct tls_text text;
    tls_handshake_cb *cb;
    void *cb_arg;
    enum tls_state state;
    unsigned wanted;
    unsigned closing;  /* parts that are not closed yet */
    int error;         /* negative errno, TLS_FAILED */
    bool read_blocked; /* an answer that SSL gives must leave first */
    bool pending;      /* read() has something that makes no event below */
    bool eof;
    bool shut; /* close_notify is sent */
    char *name;
};

static const struct stream_ops tls_ops;

/* --- events --------------------------------------------------------------- */

static void idle_cb(uv_idle_t *idle);

static void tls_update(struct tls *t)
{
    unsigned below = t->wanted;

    if (t->closing)
        return;
    if (t->state == TLS_HANDSHAKE)
        below = STREAM_READABLE;
    if (t->state == TLS_FAILED)
        below = 0;
    if (t->read_blocked)
        below &= ~(unsigned)STREAM_READABLE;
    if (buf_used(&t->bio.out) > 0 && t->state != TLS_FAILED)
        below |= STREAM_WRITABLE;
    stream_want(t->bio.below, below);
    if ((t->pending && t->wanted & STREAM_READABLE) ||
        (t->state == TLS_FAILED && t->wanted))
        uv_idle_start(&t->idle, idle_cb);
    else
        uv_idle_stop(&t->idle);
}

static void tls_fail(struct tls *t, int error)
{
    t->state = TLS_FAILED;
    t->error = error;
}

/* After an SSL call that did not succeed: 0 (it ended in order), -EAGAIN, or
 * the error, which is final. */
static int tls_result(struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        ERR_clear_error();
        return 0;
    default:
        return tls_text_explain(&t->text, t->bio.io_error, t->bio.below_eof);
    }
}

/* --- the handshake -------------------------------------------------------- */

static void handshake_end(struct tls *t, int status)
{
    uv_timer_stop(&t->timer);
    if (status < 0)
        tls_fail(t, status);
    else
        t->state = TLS_OPEN;
    t->pending = status < 0 || SSL_has_pending(t->ssl);
    t->cb(t->cb_arg, status, status < 0 ? t->text.text : NULL);
    tls_update(t);
}

static void handshake_step(struct tls *t)
{
    int rc, status = 0;

    ERR_clear_error();
    t->bio.below_short = false;
    t->bio.collect = true;
    rc = SSL_do_handshake(t->ssl);
    t->bio.collect = false;
    if (rc != 1) {
        status = tls_result(t, rc);
        if (status == 0) /* close_notify */
            status = tls_text_explain(&t->text, 0, true);
    }
    rc = tls_bio_flush(&t->bio); /* also an alert */
    if (status == 0 && rc < 0 && rc != -EAGAIN)
        status = tls_text_explain(&t->text, rc, false);
    if (status == -EAGAIN)
        tls_update(t);
    else
        handshake_end(t, status);
}

static void timer_cb(uv_timer_t *timer)
{
    struct tls *t = timer->data;

    snprintf(t->text.text, sizeof(t->text.text), "the handshake timed out");
    handshake_end(t, -ETIMEDOUT);
}

static void idle_cb(uv_idle_t *idle)
{
    struct tls *t = idle->data;

    if (t->state == TLS_HANDSHAKE) {
        uv_idle_stop(idle);
        handshake_step(t);
        return;
    }
    if (t->state == TLS_FAILED)
        stream_emit(&t->base, t->wanted);
    else
        stream_emit(&t->base, t->wanted & STREAM_READABLE);
    tls_update(t);
}

static void below_cb(void *arg, unsigned events)
{
    struct tls *t = arg;
    unsigned fired = events & t->wanted;

    if (t->state == TLS_HANDSHAKE) {
        handshake_step(t);
        return;
    }
    if (events & STREAM_WRITABLE) {
        if (tls_bio_flush(&t->bio) == -EAGAIN)
            fired &= ~(unsigned)STREAM_WRITABLE;
        else if (t->read_blocked)
            fired |= t->wanted & STREAM_READABLE;
    }
    stream_emit(&t->base, fired);
    tls_update(t);
}

/* --- the stream ----------------------------------------------------------- */

static ssize_t tls_read(struct stream *s, void *data, size_t len)
{
    struct tls *t = (struct tls *)s;
    size_t total = 0, n;
    int status = -EAGAIN;

    if (t->state == TLS_HANDSHAKE)
        return -EAGAIN;
    if (t->state == TLS_FAILED)
        return t->error;
    if (t->eof)
        return 0;
    ERR_clear_error();
    t->bio.below_short = false;
    t->pending = false;
    while (total < len) {
        int rc = SSL_read_ex(t->ssl, (char *)data + total, len - total, &n);

        if (rc != 1) {
            status = tls_result(t, rc);
            break;
        }
        total += n;
    }
    t->eof = status == 0;
    t->read_blocked = status == -EAGAIN && total < len &&
                      buf_used(&t->bio.out) > 0 && SSL_want_write(t->ssl);
    if (status < 0 && status != -EAGAIN)
        tls_fail(t, status);
    t->pending = status != -EAGAIN || (total == len && SSL_has_pending(t->ssl));
    tls_update(t);
    return total > 0 ? (ssize_t)total : status;
}

/* Encrypts up to a batch. Returns the bytes taken, -EAGAIN or the error. */
static ssize_t tls_encrypt(struct tls *t, const char *data, size_t len)
{
    size_t total = 0, n;

    while (total < len) {
        size_t part =
            len - total < TLS_RECORD_SIZE ? len - total : TLS_RECORD_SIZE;
        int rc = SSL_write_ex(t->ssl, data + total, part, &n);

        if (rc != 1) {
            int status = tls_result(t, rc);

            if (status != -EAGAIN)
                return status < 0 ? status : -EPIPE;
            break;
        }
        total += n;
    }
    return total > 0 ? (ssize_t)total : -EAGAIN;
}

static ssize_t tls_write(struct stream *s, const void *data, size_t len)
{
    struct tls *t = (struct tls *)s;
    ssize_t n;
    int rc;

    if (t->state == TLS_HANDSHAKE)
        return -EAGAIN;
    if (t->state == TLS_FAILED)
        return t->error;
    if (t->shut)
        return -EPIPE;
    rc = tls_bio_flush(&t->bio);
    if (rc < 0)
        return rc;
    ERR_clear_error();
    if (len > TLS_BATCH_SIZE)
        len = TLS_BATCH_SIZE;
    t->bio.collect = len > TLS_RECORD_SIZE;
    if (t->bio.collect && !buf_reserve(&t->bio.out, len + TLS_BATCH_EXTRA))
        t->bio.collect = false; /* out of memory: one by one will do */
    n = tls_encrypt(t, data, len);
    t->bio.collect = false;
    rc = tls_bio_flush(&t->bio);
    if (n >= 0 && rc < 0 && rc != -EAGAIN)
        n = rc;
    if (n < 0 && n != -EAGAIN)
        tls_fail(t, (int)n);
    tls_update(t);
    return n;
}

static int tls_shutdown(struct stream *s)
{
    struct tls *t = (struct tls *)s;
    int rc;

    if (t->state == TLS_HANDSHAKE)
        return -EAGAIN;
    if (t->state == TLS_FAILED)
        return t->error;
    if (!t->shut) {
        ERR_clear_error();
        if (SSL_shutdown(t->ssl) < 0)
            return tls_result(t, -1);
        t->shut = true;
    }
    rc = tls_bio_flush(&t->bio);
    tls_update(t);
    return rc < 0 ? rc : stream_shutdown(t->bio.below);
}

static void tls_want(struct stream *s, unsigned events)
{
    struct tls *t = (struct tls *)s;

    t->wanted = events;
    if (t->state != TLS_HANDSHAKE)
        tls_update(t);
}

static void part_closed(struct tls *t)
{
    if (--t->closing == 0) {
        free(t->name);
        stream_finish_close(&t->base);
    }
}

static void handle_closed_cb(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void below_closed_cb(void *arg)
{
    part_closed(arg);
}

static void tls_close(struct stream *s)
{
    struct tls *t = (struct tls *)s;

    ERR_clear_error();
    if (t->ssl && t->state == TLS_OPEN && !t->shut)
        (void)SSL_shutdown(t->ssl);
    if (t->state == TLS_OPEN)
        (void)tls_bio_flush(&t->bio);
    ERR_clear_error();
    SSL_free(t->ssl);
    t->ssl = NULL;
    tls_ctx_destroy(t->ctx);
    buf_release(&t->bio.out);
    t->state = TLS_FAILED;
    t->closing = 3;
    uv_close((uv_handle_t *)&t->idle, handle_closed_cb);
    uv_close((uv_handle_t *)&t->timer, handle_closed_cb);
    stream_close(t->bio.below, below_closed_cb, t);
}

static int tls_fd(const struct stream *s)
{
    return stream_fd(((const struct tls *)s)->bio.below);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .want = tls_want,
    .close = tls_close,
    .fd = tls_fd,
};

/* --- birth ---------------------------------------------------------------- */

static bool attach_ssl(struct tls *t, struct stream *below)
{
    t->ssl = SSL_new(t->ctx->ssl_ctx);
    if (!tls_bio_attach(&t->bio, t->ctx->bio_method, t->ssl, below))
        return false;
    tls_text_attach(t->ssl, &t->text);
    return true;
}

/* On failure everything is closed, also `below`. */
static struct tls *tls_create(struct tls_ctx *ctx, struct stream *below)
{
    struct tls *t = calloc(1, sizeof(*t));

    if (!t) {
        stream_close(below, NULL, NULL);
        return NULL;
    }
    stream_init(&t->base, &tls_ops, below->loop);
    t->bio.below = below;
    t->ctx = tls_ctx_retain(ctx);
    uv_idle_init(below->loop, &t->idle);
    uv_timer_init(below->loop, &t->timer);
    t->idle.data = t->timer.data = t;
    if (!attach_ssl(t, below)) {
        ERR_clear_error();
        stream_close(&t->base, NULL, NULL);
        return NULL;
    }
    stream_set_callback(below, below_cb, t);
    stream_want(below, 0);
    return t;
}

static struct stream *tls_start(struct tls *t, unsigned timeout_ms,
                                tls_handshake_cb *cb, void *arg)
{
    t->cb = cb;
    t->cb_arg = arg;
    uv_timer_start(&t->timer, timer_cb, timeout_ms, 0);
    uv_idle_start(&t->idle, idle_cb); /* the first step, from the loop */
    return &t->base;
}

/* Whom to expect: RFC 6125, and RFC 6066 3 (no IP address in SNI). */
static bool set_server_name(struct tls *t, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    union sockaddr_any addr;
    size_t len = strlen(name);

    t->name = strdup(name);
    if (!t->name)
        return false;
    if (len > 1 && name[len - 1] == '.')
        t->name[len - 1] = '\0';
    t->text.name = t->name;
    if (sockaddr_parse(&addr, t->name, 0) == 0)
        return X509_VERIFY_PARAM_set1_ip_asc(param, t->name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, t->name, 0) == 1 &&
           SSL_set_tlsext_host_name(t->ssl, t->name) == 1;
}

struct stream *tls_connect(struct tls_ctx *ctx, struct stream *below,
                           const char *server_name, unsigned timeout_ms,
                           tls_handshake_cb *cb, void *arg)
{
    struct tls *t = tls_create(ctx, below);

    if (!t)
        return NULL;
    if (!set_server_name(t, server_name)) {
        ERR_clear_error();
        stream_close(&t->base, NULL, NULL);
        return NULL;
    }
    SSL_set_connect_state(t->ssl);
    return tls_start(t, timeout_ms, cb, arg);
}

struct stream *tls_accept(struct tls_ctx *ctx, struct stream *below,
                          unsigned timeout_ms, tls_handshake_cb *cb, void *arg)
{
    struct tls *t = tls_create(ctx, below);

    if (!t)
        return NULL;
    SSL_set_accept_state(t->ssl);
    return tls_start(t, timeout_ms, cb, arg);
}

/* The only CN of the certificate, without NUL bytes in it; else -ENOENT. */
static int common_name(X509 *cert, char *name, size_t size)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len, rc = -ENOENT;

    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return -ENOENT;
    len = ASN1_STRING_to_UTF8(
        &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0 && (size_t)len < size && strlen((char *)text) == (size_t)len) {
        memcpy(name, text, (size_t)len + 1);
        rc = 0;
    }
    OPENSSL_free(text);
    return rc;
}

int tls_peer_common_name(const struct stream *s, char *name, size_t size)
{
    const struct tls *t = (const struct tls *)s;
    X509 *cert;

    if (s->ops != &tls_ops || t->state != TLS_OPEN ||
        SSL_get_verify_mode(t->ssl) == SSL_VERIFY_NONE ||
        SSL_get_verify_result(t->ssl) != X509_V_OK)
        return -ENOENT;
    cert = SSL_get0_peer_certificate(t->ssl);
    return cert ? common_name(cert, name, size) : -ENOENT;
}

const char *tls_error_text(const struct stream *s)
{
    const struct tls *t = (const struct tls *)s;

    if (s->ops != &tls_ops || !t->text.text[0])
        return NULL;
    return t->text.text;
}
