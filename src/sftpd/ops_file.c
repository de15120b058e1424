/* ops_file.c - open files */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sftp/status.h"
#include "sftpd/session_internal.h"

#define DEFAULT_MODE 0644 /* of a client that names none */

/* Only regular files: what else can be opened may wait, or do something. */
static int must_be_regular(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) ? 0 : -EACCES;
}

static int open_flags(uint32_t flags)
{
    bool reads = flags & SFTP_FLAG_READ, writes = flags & SFTP_FLAG_WRITE;
    int out = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;

    if (flags & SFTP_FLAG_APPEND)
        out |= O_APPEND;
    if (flags & SFTP_FLAG_CREAT)
        out |= O_CREAT;
    if (flags & SFTP_FLAG_EXCL)
        out |= O_EXCL;
    return out | O_NONBLOCK;
}

/* Truncation comes when it is known to be a regular file. */
static int open_file(const struct sftpd_place *place, uint32_t flags,
                     mode_t mode)
{
    int fd = sftpd_place_open(place, open_flags(flags), mode);
    int rc;

    if (fd < 0)
        return fd;
    rc = must_be_regular(fd);
    if (rc == 0 && (flags & SFTP_FLAG_TRUNC) && (flags & SFTP_FLAG_WRITE) &&
        ftruncate(fd, 0) < 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

int op_open(struct sftpd_session *s, const struct sftp_request *q)
{
    const uint32_t changes =
        SFTP_FLAG_WRITE | SFTP_FLAG_APPEND | SFTP_FLAG_CREAT | SFTP_FLAG_TRUNC;
    mode_t mode =
        q->attrs.flags & SFTP_ATTR_PERMISSIONS ? q->attrs.mode : DEFAULT_MODE;
    struct sftpd_place place;
    struct sftpd_handle *handle;
    int rc = session_place(s, q->path, &place), fd;

    if (rc < 0)
        return rc;
    if ((q->flags & changes) && session_is_read_only(s, &place))
        return -EROFS;
    handle = sftpd_handle_new(&s->handles);
    if (!handle)
        return -EMFILE;
    fd = open_file(&place, q->flags, mode);
    if (fd < 0) {
        sftpd_handle_free(handle);
        return fd;
    }
    handle->fd = fd;
    handle->can_write = q->flags & SFTP_FLAG_WRITE;
    handle->read_only = session_is_read_only(s, &place);
    return session_reply_handle(s, q->id, handle);
}

int op_close(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = sftpd_handle_find(&s->handles, q->handle);

    return handle ? sftpd_handle_free(handle) : -EBADF;
}

static struct sftpd_handle *find_file(struct sftpd_session *s,
                                      const struct sftp_request *q)
{
    struct sftpd_handle *handle = sftpd_handle_find(&s->handles, q->handle);

    return handle && handle->fd >= 0 ? handle : NULL;
}

int op_read(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = find_file(s, q);
    size_t count = q->count < SFTPD_DATA_MAX ? q->count : SFTPD_DATA_MAX;
    struct sftp_writer w;
    ssize_t got;

    if (!handle)
        return -EBADF;
    if (q->offset > INT64_MAX)
        return -EINVAL;
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_data(&w, q->id, 0);
    got = pread(handle->fd, w.data + w.len, count, (off_t)q->offset);
    if (got < 0)
        return -errno;
    if (got == 0 && count > 0)
        return SFTP_ERR_EOF;
    sftp_encode_data(&w, q->id, (size_t)got);
    return session_sent(s, w.len + (size_t)got);
}

int op_write(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = find_file(s, q);
    size_t done = 0;

    if (!handle || !handle->can_write)
        return -EBADF;
    if (q->offset > (uint64_t)INT64_MAX - SFTP_PACKET_MAX)
        return -EINVAL;
    while (done < q->data.len) {
        ssize_t put = pwrite(handle->fd, q->data.data + done,
                             q->data.len - done, (off_t)(q->offset + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        done += (size_t)put;
    }
    return 0;
}

int op_fstat(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = sftpd_handle_find(&s->handles, q->handle);
    struct stat st;
    int fd;

    if (!handle)
        return -EBADF;
    fd = handle->dir ? dirfd(handle->dir) : handle->fd;
    if (fd < 0)
        sftpd_attrs_virtual(&st);
    else if (fstat(fd, &st) < 0)
        return -errno;
    return session_reply_attrs(s, q->id, &st);
}

int op_fsetstat(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = find_file(s, q);

    if (!handle)
        return -EBADF;
    if (handle->read_only)
        return -EROFS;
    if ((q->attrs.flags & SFTP_ATTR_SIZE) && !handle->can_write)
        return -EBADF;
    return sftpd_attrs_apply(handle->fd, false, &q->attrs);
}

int op_fsync(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = find_file(s, q);

    if (!handle)
        return -EBADF;
    return fsync(handle->fd) < 0 ? -errno : 0;
}
