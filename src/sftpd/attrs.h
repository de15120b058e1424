/* attrs.h - attributes of files, as SFTP says them */
#ifndef TP_SFTPD_ATTRS_H
#define TP_SFTPD_ATTRS_H

#include <stdbool.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "sftp/sftp.h"

#define SFTPD_LONGNAME_SIZE 384

void sftpd_attrs_read(const struct stat *st, struct sftp_attrs *out);
/* A directory that is on no disk. */
void sftpd_attrs_virtual(struct stat *st);
/* As `ls -ln` prints it: clients take the number of links from it. */
void sftpd_attrs_longname(const struct stat *st, const char *name,
                          char out[SFTPD_LONGNAME_SIZE]);
void sftpd_attrs_statvfs(const struct statvfs *st, bool read_only,
                         struct sftp_statvfs *out);

/* Sets what "attrs" has on what fd names, which may be O_PATH; `link`: on a
 * symbolic link itself. Size before modes, times last. 0 or a negative errno;
 * what came before a failure is done. */
int sftpd_attrs_apply(int fd, bool link, const struct sftp_attrs *attrs);

#endif
