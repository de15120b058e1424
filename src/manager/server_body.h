/*
 * server_body.h - the body of a request, as it comes in (RFC 9112 6, 7.1)
 *
 * Content-Length or chunked, kept or thrown away, at most max bytes either way.
 * Strict, as http1.h is: whoever reads a body differently from the one in front
 * of it takes the next request from its middle.
 */
#ifndef TP_MANAGER_SERVER_BODY_H
#define TP_MANAGER_SERVER_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/http1.h"

enum server_body_state {
    BODY_COUNTED, /* Content-Length: `left` bytes */
    CHUNK_SIZE,   /* in the line with a chunk's size */
    CHUNK_BYTES,  /* `left` bytes of a chunk */
    CHUNK_END,    /* the CRLF behind them */
    BODY_TRAILER, /* lines that nobody reads, up to an empty one */
    BODY_DONE,
};

struct server_body {
    enum server_body_state state;
    struct buf data; /* kept; when done with a NUL behind it, unless empty */
    size_t max;
    size_t total; /* came, and were announced */
    size_t left;
    size_t line;    /* bytes of the line that is being read */
    size_t trailer; /* bytes of all trailers */
    bool digits, extension, cr;
    bool keep;
};

/* 0, or -EMSGSIZE if the head announces more than max. */
int server_body_init(struct server_body *b, const struct http1_head *head,
                     size_t max, bool keep);
void server_body_release(struct server_body *b);

/* Takes what belongs to the body; returns how many bytes that is. Negative:
 * -EBADMSG, -EMSGSIZE beyond max, -ENOMEM. */
ssize_t server_body_feed(struct server_body *b, const uint8_t *data,
                         size_t len);

#endif
