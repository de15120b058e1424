#include "net/http1_chunks.h"

#include <errno.h>

#define DIGITS_MAX 15   /* the size fits into 60 bits */
#define LINE_MAX   8192 /* of an extension, of all trailers */

enum state {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a trailer's first byte, or the last line's CR */
    TRAILER,
    TRAILER_LF,
    LAST_LF,
};

static int digit(uint8_t ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static int take_size(struct http1_chunks *c, uint8_t ch)
{
    int value = digit(ch);

    if (value >= 0) {
        c->left = c->left << 4 | (uint64_t)value;
        return ++c->digits <= DIGITS_MAX ? SIZE : -EBADMSG;
    }
    if (c->digits == 0)
        return -EBADMSG;
    c->line = 0;
    if (ch == '\r')
        return SIZE_LF;
    return ch == ';' || ch == ' ' || ch == '\t' ? EXTENSION : -EBADMSG;
}

/* A byte of a line whose text does not matter. */
static int take_text(struct http1_chunks *c, uint8_t ch, int state, int end)
{
    if (ch == '\r')
        return end;
    return ++c->line > LINE_MAX || ch == '\n' || ch == '\0' ? -EBADMSG : state;
}

static int expect(uint8_t ch, char wanted, int next)
{
    return ch == (uint8_t)wanted ? next : -EBADMSG;
}

static int take_byte(struct http1_chunks *c, uint8_t ch)
{
    switch ((enum state)c->state) {
    case SIZE:
        return take_size(c, ch);
    case EXTENSION:
        return take_text(c, ch, EXTENSION, SIZE_LF);
    case SIZE_LF:
        c->digits = 0;
        c->line = 0;
        return expect(ch, '\n', c->left ? DATA : TRAILER_FIRST);
    case DATA_CR:
        return expect(ch, '\r', DATA_LF);
    case DATA_LF:
        return expect(ch, '\n', SIZE);
    case TRAILER_FIRST:
        return take_text(c, ch, TRAILER, LAST_LF);
    case TRAILER:
        return take_text(c, ch, TRAILER, TRAILER_LF);
    case TRAILER_LF:
        return expect(ch, '\n', TRAILER_FIRST);
    case LAST_LF:
        c->done = ch == '\n';
        return expect(ch, '\n', LAST_LF);
    case DATA:
        break;
    }
    return -EBADMSG;
}

ssize_t http1_chunks_take(struct http1_chunks *c, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t used = 0;

    while (used < len && !c->done) {
        if (c->state == DATA) {
            size_t n = c->left < len - used ? (size_t)c->left : len - used;

            used += n;
            c->left -= n;
            c->state = c->left ? DATA : DATA_CR;
            continue;
        }
        c->state = take_byte(c, p[used++]);
        if (c->state < 0)
            return -EBADMSG;
    }
    return (ssize_t)used;
}
