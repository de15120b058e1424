#include "cli/former.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/state.h"

#define ID_LEN   64
#define KEEP_MAX 64 /* ids; older ones go */
#define FILE_MAX 65536

/* Owned, NULL if there is no home. */
static char *path_of(const char *name, bool make)
{
    cleanup_free char *file = NULL;

    if (asprintf(&file, "%s.former", name) < 0) {
        file = NULL;
        return NULL;
    }
    return state_path(file, make);
}

static char *read_ids(const char *path)
{
    struct tp_error none = {0};
    char *text = NULL;

    if (path && file_read(path, FILE_MAX, &text, NULL, &none) == 0)
        return text;
    return strdup("");
}

/* The part of a text of such lines that is kept beside a new one. */
static const char *newest(const char *text)
{
    size_t lines = strlen(text) / (ID_LEN + 1);

    return text +
           (lines >= KEEP_MAX ? (lines - KEEP_MAX + 1) * (ID_LEN + 1) : 0);
}

void former_note(const char *name, const char *id)
{
    cleanup_free char *path = path_of(name, true), *temporary = NULL;
    cleanup_free char *text = read_ids(path);
    FILE *out;

    if (!path || !text || strlen(id) != ID_LEN || strstr(text, id) ||
        asprintf(&temporary, "%s.new", path) < 0) {
        temporary = NULL;
        return;
    }
    out = fopen(temporary, "we");
    if (!out)
        return;
    fprintf(out, "%s%s\n", newest(text), id);
    if (fclose(out) != 0 || rename(temporary, path) < 0)
        unlink(temporary);
}

bool former_has(const char *name, const char *id)
{
    cleanup_free char *path = path_of(name, false);
    cleanup_free char *text = read_ids(path);

    return text && strlen(id) == ID_LEN && strstr(text, id);
}
