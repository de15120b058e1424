/*
 * request.h - requests: encoding (client) and decoding (server)
 *
 * One struct for all of them: which members count depends on the type, as the
 * table says. Texts point into the packet or at the caller's memory.
 *
 *   OPEN               path, flags, attrs
 *   CLOSE              handle
 *   READ               handle, offset, count
 *   WRITE              handle, offset, data
 *   LSTAT STAT         path         FSTAT     handle
 *   SETSTAT            path, attrs  FSETSTAT  handle, attrs
 *   OPENDIR            path         READDIR   handle
 *   REMOVE RMDIR       path         MKDIR     path, attrs
 *   REALPATH READLINK  path         RENAME    path, target
 *   SYMLINK            path (the new link), target (what it says)
 *   EXTENDED           extension (one SFTP_HAS_*, 0: unknown), and
 *     posix-rename, hardlink: path, target; statvfs: path; fsync: handle;
 *     lsetstat: path, attrs
 */
#ifndef TP_SFTP_REQUEST_H
#define TP_SFTP_REQUEST_H

#include "sftp/wire.h"

struct sftp_request {
    enum sftp_type type;
    uint32_t id;
    uint32_t extension;
    uint32_t flags; /* enum sftp_open_flag */
    uint32_t count;
    uint64_t offset;
    struct sftp_text path, target, handle, data;
    struct sftp_attrs attrs;
};

/* A whole packet, with its length; WRITE without its data, of which only the
 * length is looked at: the caller sends the bytes behind. 0 or -ENOBUFS. */
int sftp_encode_request(struct sftp_writer *w, const struct sftp_request *q);
int sftp_encode_init(struct sftp_writer *w);

/* A packet without its length field. 0; -EBADMSG for what is malformed; or
 * -EOPNOTSUPP for a type that is not known (id is set, section 3 asks for an
 * answer). Paths with a NUL and handles over SFTP_HANDLE_MAX are -EBADMSG. */
int sftp_decode_request(struct sftp_request *q, const void *data, size_t len);

/* The first packet of a client. Its version, or -EBADMSG. */
int sftp_decode_init(const void *data, size_t len, uint32_t *version);

#endif
