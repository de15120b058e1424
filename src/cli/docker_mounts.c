#include "cli/docker_mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"

/* ---- paths ---- */

/* "/a//b/" is "/a/b", "/" is "/"; a relative one stays so and matches none. */
static char *clean(const char *text, size_t len)
{
    char *out = malloc(len + 2);
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '/' && n > 0 && out[n - 1] == '/')
            continue;
        out[n++] = text[i];
    }
    if (n > 1 && out[n - 1] == '/')
        n--;
    out[n] = '\0';
    return out;
}

/* Is `path` at or below `top`? */
static bool is_within(const char *path, const char *top)
{
    size_t len = strcmp(top, "/") != 0 ? strlen(top) : 0;

    return !strncmp(path, top, len) && (path[len] == '\0' || path[len] == '/');
}

/* ---- what the user mounts ---- */

/* [SOURCE:]PATH[:OPTIONS] */
static char *path_of_volume(const char *value)
{
    const char *colon = strchr(value, ':');
    const char *path = colon ? colon + 1 : value;

    return clean(path, strcspn(path, ":"));
}

/* One field of a CSV line, unquoted; *at moves behind it. Owned. */
static char *take_field(const char **at)
{
    const char *p = *at;
    bool quoted = *p == '"';
    char *out = malloc(strlen(p) + 1);
    size_t n = 0;

    if (!out)
        return NULL;
    for (p += quoted; *p; p++) {
        if (quoted && *p == '"') {
            if (p[1] != '"') {
                quoted = false;
                continue;
            }
            p++;
        } else if (!quoted && *p == ',') {
            break;
        }
        out[n++] = *p;
    }
    out[n] = '\0';
    *at = *p ? p + 1 : p;
    return out;
}

/* type=...,target=PATH */
static char *path_of_mount(const char *value)
{
    static const char *const keys[] = {"target=", "destination=", "dst="};
    char *path = NULL;

    while (*value) {
        cleanup_free char *field = take_field(&value);

        for (size_t i = 0; field && i < sizeof(keys) / sizeof(*keys); i++) {
            size_t len = strlen(keys[i]);

            if (strncasecmp(field, keys[i], len) != 0)
                continue;
            free(path);
            path = clean(field + len, strlen(field + len));
        }
    }
    return path;
}

static char *path_of_tmpfs(const char *value)
{
    return clean(value, strcspn(value, ":"));
}

char *docker_mounts_path(const char *name, size_t len, const char *value)
{
    static const struct {
        const char *name;
        char *(*path)(const char *value);
    } rows[] = {
        {"v", path_of_volume},
        {"volume", path_of_volume},
        {"mount", path_of_mount},
        {"tmpfs", path_of_tmpfs},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len))
            return rows[i].path(value);
    }
    return NULL;
}

/* ---- what is mounted for him ---- */

static bool is_users(const char *path, struct json_object *own)
{
    for (size_t i = 0; i < json_array_len(own); i++) {
        const char *his =
            json_object_get_string(json_object_array_get_idx(own, i));

        if (is_within(path, his) || is_within(his, path))
            return true;
    }
    return false;
}

/* Is a directory above served, too? It shows this one as well. */
static bool is_nested(struct json_object *served, const char *path)
{
    for (size_t i = 0; i < json_array_len(served); i++) {
        struct json_object *other = json_object_array_get_idx(served, i);
        const char *top = json_get_str(other, "path", "");

        if (strcmp(top, path) != 0 && is_within(path, top) &&
            !json_get_bool(other, "file", false))
            return true;
    }
    return false;
}

/* Nothing at or below can be written. */
static bool is_read_only(struct json_object *served, const char *path)
{
    for (size_t i = 0; i < json_array_len(served); i++) {
        struct json_object *other = json_object_array_get_idx(served, i);

        if (is_within(json_get_str(other, "path", ""), path) &&
            !json_get_bool(other, "readOnly", false))
            return false;
    }
    return true;
}

static void add_volume(struct json_object *list, struct json_object *served,
                       const char *path)
{
    struct json_object *volume = json_object_new_object();

    json_put_str(volume, "path", path);
    json_object_object_add(volume, "readOnly",
                           json_object_new_boolean(is_read_only(served, path)));
    json_object_array_add(list, volume);
}

struct json_object *docker_mounts_choose(struct json_object *served,
                                         struct json_object *own)
{
    struct json_object *out = json_object_new_object();
    struct json_object *volumes = json_object_new_array();
    struct json_object *users = json_object_new_array();
    struct json_object *files = json_object_new_array();

    json_object_object_add(out, "volumes", volumes);
    json_object_object_add(out, "own", users);
    json_object_object_add(out, "files", files);
    for (size_t i = 0; i < json_array_len(served); i++) {
        struct json_object *mount = json_object_array_get_idx(served, i);
        const char *path = json_get_str(mount, "path", "");

        if (*path != '/' || is_nested(served, path))
            continue;
        if (is_users(path, own))
            json_object_array_add(users, json_object_new_string(path));
        else if (json_get_bool(mount, "file", false))
            json_object_array_add(files, json_object_new_string(path));
        else
            add_volume(volumes, served, path);
    }
    return out;
}

/* A field of a CSV line is quoted where it must be. */
static char *quoted(const char *text)
{
    char *out = malloc(2 * strlen(text) + 3), *p = out;

    if (!out)
        return NULL;
    *p++ = '"';
    for (; *text; text++) {
        if (*text == '"')
            *p++ = '"';
        *p++ = *text;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

char *docker_mounts_option(struct json_object *volume)
{
    cleanup_free char *target = NULL, *field = NULL;
    const char *path = json_get_str(volume, "path", "");
    char *out = NULL;

    if (asprintf(&target, "target=%s", path) < 0)
        return NULL;
    field = strpbrk(path, ",\"") ? quoted(target) : strdup(target);
    /* Read-only is the volume's own option: Docker's would mount it once more
     * without nosuid and nodev. */
    if (!field ||
        asprintf(&out,
                 "type=volume,source=%s,%s,volume-driver=%s,volume-nocopy",
                 json_get_str(volume, "name", ""), field,
                 json_get_str(volume, "driver", "")) < 0)
        return NULL;
    return out;
}
