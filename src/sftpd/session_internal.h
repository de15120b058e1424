/*
 * session_internal.h - what the parts of a session share
 *
 *   session    packets, dispatch, replies
 *   ops_file   what is done with an open file
 *   ops_dir    directories
 *   ops_path   what is done by name
 *   extension  the extensions that src/sftp does not know
 *
 * An operation returns 0 (then the reply is STATUS OK), a negative errno (the
 * STATUS of it), or REPLIED.
 */
#ifndef TP_SFTPD_SESSION_INTERNAL_H
#define TP_SFTPD_SESSION_INTERNAL_H

#include "sftp/reply.h"
#include "sftp/request.h"
#include "sftpd/attrs.h"
#include "sftpd/handles.h"
#include "sftpd/session.h"

#define REPLIED 1

/* Replies wait here until it is full or the input is done. */
#define OUT_SIZE (2 * (size_t)SFTP_PACKET_MAX)

struct sftpd_session {
    const struct sftpd_exports *exports;
    bool read_only;
    bool greeted; /* INIT is done */
    struct sftpd_handles handles;
    uint8_t *out;
    size_t out_len;
    int failed; /* of write_cb */
    sftpd_write_cb *write_cb;
    void *arg;
};

/* ---- session.c: replies; all return REPLIED -------------------------------
 */

/* A writer with room for a packet of `size` bytes at most; then, when its
 * packet is finished, session_sent() with the bytes of it all. */
void session_writer(struct sftpd_session *s, struct sftp_writer *w,
                    size_t size);
int session_sent(struct sftpd_session *s, size_t len);
int session_reply_ok(struct sftpd_session *s, uint32_t id);
int session_reply_handle(struct sftpd_session *s, uint32_t id,
                         const struct sftpd_handle *handle);
int session_reply_attrs(struct sftpd_session *s, uint32_t id,
                        const struct stat *st);
/* NAME with one entry. */
int session_reply_name(struct sftpd_session *s, uint32_t id, const char *name);

/* ---- session.c: places ----------------------------------------------------
 */

int session_place(const struct sftpd_session *s, struct sftp_text path,
                  struct sftpd_place *place);
/* The same where something is to be changed: -EROFS. */
int session_place_to_change(const struct sftpd_session *s,
                            struct sftp_text path, struct sftpd_place *place);
static inline bool session_is_read_only(const struct sftpd_session *s,
                                        const struct sftpd_place *place)
{
    return s->read_only || sftpd_place_writable(place) < 0;
}

/* ---- operations -----------------------------------------------------------
 */

typedef int session_op(struct sftpd_session *s, const struct sftp_request *q);

session_op op_open, op_close, op_read, op_write, op_fstat, op_fsetstat,
    op_fsync;
session_op op_opendir, op_readdir;
session_op op_lstat, op_stat, op_setstat, op_lsetstat, op_remove, op_mkdir,
    op_rmdir, op_realpath, op_rename, op_posix_rename, op_readlink, op_symlink,
    op_hardlink, op_statvfs;

/* fstatvfs, limits, copy-data; -EOPNOTSUPP: none of them,
 * -EBADMSG. data is a whole packet without its length. */
int extension_serve(struct sftpd_session *s, uint32_t id, const void *data,
                    size_t len);
/* VERSION with all extensions. */
int extension_version(struct sftpd_session *s);

#endif
