/*
 * wire.h - the primitive types of SFTP: a strict reader, a bounded writer
 *
 * Both remember their first failure: a parser reads everything it wants and
 * asks once, at the end, whether it was there.
 */
#ifndef TP_SFTP_WIRE_H
#define TP_SFTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sftp/sftp.h"

/* Bytes of somebody else; never copied, never NUL-terminated. */
struct sftp_text {
    const char *data;
    uint32_t len;
};

struct sftp_reader {
    const uint8_t *at, *end;
    bool failed; /* something was asked for that was not there */
};

void sftp_reader_init(struct sftp_reader *r, const void *data, size_t len);
static inline size_t sftp_reader_left(const struct sftp_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* 0, or an empty text, after a failure. */
uint8_t sftp_get_u8(struct sftp_reader *r);
uint32_t sftp_get_u32(struct sftp_reader *r);
uint64_t sftp_get_u64(struct sftp_reader *r);
struct sftp_text sftp_get_text(struct sftp_reader *r);

/* Members that the packet does not have are 0. Extended pairs are skipped. */
void sftp_get_attrs(struct sftp_reader *r, struct sftp_attrs *attrs);

/* All of it was read, and nothing was missing. */
static inline bool sftp_reader_done(const struct sftp_reader *r)
{
    return !r->failed && r->at == r->end;
}

/* Writes into the caller's memory, "size" bytes of it. */
struct sftp_writer {
    uint8_t *data;
    size_t len, size;
    bool failed; /* something did not fit; len is where it would have begun */
};

void sftp_writer_init(struct sftp_writer *w, void *data, size_t size);
void sftp_put_u8(struct sftp_writer *w, uint8_t value);
void sftp_put_u32(struct sftp_writer *w, uint32_t value);
void sftp_put_u64(struct sftp_writer *w, uint64_t value);
void sftp_put_text(struct sftp_writer *w, const void *data, size_t len);
void sftp_put_string(struct sftp_writer *w, const char *text);
void sftp_put_attrs(struct sftp_writer *w, const struct sftp_attrs *attrs);

/* Starts a packet at the writer's beginning: room for the length, the type. */
void sftp_begin(struct sftp_writer *w, enum sftp_type type);

/* Sets the length, which counts `extra` bytes that the caller sends behind the
 * packet (data, which is not copied). Returns 0, or -ENOBUFS if it failed. */
int sftp_finish(struct sftp_writer *w, size_t extra);

#endif
