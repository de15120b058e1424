/*
 * path.h - paths of clients, made absolute and plain
 *
 * The tree of a server has no current directory: a relative path begins at "/".
 * "." and empty parts go, ".." takes the part before it away, and at "/" it
 * stays there, as in a chroot. That is done by letters, without looking at
 * files, so that what comes out has nothing in it that leads up.
 */
#ifndef TP_SFTPD_PATH_H
#define TP_SFTPD_PATH_H

#include "sftp/wire.h"

#define SFTPD_PATH_SIZE (SFTP_PATH_BYTES + 2)

/* "/" or "/a/b". 0, or -ENAMETOOLONG; -EINVAL for a NUL in it. */
int sftpd_path_read(struct sftp_text text, char out[SFTPD_PATH_SIZE]);

/* What is behind "dir" in "path": "" for itself, NULL if it is not below. */
const char *sftpd_path_below(const char *path, const char *dir);

#endif
