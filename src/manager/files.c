#include "manager/files.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/file.h"

char *file_read_text(const char *path, struct tp_error *err)
{
    struct stat st;
    char *text;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        tp_error_set(err, -EINVAL, "%s: not a file", path);
        return NULL;
    }
    return file_read(path, FILE_MAX, &text, NULL, err) < 0 ? NULL : text;
}
