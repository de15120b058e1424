/* server_body.c - the body of a request, as it comes in */
#include "manager/server_body.h"

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES    256 /* size and extensions of a chunk */
#define TRAILER_MAX_BYTES 8192

static int finish(struct server_body *b)
{
    b->state = BODY_DONE;
    return b->keep && b->total > 0 ? buf_append(&b->data, "", 1) : 0;
}

int server_body_init(struct server_body *b, const struct http1_head *head,
                     size_t max, bool keep)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
    b->keep = keep;
    buf_init(&b->data, max + 1);
    if (head->chunked) {
        b->state = CHUNK_SIZE;
        return 0;
    }
    if (head->content_length > 0 && (uint64_t)head->content_length > max)
        return -EMSGSIZE;
    b->left = head->content_length > 0 ? (size_t)head->content_length : 0;
    b->total = b->left;
    return b->left == 0 ? finish(b) : 0;
}

void server_body_release(struct server_body *b)
{
    buf_release(&b->data);
}

static int hex_value(uint8_t c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *p = c ? strchr(digits, c) : NULL;
    long value = p ? p - digits : -1;

    return (int)(value > 15 ? value - 6 : value);
}

static int size_digit(struct server_body *b, uint8_t c)
{
    int value = hex_value(c);

    if (value < 0)
        return -EBADMSG;
    b->digits = true;
    b->left = b->left * 16 + (size_t)value;
    return b->left > b->max - b->total ? -EMSGSIZE : 0;
}

/* The LF of a size line. */
static int end_size_line(struct server_body *b)
{
    if (!b->digits)
        return -EBADMSG;
    b->total += b->left;
    b->state = b->left > 0 ? CHUNK_BYTES : BODY_TRAILER;
    b->line = 0;
    b->digits = b->extension = false;
    return 0;
}

static int size_line_text(struct server_body *b, uint8_t c)
{
    if (++b->line > LINE_MAX_BYTES)
        return -EBADMSG;
    if (b->extension)
        return 0;
    if (c == ';' || c == ' ' || c == '\t') {
        b->extension = true;
        return 0;
    }
    return size_digit(b, c);
}

/* The LF of a trailer; an empty line ends the body. */
static int end_trailer_line(struct server_body *b)
{
    if (b->line == 0)
        return finish(b);
    b->line = 0;
    return 0;
}

static int trailer_text(struct server_body *b)
{
    b->line++;
    return ++b->trailer > TRAILER_MAX_BYTES ? -EMSGSIZE : 0;
}

static int end_chunk(struct server_body *b)
{
    b->state = CHUNK_SIZE;
    return 0;
}

/* One byte of the framing: a line's text, or CR LF behind it. */
static int framing_byte(struct server_body *b, uint8_t c)
{
    if (b->cr) {
        if (c != '\n')
            return -EBADMSG;
        b->cr = false;
        if (b->state == CHUNK_SIZE)
            return end_size_line(b);
        return b->state == CHUNK_END ? end_chunk(b) : end_trailer_line(b);
    }
    if (c == '\r') {
        b->cr = true;
        return 0;
    }
    if (c == '\n' || b->state == CHUNK_END)
        return -EBADMSG;
    return b->state == CHUNK_SIZE ? size_line_text(b, c) : trailer_text(b);
}

/* Takes up to len bytes that count; how many, or a negative errno. */
static ssize_t content(struct server_body *b, const uint8_t *data, size_t len)
{
    int rc = 0;

    if (len > b->left)
        len = b->left;
    if (b->keep)
        rc = buf_append(&b->data, data, len);
    b->left -= len;
    if (rc == 0 && b->left == 0) {
        if (b->state == BODY_COUNTED)
            rc = finish(b);
        else
            b->state = CHUNK_END;
    }
    return rc < 0 ? rc : (ssize_t)len;
}

ssize_t server_body_feed(struct server_body *b, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len && b->state != BODY_DONE) {
        ssize_t n = 1;

        if (b->state == BODY_COUNTED || b->state == CHUNK_BYTES)
            n = content(b, data + at, len - at);
        else if ((n = framing_byte(b, data[at])) == 0)
            n = 1;
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    return (ssize_t)at;
}
