/*
 * handles.h - open files and directories of one client
 *
 * A handle on the wire is eight bytes: its place and the turn of that place,
 * so that one that was closed does not mean another file later.
 */
#ifndef TP_SFTPD_HANDLES_H
#define TP_SFTPD_HANDLES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "sftpd/exports.h"

#define SFTPD_HANDLES_MAX  1024
#define SFTPD_HANDLE_BYTES 8

struct sftpd_handle {
    bool used;
    uint32_t turn;
    int fd;          /* of a file; -1: a directory */
    bool can_write;  /* opened for it */
    bool read_only;  /* of the export */
    DIR *dir;        /* NULL: a file, or a directory above exports */
    char **names;    /* of such a directory; owned, NULL-terminated */
    char *above;     /* the path of such a directory; owned */
    size_t next;     /* of names */
    bool dir_unread; /* the last entry did not fit: dirent is to be sent */
    struct dirent *entry;
};

struct sftpd_handles {
    struct sftpd_handle list[SFTPD_HANDLES_MAX];
};

/* A free one, or NULL. It has fd -1 and nothing else. */
struct sftpd_handle *sftpd_handle_new(struct sftpd_handles *h);
void sftpd_handle_write(const struct sftpd_handles *h,
                        const struct sftpd_handle *handle,
                        uint8_t out[SFTPD_HANDLE_BYTES]);
/* NULL if it is not open. */
struct sftpd_handle *sftpd_handle_find(struct sftpd_handles *h,
                                       struct sftp_text text);
/* Closes what is in it. 0 or what close(2) says (EIO, ENOSPC). */
int sftpd_handle_free(struct sftpd_handle *handle);
void sftpd_handles_release(struct sftpd_handles *h);

#endif
