/*
 * linkprobe_h2.h - an HTTP/2 client that says what it is told to say
 *
 * Straight on nghttp2: src/tunnel would never send what the tests of the
 * manager's refusals need.
 */
#ifndef TP_E2E_LINKPROBE_H2_H
#define TP_E2E_LINKPROBE_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "net/stream.h"

struct h2;

/* One stream. Lies where the caller wants until h2_forget() or closed. */
struct h2_exchange {
    int32_t id;
    int status;     /* HTTP, 0: no answer yet */
    char error[64]; /* of Proxy-Status, or "" */
    bool closed;
    uint32_t code; /* of the reset, if closed by one */
    struct buf in; /* what came, as far as there is room */
    const void *out;
    size_t out_len;
    bool out_end; /* END_STREAM after it */
};

/* Owns s. NULL if out of memory. */
struct h2 *h2_create(uv_loop_t *loop, struct stream *s);
void h2_destroy(struct h2 *h);

/* Opens a stream; x->out* say what it sends. 0 or a negative nghttp2 error. */
int h2_open(struct h2 *h, struct h2_exchange *x, const nghttp2_nv *nv,
            size_t count);
/* RST_STREAM, and no word about x any more. */
void h2_forget(struct h2 *h, struct h2_exchange *x, uint32_t code);
void h2_exchange_release(struct h2_exchange *x);

/* Bytes that are nghttp2's no longer: what follows on the link is the caller's
 * to make. Returns how many were taken. */
size_t h2_send_raw(struct h2 *h, const void *data, size_t len);

/* NULL, or why the link has ended. */
const char *h2_end(const struct h2 *h);

#endif
