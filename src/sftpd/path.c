#include "sftpd/path.h"

#include <errno.h>
#include <string.h>

/* Appends a part, or takes the last one away. */
static size_t put_part(char *out, size_t used, const char *part, size_t len)
{
    if (len == 0 || (len == 1 && part[0] == '.'))
        return used;
    if (len == 2 && part[0] == '.' && part[1] == '.') {
        while (used > 0 && out[--used] != '/')
            ;
        return used;
    }
    out[used++] = '/';
    memcpy(out + used, part, len);
    return used + len;
}

int sftpd_path_read(struct sftp_text text, char out[SFTPD_PATH_SIZE])
{
    size_t used = 0, at = 0;

    if (text.len > SFTP_PATH_BYTES)
        return -ENAMETOOLONG;
    if (memchr(text.data, '\0', text.len))
        return -EINVAL;
    while (at < text.len) {
        const char *slash = memchr(text.data + at, '/', text.len - at);
        size_t len = slash ? (size_t)(slash - text.data) - at : text.len - at;

        used = put_part(out, used, text.data + at, len);
        at += len + 1;
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = '\0';
    return 0;
}

const char *sftpd_path_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (len == 1) /* "/" */
        return path + 1;
    if (strncmp(path, dir, len) != 0)
        return NULL;
    if (path[len] == '/')
        return path + len + 1;
    return path[len] ? NULL : path + len;
}
