#include "cli/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

void state_make_parents(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700); /* what fails here fails at the file as well */
        *p = '/';
    }
}

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
    if (make)
        state_make_parents(path);
    return path;
}

int state_write(const char *path, const char *text, struct tp_error *err)
{
    int rc = file_replace(path, text, false);

    return rc < 0 ? tp_error_errno(err, rc, "cannot write %s", path) : 0;
}
