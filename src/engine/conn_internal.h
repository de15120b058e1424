/*
 * conn_internal.h - how a connection to an engine is made, between its files
 */
#ifndef TP_ENGINE_CONN_INTERNAL_H
#define TP_ENGINE_CONN_INTERNAL_H

#include <stdint.h>

#include <openssl/ssl.h>

#include "engine/conn.h"

#define ENGINE_CONNECT_MS 15000

struct engine_conn {
    int fd, cancel_fd;
    SSL_CTX *ctx; /* TLS only */
    SSL *ssl;
    pid_t ssh; /* or 0 */
};

/* CLOCK_MONOTONIC */
int64_t engine_now_ms(void);

/* Waits until fd is ready for `events` of poll(2). 0, -ETIMEDOUT, -ECANCELED or
 * another negative errno. */
int engine_conn_wait(const struct engine_conn *c, short events, int timeout_ms);

/* What can be moved now: bytes, or -EAGAIN with the events of poll(2) to wait
 * for, or another negative errno. Reading: 0 at the end. */
ssize_t engine_conn_try_read(struct engine_conn *c, void *data, size_t len,
                             short *events);
ssize_t engine_conn_try_write(struct engine_conn *c, const void *data,
                              size_t len, short *events);

/* Why t cannot be reached, and what to do about it. Returns a negative errno
 * with err filled. */
int engine_unreachable(const struct engine_target *t, int code,
                       struct tp_error *err);

/* TLS on c->fd, with its handshake: 0, or a negative errno with err filled. */
int engine_tls_start(struct engine_conn *c, const struct engine_target *t,
                     struct tp_error *err);

/* What to do after an SSL call that returned rc <= 0: the events to wait for,
 * 0 at a clean end, or a negative errno. */
int engine_tls_need(SSL *ssl, int rc);

#endif
