#include "tunnel/capsule.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define CAPSULE_DATAGRAM 0
/* A context id of at most 8 bytes and the payload. */
#define BODY_MAX (8 + CAPSULE_PAYLOAD_MAX)

void capsule_reader_init(struct capsule_reader *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->body, BODY_MAX);
}

void capsule_reader_release(struct capsule_reader *r)
{
    buf_release(&r->body);
}

/* Length of the variable-length integer that starts with this byte (RFC 9000,
 * 16). */
static size_t number_size(uint8_t first)
{
    return (size_t)1 << (first >> 6);
}

static uint64_t number_value(const uint8_t *p)
{
    uint64_t value = p[0] & 0x3f;

    for (size_t i = 1; i < number_size(p[0]); i++)
        value = value << 8 | p[i];
    return value;
}

/* Collects an integer. True when it is complete; *used bytes were taken. */
static bool read_number(struct capsule_reader *r, const uint8_t *data,
                        size_t len, size_t *used, uint64_t *value)
{
    size_t n = 0;

    while (n < len) {
        r->number[r->number_len++] = data[n++];
        if (r->number_len == number_size(r->number[0])) {
            *value = number_value(r->number);
            *used = n;
            r->number_len = 0;
            return true;
        }
    }
    *used = n;
    return false;
}

/* One whole DATAGRAM capsule. */
static int emit(const uint8_t *body, size_t len, capsule_datagram_cb *cb,
                void *arg)
{
    size_t head = len > 0 ? number_size(body[0]) : 1;

    if (len < head || number_value(body) != 0)
        return 0; /* not our context */
    if (len - head > CAPSULE_PAYLOAD_MAX)
        return 0;
    return cb(arg, body + head, len - head);
}

static void begin_body(struct capsule_reader *r)
{
    bool wanted = r->type == CAPSULE_DATAGRAM && r->left <= BODY_MAX;

    r->state = wanted ? CAPSULE_BODY : CAPSULE_SKIP;
    if (r->left == 0)
        r->state = CAPSULE_TYPE;
}

static int read_body(struct capsule_reader *r, const uint8_t *data, size_t len,
                     size_t *used, capsule_datagram_cb *cb, void *arg)
{
    size_t n = len < r->left ? len : (size_t)r->left;

    *used = n;
    if (buf_used(&r->body) == 0 && n == r->left) {
        r->state = CAPSULE_TYPE;
        return emit(data, n, cb, arg);
    }
    if (buf_append(&r->body, data, n) != 0)
        return -ENOMEM;
    r->left -= n;
    if (r->left == 0) {
        /* Out of the reader, which cb may make invalid. */
        struct buf body = r->body;
        int rc;

        buf_init(&r->body, BODY_MAX);
        r->state = CAPSULE_TYPE;
        rc = emit(buf_head(&body), buf_used(&body), cb, arg);
        buf_release(&body);
        return rc;
    }
    return 0;
}

static int step(struct capsule_reader *r, const uint8_t *data, size_t len,
                size_t *used, capsule_datagram_cb *cb, void *arg)
{
    size_t n;

    switch (r->state) {
    case CAPSULE_TYPE:
        if (read_number(r, data, len, used, &r->type))
            r->state = CAPSULE_LENGTH;
        return 0;
    case CAPSULE_LENGTH:
        if (read_number(r, data, len, used, &r->left))
            begin_body(r);
        return 0;
    case CAPSULE_BODY:
        return read_body(r, data, len, used, cb, arg);
    case CAPSULE_SKIP:
        n = len < r->left ? len : (size_t)r->left;
        r->left -= n;
        *used = n;
        if (r->left == 0)
            r->state = CAPSULE_TYPE;
        return 0;
    }
    return -EINVAL;
}

int capsule_read(struct capsule_reader *r, const uint8_t *data, size_t len,
                 capsule_datagram_cb *cb, void *arg)
{
    while (len > 0) {
        size_t used = 0;
        int rc = step(r, data, len, &used, cb, arg);

        if (rc != 0)
            return rc;
        data += used;
        len -= used;
    }
    return 0;
}

size_t capsule_head(uint8_t head[CAPSULE_HEAD_MAX], size_t len)
{
    size_t body = len + 1, n = 0; /* with the context id */

    head[n++] = CAPSULE_DATAGRAM;
    if (body < 64) {
        head[n++] = (uint8_t)body;
    } else if (body < 16384) {
        head[n++] = (uint8_t)(0x40 | body >> 8);
        head[n++] = (uint8_t)body;
    } else {
        head[n++] = 0x80;
        head[n++] = (uint8_t)(body >> 16);
        head[n++] = (uint8_t)(body >> 8);
        head[n++] = (uint8_t)body;
    }
    head[n++] = 0; /* context id */
    return n;
}
