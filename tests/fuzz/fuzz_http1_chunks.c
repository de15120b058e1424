/* Where a chunked body ends: the same wherever the stream is cut, and where a
 * second parser says, which has all bytes before it. The first byte is the
 * length of the pieces. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/http1_chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the second parser ---- */

#define DIGITS_MAX 15
#define LINE_MAX   8192 /* of an extension, of all trailers */

/* What ends too soon is not bad. */
struct body {
    const uint8_t *p, *end;
    bool bad;
};

static bool skip(struct body *b, const char *text)
{
    for (; *text && b->p < b->end && !b->bad; text++, b->p++)
        b->bad = *b->p != (uint8_t)*text;
    return !*text && !b->bad;
}

/* A line's rest, of at most *room bytes, which becomes that much less. */
static bool skip_line(struct body *b, size_t *room)
{
    for (; b->p < b->end && *b->p != '\r'; b->p++, (*room)--) {
        if (*room == 0 || *b->p == '\n' || *b->p == '\0') {
            b->bad = true;
            return false;
        }
    }
    return skip(b, "\r\n");
}

/* The line of a chunk's size. */
static bool skip_size(struct body *b, uint64_t *value)
{
    size_t n = 0, room = LINE_MAX + 1; /* with the byte that begins it */

    for (*value = 0; b->p < b->end && isxdigit(*b->p); b->p++) {
        if (++n > DIGITS_MAX) {
            b->bad = true;
            return false;
        }
        *value = *value * 16 + (*b->p & 15) + (*b->p > '9' ? 9 : 0);
    }
    if (b->p < b->end && (n == 0 || !memchr("\r; \t", *b->p, 4)))
        b->bad = true;
    return !b->bad && skip_line(b, &room);
}

/* True if the body ends: b->p is behind it then. */
static bool skip_body(struct body *b)
{
    size_t room = LINE_MAX;
    uint64_t n;

    do {
        if (!skip_size(b, &n) || n > (uint64_t)(b->end - b->p))
            return false;
        b->p += n;
    } while (n > 0 && skip(b, "\r\n"));
    if (n > 0)
        return false;
    while (b->p < b->end && *b->p != '\r') {
        if (!skip_line(b, &room))
            return false;
    }
    return skip(b, "\r\n");
}

/* ---- */

/* As http1_chunks_take, with the bytes in pieces. */
static ssize_t take(struct http1_chunks *c, const uint8_t *p, size_t size,
                    size_t piece)
{
    size_t used = 0;

    while (used < size && !c->done) {
        size_t len = size - used < piece ? size - used : piece;
        ssize_t n = http1_chunks_take(c, p + used, len);

        if (n < 0)
            return n;
        if ((size_t)n > len || ((size_t)n < len && !c->done))
            abort();
        used += (size_t)n;
    }
    return (ssize_t)used;
}

/* Nothing more belongs to a body that has ended or was none. */
static void check_over(struct http1_chunks *c, ssize_t rc)
{
    if (c->done && (rc < 0 || http1_chunks_take(c, "0", 1) != 0))
        abort();
    if (rc < 0 && (rc != -EBADMSG || http1_chunks_take(c, "0", 1) != rc))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http1_chunks whole = {0}, cut = {0};
    struct body b = {.p = data + 1, .end = data + size};
    ssize_t wanted, n;
    bool done;

    if (size == 0)
        return 0;
    done = skip_body(&b);
    wanted = b.bad ? -EBADMSG : (ssize_t)(done ? b.p - data : b.end - data) - 1;
    n = take(&whole, data + 1, size - 1, size);
    if (n != wanted || whole.done != done)
        abort();
    check_over(&whole, n);
    n = take(&cut, data + 1, size - 1, (size_t)data[0] + 1);
    if (n != wanted || cut.done != done)
        abort();
    check_over(&cut, n);
    return 0;
}
