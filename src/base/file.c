#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PIPE_MS 10000

/* A shell's <(command) is a pipe: its bytes may be still to come. */
static int wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int rc = poll(&p, 1, PIPE_MS);

    if (rc < 0 && errno != EINTR)
        return -errno;
    return rc == 0 ? -ETIMEDOUT : 0;
}

/* Reads until the end, but no more than size bytes. */
static ssize_t read_all(int fd, char *data, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(fd, data + used, size - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_readable(fd);

            if (rc < 0)
                return rc;
            continue;
        }
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

/* Room for one byte more than there may be, so that a file that grew shows,
 * and for the NUL. The size of a pipe or of a file in /proc is not known. */
static size_t size_for(const struct stat *st, size_t max)
{
    size_t known = S_ISREG(st->st_mode) ? (size_t)st->st_size : 0;

    return (known > 0 && known < max ? known : max) + 2;
}

static int read_open(int fd, const char *path, size_t max, char **out,
                     size_t *len, struct tp_error *err)
{
    cleanup_free char *data = NULL;
    struct stat st;
    ssize_t n;
    size_t size;

    if (fstat(fd, &st) < 0)
        return tp_error_errno(err, -errno, "cannot read %s", path);
    if (S_ISDIR(st.st_mode))
        return tp_error_errno(err, -EISDIR, "cannot read %s", path);
    size = size_for(&st, max);
    data = malloc(size);
    n = data ? read_all(fd, data, size - 1) : -ENOMEM;
    if (n < 0)
        return tp_error_errno(err, (int)n, "cannot read %s", path);
    if ((size_t)n > max)
        return tp_error_set(err, -EMSGSIZE, "%s is larger than %zu KiB", path,
                            max >> 10);
    data[n] = '\0';
    *out = data;
    data = NULL;
    if (len)
        *len = (size_t)n;
    return 0;
}

int file_read(const char *path, size_t max, char **out, size_t *len,
              struct tp_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return tp_error_errno(err, -errno, "cannot read %s", path);
    return read_open(fd, path, max, out, len, err);
}

int file_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_new(const char *path, const char *text, bool durable)
{
    cleanup_close int fd = -1;
    int rc;

    unlink(path); /* it might have another mode */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    rc = file_write_all(fd, text, strlen(text));
    return rc == 0 && durable && fsync(fd) < 0 ? -errno : rc;
}

int file_replace(const char *path, const char *text, bool durable)
{
    cleanup_free char *temporary = NULL;
    int rc;

    if (asprintf(&temporary, "%s.new", path) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    rc = write_new(temporary, text, durable);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temporary);
    return rc;
}
