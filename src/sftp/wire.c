#include "sftp/wire.h"

#include <errno.h>
#include <string.h>

void sftp_reader_init(struct sftp_reader *r, const void *data, size_t len)
{
    r->at = data;
    r->end = r->at + len;
    r->failed = false;
}

/* NULL if there are not that many bytes left. */
static const uint8_t *take(struct sftp_reader *r, size_t len)
{
    const uint8_t *at = r->at;

    if (r->failed || len > sftp_reader_left(r)) {
        r->failed = true;
        return NULL;
    }
    r->at += len;
    return at;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

uint8_t sftp_get_u8(struct sftp_reader *r)
{
    const uint8_t *p = take(r, 1);

    return p ? *p : 0;
}

uint32_t sftp_get_u32(struct sftp_reader *r)
{
    const uint8_t *p = take(r, 4);

    return p ? be32(p) : 0;
}

uint64_t sftp_get_u64(struct sftp_reader *r)
{
    const uint8_t *p = take(r, 8);

    return p ? (uint64_t)be32(p) << 32 | be32(p + 4) : 0;
}

struct sftp_text sftp_get_text(struct sftp_reader *r)
{
    struct sftp_text text = {"", 0};
    uint32_t len = sftp_get_u32(r);
    const uint8_t *p = take(r, len);

    if (p) {
        text.data = (const char *)p;
        text.len = len;
    }
    return text;
}

/* A pair is at least eight bytes, so the count cannot keep us long. */
static void skip_extended(struct sftp_reader *r)
{
    uint32_t count = sftp_get_u32(r);

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        sftp_get_text(r);
        sftp_get_text(r);
    }
}

void sftp_get_attrs(struct sftp_reader *r, struct sftp_attrs *attrs)
{
    memset(attrs, 0, sizeof(*attrs));
    attrs->flags = sftp_get_u32(r);
    if (attrs->flags & SFTP_ATTR_SIZE)
        attrs->size = sftp_get_u64(r);
    if (attrs->flags & SFTP_ATTR_UIDGID) {
        attrs->uid = sftp_get_u32(r);
        attrs->gid = sftp_get_u32(r);
    }
    if (attrs->flags & SFTP_ATTR_PERMISSIONS)
        attrs->mode = sftp_get_u32(r);
    if (attrs->flags & SFTP_ATTR_ACMODTIME) {
        attrs->atime = sftp_get_u32(r);
        attrs->mtime = sftp_get_u32(r);
    }
    if (attrs->flags & SFTP_ATTR_EXTENDED)
        skip_extended(r);
}

void sftp_writer_init(struct sftp_writer *w, void *data, size_t size)
{
    w->data = data;
    w->len = 0;
    w->size = size;
    w->failed = false;
}

static uint8_t *give(struct sftp_writer *w, size_t len)
{
    uint8_t *at = w->data + w->len;

    if (w->failed || len > w->size - w->len) {
        w->failed = true;
        return NULL;
    }
    w->len += len;
    return at;
}

static void set_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

void sftp_put_u8(struct sftp_writer *w, uint8_t value)
{
    uint8_t *p = give(w, 1);

    if (p)
        *p = value;
}

void sftp_put_u32(struct sftp_writer *w, uint32_t value)
{
    uint8_t *p = give(w, 4);

    if (p)
        set_be32(p, value);
}

void sftp_put_u64(struct sftp_writer *w, uint64_t value)
{
    sftp_put_u32(w, (uint32_t)(value >> 32));
    sftp_put_u32(w, (uint32_t)value);
}

void sftp_put_text(struct sftp_writer *w, const void *data, size_t len)
{
    uint8_t *p;

    if (len > SFTP_PACKET_MAX) {
        w->failed = true;
        return;
    }
    sftp_put_u32(w, (uint32_t)len);
    p = give(w, len);
    if (p && len)
        memcpy(p, data, len);
}

void sftp_put_string(struct sftp_writer *w, const char *text)
{
    sftp_put_text(w, text, strlen(text));
}

void sftp_put_attrs(struct sftp_writer *w, const struct sftp_attrs *attrs)
{
    uint32_t flags = attrs->flags & ~SFTP_ATTR_EXTENDED;

    sftp_put_u32(w, flags);
    if (flags & SFTP_ATTR_SIZE)
        sftp_put_u64(w, attrs->size);
    if (flags & SFTP_ATTR_UIDGID) {
        sftp_put_u32(w, attrs->uid);
        sftp_put_u32(w, attrs->gid);
    }
    if (flags & SFTP_ATTR_PERMISSIONS)
        sftp_put_u32(w, attrs->mode);
    if (flags & SFTP_ATTR_ACMODTIME) {
        sftp_put_u32(w, attrs->atime);
        sftp_put_u32(w, attrs->mtime);
    }
}

void sftp_begin(struct sftp_writer *w, enum sftp_type type)
{
    w->len = 0;
    w->failed = false;
    sftp_put_u32(w, 0);
    sftp_put_u8(w, (uint8_t)type);
}

int sftp_finish(struct sftp_writer *w, size_t extra)
{
    if (w->failed || w->len - SFTP_LENGTH_BYTES + extra > SFTP_PACKET_MAX)
        return -ENOBUFS;
    set_be32(w->data, (uint32_t)(w->len - SFTP_LENGTH_BYTES + extra));
    return 0;
}
