/*
 * session.h - one client's SFTP: bytes in, replies out, in order
 *
 * Knows nothing of SSH. Requests are answered one after the other, which is the
 * order that clients may rely on; many may be in the input at once, and their
 * replies leave together. The files are those of struct sftpd_exports.
 */
#ifndef TP_SFTPD_SESSION_H
#define TP_SFTPD_SESSION_H

#include <sys/types.h>

#include "sftpd/exports.h"

/* Of one READ or WRITE; OpenSSH's numbers. */
#define SFTPD_DATA_MAX 261120

struct sftpd_session;

/* Takes all of data, waiting if need be. 0, or negative: the client is gone. */
typedef int sftpd_write_cb(void *arg, const void *data, size_t len);

/* exports are borrowed and open. read_only: whatever an export says. NULL if
 * out of memory. */
struct sftpd_session *sftpd_session_create(const struct sftpd_exports *exports,
                                           bool read_only,
                                           sftpd_write_cb *write_cb, void *arg);
/* Answers the whole packets in data. Returns how many bytes those were; the
 * rest is to come again with more behind it. -EBADMSG, -EMSGSIZE: what came is
 * no SFTP, and the connection must end; or what write_cb returned. */
ssize_t sftpd_session_input(struct sftpd_session *s, const void *data,
                            size_t len);
/* Closes all that the client has open. NULL is fine. */
void sftpd_session_destroy(struct sftpd_session *s);

#endif
