/*
 * http.h - HTTP/1.1 on one connection to an engine (RFC 9112)
 *
 * One request, one reply at a time. A reply's body is read in pieces; once it
 * is at its end the connection may be used again if the reply allows it.
 */
#ifndef TP_ENGINE_HTTP_H
#define TP_ENGINE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "engine/conn.h"
#include "net/http1.h"

struct engine_request {
    const char *method, *path;
    const char *type;     /* Content-Type, or NULL */
    const char *upgrade;  /* value of Upgrade, or NULL */
    const void *body;     /* or NULL */
    size_t length;        /* of the body, which may be written later */
    bool send_body_later; /* only the head is sent */
};

enum engine_body { BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_END };

struct engine_reply {
    struct engine_conn *conn; /* borrowed */
    struct http1_head head;
    struct buf in; /* read, not yet taken */
    enum engine_body kind;
    uint64_t left; /* of the body or the chunk */
    bool chunk_open, ended;
    int timeout_ms;
};

/* 0 or a negative errno. */
int engine_http_send(struct engine_conn *c, const struct engine_request *req,
                     int timeout_ms);

/* Reads the head (1xx other than 101 are skipped). 0, or a negative errno;
 * -ECONNRESET: the peer closed before it answered. r must be released after
 * success. */
int engine_http_receive(struct engine_conn *c, struct engine_reply *r,
                        int timeout_ms);

/* > 0 bytes of the body, 0 at its end, or a negative errno. */
ssize_t engine_http_read(struct engine_reply *r, void *data, size_t len);

/* The whole body, NUL-terminated and owned; at most max bytes. */
int engine_http_read_all(struct engine_reply *r, size_t max, char **out,
                         size_t *len);

bool engine_http_reusable(const struct engine_reply *r);
void engine_http_release(struct engine_reply *r);

#endif
