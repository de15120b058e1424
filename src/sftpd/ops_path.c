/* ops_path.c - what is done by name */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sftpd/session_internal.h"

/* A directory and a name in it, of a path where something is to be changed. */
struct spot {
    struct sftpd_place place;
    int dir;
    const char *name;
};

static int spot_find(const struct sftpd_session *s, struct sftp_text path,
                     struct spot *spot)
{
    int rc = session_place_to_change(s, path, &spot->place);

    spot->dir = -1;
    if (rc < 0)
        return rc;
    spot->dir = sftpd_place_parent(&spot->place, &spot->name);
    return spot->dir < 0 ? spot->dir : 0;
}

static int spot_done(const struct spot *spot, int result)
{
    int rc = result < 0 ? -errno : 0;

    close(spot->dir);
    return rc;
}

/* ---- attributes -----------------------------------------------------------
 */

static int answer_stat(struct sftpd_session *s, const struct sftp_request *q,
                       int nofollow)
{
    cleanup_close int fd = -1;
    struct sftpd_place place;
    struct stat st;
    int rc = session_place(s, q->path, &place);

    if (rc < 0)
        return rc;
    if (!place.export) {
        sftpd_attrs_virtual(&st);
        return session_reply_attrs(s, q->id, &st);
    }
    fd = sftpd_place_open(&place, O_PATH | nofollow, 0);
    if (fd < 0)
        return fd;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    return session_reply_attrs(s, q->id, &st);
}

int op_lstat(struct sftpd_session *s, const struct sftp_request *q)
{
    return answer_stat(s, q, O_NOFOLLOW);
}

int op_stat(struct sftpd_session *s, const struct sftp_request *q)
{
    return answer_stat(s, q, 0);
}

static int set_attrs(struct sftpd_session *s, const struct sftp_request *q,
                     int nofollow)
{
    cleanup_close int fd = -1;
    struct sftpd_place place;
    struct stat st;
    int rc = session_place_to_change(s, q->path, &place);

    if (rc < 0)
        return rc;
    fd = sftpd_place_open(&place, O_PATH | nofollow, 0);
    if (fd < 0)
        return fd;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    return sftpd_attrs_apply(fd, S_ISLNK(st.st_mode), &q->attrs);
}

int op_setstat(struct sftpd_session *s, const struct sftp_request *q)
{
    return set_attrs(s, q, 0);
}

int op_lsetstat(struct sftpd_session *s, const struct sftp_request *q)
{
    return set_attrs(s, q, O_NOFOLLOW);
}

int op_statvfs(struct sftpd_session *s, const struct sftp_request *q)
{
    cleanup_close int fd = -1;
    struct sftpd_place place;
    struct sftp_statvfs out = {.bsize = 4096, .frsize = 4096, .namemax = 255};
    struct sftp_writer w;
    struct statvfs st;
    int rc = session_place(s, q->path, &place);

    if (rc < 0)
        return rc;
    if (place.export) {
        fd = sftpd_place_open(&place, O_PATH, 0);
        if (fd < 0)
            return fd;
        if (fstatvfs(fd, &st) < 0)
            return -errno;
        sftpd_attrs_statvfs(&st, session_is_read_only(s, &place), &out);
    } else {
        out.flag = 1; /* nothing can be made there */
    }
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_statvfs(&w, q->id, &out);
    return session_sent(s, w.len);
}

/* ---- names ----------------------------------------------------------------
 */

int op_realpath(struct sftpd_session *s, const struct sftp_request *q)
{
    char path[SFTPD_PATH_SIZE];
    int rc = sftpd_path_read(q->path, path);

    return rc < 0 ? rc : session_reply_name(s, q->id, path);
}

int op_readlink(struct sftpd_session *s, const struct sftp_request *q)
{
    char target[SFTP_PATH_BYTES + 1];
    cleanup_close int fd = -1;
    struct sftpd_place place;
    ssize_t len;
    int rc = session_place(s, q->path, &place);

    if (rc < 0)
        return rc;
    if (!place.export)
        return -EINVAL;
    fd = sftpd_place_open(&place, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    len = readlinkat(fd, "", target, sizeof(target) - 1);
    if (len < 0)
        return errno == ENOENT ? -EINVAL : -errno; /* of what is no link */
    target[len] = '\0';
    return session_reply_name(s, q->id, target);
}

int op_symlink(struct sftpd_session *s, const struct sftp_request *q)
{
    char target[SFTP_PATH_BYTES + 1];
    struct spot spot;
    int rc = spot_find(s, q->path, &spot);

    if (rc < 0)
        return rc;
    memcpy(target, q->target.data, q->target.len);
    target[q->target.len] = '\0';
    return spot_done(&spot, symlinkat(target, spot.dir, spot.name));
}

int op_remove(struct sftpd_session *s, const struct sftp_request *q)
{
    struct spot spot;
    int rc = spot_find(s, q->path, &spot);

    return rc < 0 ? rc : spot_done(&spot, unlinkat(spot.dir, spot.name, 0));
}

int op_rmdir(struct sftpd_session *s, const struct sftp_request *q)
{
    struct spot spot;
    int rc = spot_find(s, q->path, &spot);

    if (rc < 0)
        return rc;
    return spot_done(&spot, unlinkat(spot.dir, spot.name, AT_REMOVEDIR));
}

int op_mkdir(struct sftpd_session *s, const struct sftp_request *q)
{
    mode_t mode =
        q->attrs.flags & SFTP_ATTR_PERMISSIONS ? q->attrs.mode & 07777 : 0755;
    struct spot spot;
    int rc = spot_find(s, q->path, &spot);

    return rc < 0 ? rc : spot_done(&spot, mkdirat(spot.dir, spot.name, mode));
}

/* ---- two names ------------------------------------------------------------
 */

typedef int pair_fn(const struct spot *from, const struct spot *to);

static int with_pair(struct sftpd_session *s, const struct sftp_request *q,
                     pair_fn *fn)
{
    struct spot from, to;
    int rc = spot_find(s, q->path, &from);

    if (rc < 0)
        return rc;
    rc = spot_find(s, q->target, &to);
    if (rc == 0)
        rc = spot_done(&to, fn(&from, &to));
    close(from.dir);
    return rc;
}

static int rename_over(const struct spot *from, const struct spot *to)
{
    return renameat(from->dir, from->name, to->dir, to->name);
}

/* draft-02, 6.5: "It is an error if there already exists a file with the
 * name". File systems that cannot do it at once are asked first. */
static int rename_new(const struct spot *from, const struct spot *to)
{
    struct stat st;

    if (renameat2(from->dir, from->name, to->dir, to->name, RENAME_NOREPLACE) ==
        0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (fstatat(to->dir, to->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename_over(from, to);
}

static int link_pair(const struct spot *from, const struct spot *to)
{
    return linkat(from->dir, from->name, to->dir, to->name, 0);
}

int op_rename(struct sftpd_session *s, const struct sftp_request *q)
{
    return with_pair(s, q, rename_new);
}

int op_posix_rename(struct sftpd_session *s, const struct sftp_request *q)
{
    return with_pair(s, q, rename_over);
}

int op_hardlink(struct sftpd_session *s, const struct sftp_request *q)
{
    return with_pair(s, q, link_pair);
}
