/*
 * inject_volumes.c - the containers' volume mounts, for the agent's file server
 *
 * What an engaged container mounts at PATH the agent mounts at
 * /run/tp/files/CONTAINER/PATH: the same volume, subPath and readOnly, in the
 * same order, so that what is nested in the container is nested there. The
 * agent's own volume is never among them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

#define FILES_DIR  "/run/tp/files"
#define PATH_MAX_  512
#define MOUNTS_MAX 64 /* of a container; the file server has as many */

static struct json_object *find_volume(struct json_object *pod,
                                       const char *name)
{
    struct json_object *list = json_get_array(pod, "spec.volumes");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *volume = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(volume, "name", ""), name))
            return volume;
    }
    return NULL;
}

/* Does it hold a token of the service account? */
static bool has_token(struct json_object *volume)
{
    struct json_object *sources = json_get_array(volume, "projected.sources");

    for (size_t i = 0; i < json_array_len(sources); i++) {
        if (json_get(json_object_array_get_idx(sources, i),
                     "serviceAccountToken"))
            return true;
    }
    return false;
}

/* Absolute and plain: no "//", ".", "..", no "/" at the end. False if it cannot
 * be that, or is all there is. */
static bool plain_path(const char *text, char out[PATH_MAX_])
{
    size_t used = 0;

    while (*text) {
        size_t len = strcspn(text, "/");
        bool dot = len == 1 && text[0] == '.';

        if (len == 2 && text[0] == '.' && text[1] == '.')
            return false;
        if (used + len + 2 > PATH_MAX_)
            return false;
        if (len > 0 && !dot) {
            out[used++] = '/';
            memcpy(out + used, text, len);
            used += len;
        }
        text += len + (text[len] == '/');
    }
    out[used] = '\0';
    return used > 0;
}

/* "subPathExpr" names variables that the agent has under other names. */
static enum inject_volume_policy
decide(struct json_object *of_pod, struct json_object *of_chart,
       struct json_object *mount, struct json_object *volume, const char *path)
{
    const bool in_memory =
        !strcmp(json_get_str(volume, "emptyDir.medium", ""), "Memory");
    enum inject_volume_policy policy = inject_policy_decide(
        of_pod, of_chart, json_get_str(volume, "name", ""), path, in_memory);

    if (policy != INJECT_VOLUME_IGNORE && json_get(mount, "subPathExpr"))
        return INJECT_VOLUME_LOCAL;
    return policy;
}

static void add_mount(struct json_object *list, struct json_object *mount,
                      struct json_object *volume, const char *path,
                      enum inject_volume_policy policy)
{
    struct json_object *out = json_object_new_object();
    bool read_only = policy == INJECT_VOLUME_READ_ONLY ||
                     json_get_bool(mount, "readOnly", false);

    json_put_str(out, "path", path);
    json_put_str(out, "volume", json_get_str(volume, "name", ""));
    json_put_str(out, "subPath", json_get_str(mount, "subPath", NULL));
    if (read_only)
        json_object_object_add(out, "readOnly", json_object_new_boolean(true));
    if (has_token(volume))
        json_object_object_add(out, "token", json_object_new_boolean(true));
    if (policy == INJECT_VOLUME_LOCAL)
        json_put_str(out, "policy", inject_policy_name(policy));
    json_object_array_add(list, out);
}

static struct json_object *read_container(struct json_object *pod,
                                          struct json_object *container,
                                          struct json_object *of_pod,
                                          struct json_object *of_chart)
{
    struct json_object *mounts = json_get_array(container, "volumeMounts");
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < json_array_len(mounts); i++) {
        struct json_object *mount = json_object_array_get_idx(mounts, i);
        const char *name = json_get_str(mount, "name", "");
        struct json_object *volume = find_volume(pod, name);
        enum inject_volume_policy policy;
        char path[PATH_MAX_];

        if (!volume || !strcmp(name, INJECT_VOLUME) ||
            json_array_len(list) == MOUNTS_MAX ||
            !plain_path(json_get_str(mount, "mountPath", ""), path))
            continue;
        policy = decide(of_pod, of_chart, mount, volume, path);
        if (policy != INJECT_VOLUME_IGNORE)
            add_mount(list, mount, volume, path, policy);
    }
    return list;
}

int inject_volumes_read(struct inject_config *c,
                        const struct inject_settings *s,
                        struct json_object *pod, struct tp_error *why)
{
    struct json_object *of_pod, *all = json_object_new_object();
    int rc = inject_policy_of_pod(pod, &of_pod, why);

    for (size_t i = 0; rc == 0 && i < c->container_count; i++) {
        struct json_object *container = inject_find(pod, c->containers[i]);
        struct json_object *list =
            read_container(pod, container, of_pod, s->volumes);

        if (json_array_len(list) > 0)
            json_object_object_add(all, c->containers[i], list);
        else
            json_object_put(list);
    }
    json_object_put(of_pod);
    if (rc < 0 || json_object_object_length(all) == 0) {
        json_object_put(all);
        all = NULL;
    }
    c->mounts = all;
    return rc;
}

static struct json_object *agent_mount(const char *container,
                                       struct json_object *from)
{
    struct json_object *out = json_object_new_object();
    char path[PATH_MAX_ + 128];

    snprintf(path, sizeof(path), FILES_DIR "/%s%s", container,
             json_get_str(from, "path", ""));
    json_put_str(out, "name", json_get_str(from, "volume", ""));
    json_put_str(out, "mountPath", path);
    json_put_str(out, "subPath", json_get_str(from, "subPath", NULL));
    if (json_get_bool(from, "readOnly", false))
        json_object_object_add(out, "readOnly", json_object_new_boolean(true));
    return out;
}

void inject_volumes_mount(const struct inject_config *c,
                          struct json_object *mounts)
{
    for (size_t i = 0; i < c->container_count; i++) {
        struct json_object *list = json_member(c->mounts, c->containers[i]);

        for (size_t j = 0; j < json_array_len(list); j++) {
            struct json_object *from = json_object_array_get_idx(list, j);

            if (!json_get(from, "policy"))
                json_object_array_add(mounts,
                                      agent_mount(c->containers[i], from));
        }
    }
}
