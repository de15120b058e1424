/*
 * exports.h - what is served, and the only way to it
 *
 * An export is a directory or file of this machine that stands at a path of the
 * server's tree; the directories above are not on any disk and only show the
 * way. A path belongs to the export with the longest matching path.
 *
 * Within an export all is reached by openat2(2) from a descriptor of its root
 * with RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS and RESOLVE_NO_XDEV: no symbolic
 * link, "..", or mount leads out, nor into an export that is not given to this
 * client. What would is -EACCES. An absolute link is the client's to follow.
 */
#ifndef TP_SFTPD_EXPORTS_H
#define TP_SFTPD_EXPORTS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sftpd/path.h"

#define SFTPD_EXPORTS_MAX 64

struct sftpd_export {
    char *path;   /* in the server's tree, plain (path.h); owned */
    char *source; /* on this machine, absolute; owned */
    bool read_only;
    int root; /* O_PATH; of a file: the directory that it is in */
    bool is_file;
};

struct sftpd_exports {
    struct sftpd_export list[SFTPD_EXPORTS_MAX];
    size_t count;
};

/* Takes a copy. -EINVAL for a path that is not plain, -ENOSPC, -ENOMEM. */
int sftpd_exports_add(struct sftpd_exports *x, const char *path,
                      const char *source, bool read_only, struct tp_error *err);
/* Opens their roots; what is not there is left out, with a log line. */
void sftpd_exports_open(struct sftpd_exports *x);
void sftpd_exports_release(struct sftpd_exports *x);

/* Where a path leads. */
struct sftpd_place {
    const struct sftpd_exports *exports;
    const struct sftpd_export *export; /* NULL: a directory above exports */
    const char *rel;                   /* within the export; "" is its root */
    char path[SFTPD_PATH_SIZE];
};

/* 0; -ENOENT where neither an export is nor a way to one; as
 * sftpd_path_read(). */
int sftpd_place_find(const struct sftpd_exports *x, struct sftp_text path,
                     struct sftpd_place *out);

/* May something be changed there? 0 or -EROFS. */
int sftpd_place_writable(const struct sftpd_place *p);

/* A descriptor (O_CLOEXEC, O_NOCTTY), or a negative errno. Not for directories
 * above exports (-EISDIR). */
int sftpd_place_open(const struct sftpd_place *p, int flags, mode_t mode);

/* The directory that the last part of the path is in (O_PATH), and the name of
 * that part: what is done there follows no link. -EBUSY for the root of an
 * export and above. */
int sftpd_place_parent(const struct sftpd_place *p, const char **name);

/* Names of what is in a directory above exports: calls cb once for each.
 * Returns 0, or what cb returned, if negative. */
int sftpd_place_children(const struct sftpd_place *p,
                         int (*cb)(void *arg, const char *name, size_t len),
                         void *arg);

#endif
