/* ops_dir.c - directories: of exports, and those above them */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sftp/status.h"
#include "sftpd/session_internal.h"

#define NAMES_SIZE (64 * (size_t)1024) /* of one reply */

static int add_child(void *arg, const char *name, size_t len)
{
    struct sftpd_handle *handle = arg;

    handle->names[handle->next] = strndup(name, len);
    return handle->names[handle->next++] ? 0 : -ENOMEM;
}

static int open_virtual(struct sftpd_handle *handle,
                        const struct sftpd_place *place)
{
    int rc;

    handle->names = calloc(place->exports->count + 1, sizeof(char *));
    handle->above = strdup(place->path);
    if (!handle->names || !handle->above)
        return -ENOMEM;
    rc = sftpd_place_children(place, add_child, handle);
    handle->next = 0;
    return rc;
}

static int open_real(struct sftpd_handle *handle,
                     const struct sftpd_place *place)
{
    int fd = sftpd_place_open(place, O_RDONLY | O_DIRECTORY, 0), rc;

    if (fd < 0)
        return fd;
    handle->dir = fdopendir(fd);
    if (handle->dir)
        return 0;
    rc = -errno;
    close(fd);
    return rc;
}

int op_opendir(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_place place;
    struct sftpd_handle *handle;
    int rc = session_place(s, q->path, &place);

    if (rc < 0)
        return rc;
    handle = sftpd_handle_new(&s->handles);
    if (!handle)
        return -EMFILE;
    rc =
        place.export ? open_real(handle, &place) : open_virtual(handle, &place);
    if (rc < 0) {
        sftpd_handle_free(handle);
        return rc;
    }
    return session_reply_handle(s, q->id, handle);
}

static int add_entry(struct sftp_writer *w, const char *name,
                     const struct stat *st)
{
    char longname[SFTPD_LONGNAME_SIZE];
    struct sftp_attrs attrs;

    sftpd_attrs_read(st, &attrs);
    sftpd_attrs_longname(st, name, longname);
    return sftp_add_name(w, name, longname, &attrs);
}

/* A name that is gone meanwhile is left out; one that may not be looked at has
 * no attributes. */
static int add_real(struct sftp_writer *w, struct sftpd_handle *handle)
{
    static const struct sftp_attrs none;
    struct stat st;

    if (fstatat(dirfd(handle->dir), handle->entry->d_name, &st,
                AT_SYMLINK_NOFOLLOW) == 0)
        return add_entry(w, handle->entry->d_name, &st);
    if (errno == ENOENT)
        return -ENOENT;
    return sftp_add_name(w, handle->entry->d_name, handle->entry->d_name,
                         &none);
}

/* How many names were added, or a negative errno. */
static int read_real(struct sftp_writer *w, struct sftpd_handle *handle)
{
    int count = 0;

    for (;;) {
        int rc;

        errno = 0;
        if (!handle->dir_unread)
            handle->entry = readdir(handle->dir);
        handle->dir_unread = false;
        if (!handle->entry)
            return errno && count == 0 ? -errno : count;
        rc = add_real(w, handle);
        if (rc == -ENOENT)
            continue;
        if (rc < 0) {
            handle->dir_unread = true;
            return count;
        }
        count++;
    }
}

/* An export, which may be a file, or a directory on the way to one. */
static int add_virtual(struct sftpd_session *s, struct sftp_writer *w,
                       const char *above, const char *name)
{
    static const struct sftp_attrs none;
    char path[SFTPD_PATH_SIZE + NAME_MAX + 2];
    struct sftp_text text = {.data = path};
    cleanup_close int fd = -1;
    struct sftpd_place place;
    struct stat st;

    text.len = (uint32_t)snprintf(path, sizeof(path), "%s/%s", above, name);
    if (text.len >= sizeof(path) || session_place(s, text, &place) < 0)
        return sftp_add_name(w, name, name, &none);
    sftpd_attrs_virtual(&st);
    if (!place.export)
        return add_entry(w, name, &st);
    fd = sftpd_place_open(&place, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return sftp_add_name(w, name, name, &none);
    return add_entry(w, name, &st);
}

static int read_virtual(struct sftpd_session *s, struct sftp_writer *w,
                        struct sftpd_handle *handle)
{
    int count = 0;

    while (handle->names[handle->next] &&
           add_virtual(s, w, handle->above, handle->names[handle->next]) == 0) {
        handle->next++;
        count++;
    }
    return count;
}

int op_readdir(struct sftpd_session *s, const struct sftp_request *q)
{
    struct sftpd_handle *handle = sftpd_handle_find(&s->handles, q->handle);
    struct sftp_writer w;
    size_t mark;
    int count;

    if (!handle || (!handle->dir && !handle->names))
        return -EBADF;
    session_writer(s, &w, NAMES_SIZE);
    w.size = NAMES_SIZE;
    sftp_begin_names(&w, q->id, &mark);
    count = handle->dir ? read_real(&w, handle) : read_virtual(s, &w, handle);
    if (count <= 0)
        return count < 0 ? count : SFTP_ERR_EOF;
    sftp_end_names(&w, mark, (uint32_t)count);
    return session_sent(s, w.len);
}
