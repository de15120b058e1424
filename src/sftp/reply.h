/*
 * reply.h - replies of a server: decoding (client) and encoding (server)
 *
 * The decoders take what stands behind the packet's type and id, all of it, and
 * return 0 or -EBADMSG. Texts point into the packet.
 */
#ifndef TP_SFTP_REPLY_H
#define TP_SFTP_REPLY_H

#include "sftp/wire.h"

struct sftp_reply_status {
    uint32_t code; /* enum sftp_status */
    struct sftp_text message;
};

/* The message and its language may be missing, as with old servers. */
int sftp_decode_status(struct sftp_reader *r, struct sftp_reply_status *out);

/* -EBADMSG also for an empty handle and one over SFTP_HANDLE_MAX. */
int sftp_decode_handle(struct sftp_reader *r, struct sftp_text *out);
int sftp_decode_data(struct sftp_reader *r, struct sftp_text *out);
int sftp_decode_attrs(struct sftp_reader *r, struct sftp_attrs *out);
int sftp_decode_statvfs(struct sftp_reader *r, struct sftp_statvfs *out);

/* VERSION has no id. *extensions is a set of SFTP_HAS_*. -EPROTONOSUPPORT for
 * a version below 3; the server is to choose the lower one (section 4). */
int sftp_decode_version(struct sftp_reader *r, uint32_t *extensions);

struct sftp_name {
    struct sftp_text name, longname;
    struct sftp_attrs attrs;
};

/* The count of a NAME reply; then each with sftp_next_name(), which returns 1,
 * 0 behind the last one, or -EBADMSG. */
int sftp_decode_names(struct sftp_reader *r, uint32_t *count);
int sftp_next_name(struct sftp_reader *r, uint32_t *left,
                   struct sftp_name *out);

/* Whether it may stand in a directory: not empty, "." or "..", no '/', no NUL,
 * at most 255 bytes. */
bool sftp_name_is_entry(struct sftp_text name);

/* Encoders: whole packets but DATA, whose bytes the caller sends behind. All
 * return 0 or -ENOBUFS. */
int sftp_encode_version(struct sftp_writer *w, uint32_t extensions);
int sftp_encode_status(struct sftp_writer *w, uint32_t id, uint32_t code,
                       const char *message);
int sftp_encode_handle(struct sftp_writer *w, uint32_t id, const void *handle,
                       size_t len);
int sftp_encode_data(struct sftp_writer *w, uint32_t id, size_t len);
int sftp_encode_attrs(struct sftp_writer *w, uint32_t id,
                      const struct sftp_attrs *attrs);
int sftp_encode_statvfs(struct sftp_writer *w, uint32_t id,
                        const struct sftp_statvfs *st);

/* NAME: begin, add each, then end with what begin returned as *mark. Adding
 * returns -ENOBUFS, without a trace, when it does not fit. */
void sftp_begin_names(struct sftp_writer *w, uint32_t id, size_t *mark);
int sftp_add_name(struct sftp_writer *w, const char *name, const char *longname,
                  const struct sftp_attrs *attrs);
int sftp_end_names(struct sftp_writer *w, size_t mark, uint32_t count);

#endif
