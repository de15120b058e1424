/*
 * http1_chunks.h - where a chunked body ends (RFC 9112 7.1)
 *
 * Strict, as the bytes go on to a server that must see the same end: sizes of
 * hexadecimal digits only, lines that end with CR LF, bounded extensions and
 * trailers.
 */
#ifndef TP_NET_HTTP1_CHUNKS_H
#define TP_NET_HTTP1_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All zeros: at the body's first byte. */
struct http1_chunks {
    int state;
    unsigned digits; /* of the size */
    size_t line;     /* bytes of extensions or trailers so far */
    uint64_t left;   /* of the chunk */
    bool done;       /* the body has ended */
};

/* How many of the next len bytes are the body's: all, unless it ends before
 * them. -EBADMSG: this is no such body. */
ssize_t http1_chunks_take(struct http1_chunks *c, const void *data, size_t len);

#endif
