#include "served.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* Where service accounts' tokens are: nobody means these by "the only one". */
#define TOKEN_DIR "/var/run/secrets/kubernetes.io/"

static int explain(const struct volume_options *o, const char *volume,
                   struct json_object *files, struct tp_error *err)
{
    const char *error = json_get_str(files, "error", NULL);

    if (!strcmp(json_get_str(files, "code", ""), "no-engagement"))
        return tp_error_set(err, -ENOENT,
                            "engagement %s is not active: run tp intercept %s "
                            "(or replace, mirror, ingest), or docker volume rm "
                            "%s",
                            o->engagement, o->engagement, volume);
    return tp_error_set(err, -EIO, "engagement %s: %.300s", o->engagement,
                        error ? error : "tp-daemon does not answer");
}

static void list(struct json_object *mounts, char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0; i < json_array_len(mounts); i++)
        snprintf(
            out + strlen(out), size - strlen(out), "%s%.100s", *out ? ", " : "",
            json_get_str(json_object_array_get_idx(mounts, i), "path", ""));
}

/* The same path, whatever slashes are at its end. */
static bool same_path(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);

    while (n > 1 && a[n - 1] == '/')
        n--;
    while (m > 1 && b[m - 1] == '/')
        m--;
    return n == m && !strncmp(a, b, n);
}

static bool is_token(const char *path)
{
    return !strncmp(path, TOKEN_DIR, strlen(TOKEN_DIR));
}

/* What is named; without a name the only one that is no token. */
static struct json_object *find(const struct volume_options *o,
                                struct json_object *mounts, unsigned *count)
{
    struct json_object *found = NULL;

    *count = 0;
    for (size_t i = 0; i < json_array_len(mounts); i++) {
        struct json_object *item = json_object_array_get_idx(mounts, i);
        const char *path = json_get_str(item, "path", "");

        if (*path != '/' ||
            (o->mount ? !same_path(path, o->mount) : is_token(path)))
            continue;
        found = item;
        ++*count;
    }
    return found;
}

static int none(const struct volume_options *o, struct json_object *mounts,
                unsigned count, struct tp_error *err)
{
    char known[300];

    list(mounts, known, sizeof(known));
    if (count > 1)
        return tp_error_set(err, -EINVAL,
                            "engagement %s serves more than one mount: give -o "
                            "mount=PATH, one of %s",
                            o->engagement, known);
    if (!*known)
        return tp_error_set(err, -ENOENT,
                            "engagement %s serves no mount (tp volumes says "
                            "why)",
                            o->engagement);
    if (o->mount)
        return tp_error_set(err, -ENOENT,
                            "engagement %s does not serve %.100s (tp volumes "
                            "says why); it serves %s",
                            o->engagement, o->mount, known);
    return tp_error_set(err, -ENOENT,
                        "engagement %s serves only %s: give -o mount=PATH",
                        o->engagement, known);
}

int served_choose(struct served *s, const struct volume_options *o,
                  const char *volume, struct json_object *files,
                  struct tp_error *err)
{
    struct json_object *mounts = json_get_array(files, "mounts"), *mount;
    const char *path;
    unsigned count;

    memset(s, 0, sizeof(*s));
    if (!mounts || json_get(files, "error"))
        return explain(o, volume, files, err);
    mount = find(o, mounts, &count);
    if (count != 1)
        return none(o, mounts, count, err);
    path = json_get_str(mount, "path", "");
    if (asprintf(&s->path, "%s%s%s", path, o->dir ? "/" : "",
                 o->dir ? o->dir : "") < 0) {
        s->path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    s->read_only = o->read_only || json_get_bool(mount, "readOnly", false);
    return 0;
}

void served_release(struct served *s)
{
    free(s->path);
    s->path = NULL;
}
