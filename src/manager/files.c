#include "manager/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static ssize_t read_all(int fd, char *text, size_t len)
{
    size_t used = 0;

    while (used < len) {
        ssize_t n = read(fd, text + used, len - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

char *file_read_text(const char *path, struct tp_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n;
    char *text;

    if (fd < 0 || fstat(fd, &st) < 0) {
        tp_error_errno(err, -errno, "%s", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        tp_error_set(err, -EINVAL, "%s: not a small file", path);
        return NULL;
    }
    text = malloc((size_t)st.st_size + 1);
    n = text ? read_all(fd, text, (size_t)st.st_size) : -ENOMEM;
    if (n < 0) {
        free(text);
        tp_error_errno(err, (int)n, "%s", path);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

void file_free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
