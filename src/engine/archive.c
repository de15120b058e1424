#include "engine/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define MAX_MEMBER (4 << 20)

/* The JSON member of that name ("./" before it does not matter). */
static struct json_object *read_member(struct archive *a, const char *name,
                                       struct tp_error *err)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
        const char *path = archive_entry_pathname(entry);
        cleanup_free char *text = NULL;
        la_ssize_t n;

        if (path && !strncmp(path, "./", 2))
            path += 2;
        if (!path || strcmp(path, name) != 0)
            continue;
        text = malloc(MAX_MEMBER);
        n = text ? archive_read_data(a, text, MAX_MEMBER) : -1;
        if (n < 0 || n == MAX_MEMBER) {
            tp_error_set(err, -EIO, "%s in it cannot be read", name);
            return NULL;
        }
        return json_parse_text(text, (size_t)n, err);
    }
    if (rc == ARCHIVE_EOF)
        tp_error_set(err, -ENOENT, "it holds no %s", name);
    else
        tp_error_set(err, -EIO, "%s", archive_error_string(a));
    return NULL;
}

static struct json_object *read_json(const char *path, const char *name,
                                     struct tp_error *err)
{
    struct archive *a = archive_read_new();
    struct json_object *obj = NULL;

    if (!a) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    archive_read_support_filter_all(a);
    archive_read_support_format_tar(a);
    if (archive_read_open_filename(a, path, 65536) == ARCHIVE_OK)
        obj = read_member(a, name, err);
    else
        tp_error_set(err, -EIO, "%s", archive_error_string(a));
    archive_read_free(a);
    if (!obj)
        tp_error_wrap(err, "image archive %s", path);
    return obj;
}

int engine_archive_label(const char *path, const char *label, char **out,
                         struct tp_error *err)
{
    cleanup_json struct json_object *manifest = NULL, *config = NULL;
    struct json_object *labels, *value;
    const char *name;

    *out = NULL;
    manifest = read_json(path, "manifest.json", err);
    if (!manifest)
        return -EIO;
    name = json_object_is_type(manifest, json_type_array)
               ? json_get_str(json_object_array_get_idx(manifest, 0), "Config",
                              NULL)
               : NULL;
    if (!name)
        return tp_error_set(err, -EBADMSG, "image archive %s: no image in it",
                            path);
    config = read_json(path, name, err);
    if (!config)
        return -EIO;
    labels = json_get(config, "config.Labels");
    if (!labels || !json_object_object_get_ex(labels, label, &value))
        return 0;
    *out = strdup(json_object_get_string(value));
    return *out ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}
