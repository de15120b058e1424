#include "sftpd/attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* OpenSSH's PROTOCOL 4.4: f_flag. */
#define STATVFS_RDONLY 1u
#define STATVFS_NOSUID 2u

static uint32_t seconds(const struct timespec *t)
{
    if (t->tv_sec < 0)
        return 0;
    return t->tv_sec > UINT32_MAX ? UINT32_MAX : (uint32_t)t->tv_sec;
}

void sftpd_attrs_read(const struct stat *st, struct sftp_attrs *out)
{
    *out = (struct sftp_attrs){
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS |
                 SFTP_ATTR_ACMODTIME,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mode = st->st_mode,
        .atime = seconds(&st->st_atim),
        .mtime = seconds(&st->st_mtim),
        .size = (uint64_t)st->st_size,
    };
}

void sftpd_attrs_virtual(struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_mode = S_IFDIR | 0755;
    st->st_nlink = 2;
}

static char type_letter(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFREG:
        return '-';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    case S_IFIFO:
        return 'p';
    default:
        return 's';
    }
}

static void mode_letters(mode_t mode, char out[11])
{
    static const char letters[] = "rwxrwxrwx";

    out[0] = type_letter(mode);
    for (int i = 0; i < 9; i++)
        out[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
    if (mode & S_ISUID)
        out[3] = mode & 0100 ? 's' : 'S';
    if (mode & S_ISGID)
        out[6] = mode & 010 ? 's' : 'S';
    if (mode & S_ISVTX)
        out[9] = mode & 01 ? 't' : 'T';
    out[10] = '\0';
}

void sftpd_attrs_longname(const struct stat *st, const char *name,
                          char out[SFTPD_LONGNAME_SIZE])
{
    char mode[11], date[32] = "";
    struct tm tm;

    mode_letters(st->st_mode, mode);
    if (gmtime_r(&st->st_mtim.tv_sec, &tm))
        strftime(date, sizeof(date), "%b %e  %Y", &tm);
    snprintf(out, SFTPD_LONGNAME_SIZE, "%s %4lu %-8u %-8u %8lld %s %.255s",
             mode, (unsigned long)st->st_nlink, st->st_uid, st->st_gid,
             (long long)st->st_size, date, name);
}

void sftpd_attrs_statvfs(const struct statvfs *st, bool read_only,
                         struct sftp_statvfs *out)
{
    *out = (struct sftp_statvfs){
        .bsize = st->f_bsize,
        .frsize = st->f_frsize,
        .blocks = st->f_blocks,
        .bfree = st->f_bfree,
        .bavail = st->f_bavail,
        .files = st->f_files,
        .ffree = st->f_ffree,
        .favail = st->f_favail,
        .fsid = st->f_fsid,
        .namemax = st->f_namemax,
    };
    if (read_only || (st->f_flag & ST_RDONLY))
        out->flag |= STATVFS_RDONLY;
    if (st->f_flag & ST_NOSUID)
        out->flag |= STATVFS_NOSUID;
}

/* A descriptor with O_PATH can neither be truncated nor change its mode; its
 * name in /proc can. */
static void proc_name(int fd, char out[32])
{
    snprintf(out, 32, "/proc/self/fd/%d", fd);
}

static int set_times(int fd, const struct sftp_attrs *attrs)
{
    struct timespec times[2] = {{.tv_sec = attrs->atime},
                                {.tv_sec = attrs->mtime}};

    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int sftpd_attrs_apply(int fd, bool link, const struct sftp_attrs *attrs)
{
    char name[32];

    proc_name(fd, name);
    if (attrs->flags & SFTP_ATTR_SIZE) {
        if (link || attrs->size > INT64_MAX)
            return -EINVAL;
        if (truncate(name, (off_t)attrs->size) < 0)
            return -errno;
    }
    if (attrs->flags & SFTP_ATTR_UIDGID &&
        fchownat(fd, "", attrs->uid, attrs->gid, AT_EMPTY_PATH) < 0)
        return -errno;
    if (attrs->flags & SFTP_ATTR_PERMISSIONS) {
        if (link)
            return -EOPNOTSUPP; /* links have no mode */
        if (chmod(name, attrs->mode & 07777) < 0)
            return -errno;
    }
    return attrs->flags & SFTP_ATTR_ACMODTIME ? set_times(fd, attrs) : 0;
}
