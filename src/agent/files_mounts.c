/* files_mounts.c - the volume mounts of a container, as the webhook told them
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files_internal.h"
#include "base/json.h"

#define PATH_SIZE 1024

static struct json_object *mounts_of(const struct files *f,
                                     const struct files_grant *g)
{
    struct json_object *list =
        json_member(json_get(f->settings->json, "mounts"), g->container);

    return json_object_is_type(list, json_type_array) ? list : NULL;
}

/* Why it is not served; NULL: it is. */
static const char *left_out(const struct files_grant *g,
                            struct json_object *mount)
{
    if (json_get(mount, "policy"))
        return "policy: local";
    if (json_get_bool(mount, "token", false) && !g->credentials)
        return "it holds the service account's token: that needs the right "
               "create engagements/credentials";
    return NULL;
}

static bool is_read_only(const struct files_grant *g, struct json_object *mount)
{
    return g->read_only || json_get_bool(mount, "readOnly", false);
}

static void source_of(const struct files *f, const struct files_grant *g,
                      struct json_object *mount, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%s%s", f->root, g->container,
             json_get_str(mount, "path", ""));
}

static void put_mount(const struct files *f, const struct files_grant *g,
                      struct json_object *mount, struct json_object *served,
                      struct json_object *others)
{
    struct json_object *out = json_object_new_object();
    const char *reason = left_out(g, mount);
    char source[PATH_SIZE];
    struct stat st;

    json_put_str(out, "path", json_get_str(mount, "path", ""));
    json_put_str(out, "volume", json_get_str(mount, "volume", ""));
    if (reason) {
        json_put_str(out, "reason", reason);
        json_object_array_add(others, out);
        return;
    }
    json_object_object_add(out, "readOnly",
                           json_object_new_boolean(is_read_only(g, mount)));
    source_of(f, g, mount, source);
    if (stat(source, &st) == 0 && S_ISREG(st.st_mode))
        json_object_object_add(out, "file", json_object_new_boolean(true));
    if (access(source, R_OK) < 0)
        json_object_object_add(out, "unreadable",
                               json_object_new_boolean(true));
    json_object_array_add(served, out);
}

void files_put_mounts(const struct files *f, const struct files_grant *g,
                      struct json_object *answer)
{
    struct json_object *list = mounts_of(f, g);
    struct json_object *served = json_object_new_array();
    struct json_object *others = json_object_new_array();

    for (size_t i = 0; i < json_array_len(list); i++)
        put_mount(f, g, json_object_array_get_idx(list, i), served, others);
    json_object_object_add(answer, "mounts", served);
    json_object_object_add(answer, "left_out", others);
}

void files_put_exports(const struct files *f, const struct files_grant *g,
                       struct json_object *settings)
{
    struct json_object *list = mounts_of(f, g);
    struct json_object *exports = json_object_new_array();

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *mount = json_object_array_get_idx(list, i);
        struct json_object *out;
        char source[PATH_SIZE];

        if (left_out(g, mount))
            continue;
        out = json_object_new_object();
        source_of(f, g, mount, source);
        json_put_str(out, "path", json_get_str(mount, "path", ""));
        json_put_str(out, "source", source);
        json_object_object_add(out, "readOnly",
                               json_object_new_boolean(is_read_only(g, mount)));
        json_object_array_add(exports, out);
    }
    json_object_object_add(settings, "exports", exports);
}
