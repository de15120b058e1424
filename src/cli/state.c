#include "cli/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

char *state_path(const char *file, bool make)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool own = !xdg || *xdg != '/';
    char *path = NULL;

    if (own && (!home || *home != '/'))
        return NULL;
    if (asprintf(&path, "%s%s/tp/%s", own ? home : xdg,
                 own ? "/.local/state" : "", file) < 0)
        return NULL;
    for (char *p = path + 1; make && (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700); /* what fails here fails at the file as well */
        *p = '/';
    }
    return path;
}

static int write_all(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int state_write(const char *path, const char *text, struct tp_error *err)
{
    cleanup_free char *temporary = NULL;
    cleanup_close int fd = -1;
    int rc;

    if (asprintf(&temporary, "%s.new", path) < 0) {
        temporary = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    unlink(temporary); /* it might have another mode */
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    rc = fd < 0 ? -errno : write_all(fd, text);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    unlink(temporary);
    return tp_error_errno(err, rc, "cannot write %s", path);
}
