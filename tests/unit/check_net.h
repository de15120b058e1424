/*
 * check_net.h - what the tests of src/net share: a loop, sockets on loopback,
 * certificates, and a transfer in both directions
 */
#ifndef TP_CHECK_NET_H
#define TP_CHECK_NET_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <uv.h>

#include "net/stream.h"
#include "net/tls.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Suite *net_stream_suite(void);
Suite *net_http1_suite(void);
Suite *net_tls_suite(void);
Suite *net_websocket_suite(void);
Suite *net_dial_suite(void);

/* --- loop and sockets ----------------------------------------------------- */

uv_loop_t *loop_create(void);
/* Runs until every handle is closed, then closes and frees the loop. */
void loop_destroy(uv_loop_t *loop);
/* Turns the loop until *flag is true. */
void loop_until(uv_loop_t *loop, const bool *flag);

/* Two connected TCP sockets, non-blocking. buf_size 0: as the system does. */
void tcp_pair(int fds[2], int buf_size);
/* Two streams on such sockets. */
void stream_pair(uv_loop_t *loop, struct stream *s[2], int buf_size);
/* Reads or writes all of it on a non-blocking socket, while the loop turns. */
void fd_write_all(uv_loop_t *loop, int fd, const void *data, size_t len);
void fd_read_all(uv_loop_t *loop, int fd, void *data, size_t len);

/* --- certificates --------------------------------------------------------- */

struct identity {
    char *cert; /* PEM */
    char *key;
    X509 *x509;
    EVP_PKEY *pkey;
};

/* ca NULL: self-signed and a CA. san as in openssl.cnf ("DNS:a,IP:127.0.0.1")
 * or NULL. Valid from `from` to `to` seconds from now. */
void identity_make(struct identity *id, const struct identity *ca,
                   const char *cn, const char *san, long from, long to);
void identity_release(struct identity *id);

#define HOUR 3600

/* --- a transfer ----------------------------------------------------------- */

/* One side: sends `size` pseudo-random bytes in random pieces, ends its
 * direction, and hashes what it gets. */
struct endpoint {
    struct stream *stream;
    uint64_t seed;
    uint64_t data_state, size_state; /* of the two generators */
    size_t size, sent, received;
    size_t max_read;
    bool after_eof; /* do not send before the peer ended */
    bool eof, shut, done;
    int error;
    unsigned eagain; /* how often writing had to wait */
    uint8_t chunk[200000];
    size_t chunk_pos, chunk_len;
    EVP_MD_CTX *out_hash, *in_hash;
};

struct endpoint *endpoint_create(struct stream *s, uint64_t seed, size_t size);
void endpoint_start(struct endpoint *e);
/* Turns the loop until both are done and checks sizes and hashes. */
void endpoints_run(uv_loop_t *loop, struct endpoint *a, struct endpoint *b);
/* Closes the stream as well. */
void endpoint_destroy(struct endpoint *e);

#endif
