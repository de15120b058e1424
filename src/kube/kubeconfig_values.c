/* kubeconfig_values.c - typed reads of one kubeconfig entry */
#include "kube/kubeconfig_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"

#define MAX_PEM (1U << 20)

void kube_strv_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static int bad_type(const struct kube_entry *e, const char *key,
                    const char *want, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "%s '%s': %s must be %s", e->kind,
                        e->name, key, want);
}

static int out_of_memory(struct tp_error *err)
{
    return tp_error_set(err, -ENOMEM, "out of memory");
}

int kube_entry_text(const struct kube_entry *e, const char *key, char **out,
                    struct tp_error *err)
{
    struct json_object *value = NULL;

    *out = NULL;
    if (!e->obj || !json_object_object_get_ex(e->obj, key, &value) || !value)
        return 0;
    if (!json_object_is_type(value, json_type_string))
        return bad_type(e, key, "text (put it in quotes)", err);
    if (!*json_object_get_string(value))
        return 0;
    *out = strdup(json_object_get_string(value));
    return *out ? 0 : out_of_memory(err);
}

int kube_entry_bool(const struct kube_entry *e, const char *key, bool *out,
                    struct tp_error *err)
{
    struct json_object *value = NULL;

    *out = false;
    if (!e->obj || !json_object_object_get_ex(e->obj, key, &value) || !value)
        return 0;
    if (!json_object_is_type(value, json_type_boolean))
        return bad_type(e, key, "true or false", err);
    *out = json_object_get_boolean(value);
    return 0;
}

int kube_entry_list(const struct kube_entry *e, const char *key, char ***out,
                    struct tp_error *err)
{
    struct json_object *value = NULL;
    size_t count;

    *out = NULL;
    if (!e->obj || !json_object_object_get_ex(e->obj, key, &value) || !value)
        return 0;
    if (!json_object_is_type(value, json_type_array))
        return bad_type(e, key, "a list", err);
    count = json_object_array_length(value);
    *out = calloc(count + 1, sizeof(**out));
    if (!*out)
        return out_of_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(value, i);

        if (!json_object_is_type(item, json_type_string))
            return bad_type(e, key, "a list of texts", err);
        (*out)[i] = strdup(json_object_get_string(item));
        if (!(*out)[i])
            return out_of_memory(err);
    }
    return 0;
}

char *kube_entry_path(const struct kube_entry *e, const char *path)
{
    char *full = NULL;

    if (path[0] == '/' || !e->dir)
        return strdup(path);
    return asprintf(&full, "%s/%s", e->dir, path) < 0 ? NULL : full;
}

static int pem_from_data(const struct kube_entry *e, const char *key,
                         const char *data, char **out, struct tp_error *err)
{
    *out = base64_decode_text(data);
    if (!*out)
        return bad_type(e, key, "base64", err);
    return 0;
}

static int pem_from_file(const struct kube_entry *e, const char *path,
                         char **out, struct tp_error *err)
{
    cleanup_free char *full = kube_entry_path(e, path);

    if (!full)
        return out_of_memory(err);
    if (e->no_files) {
        *out = NULL;
        return 0;
    }
    if (file_read(full, MAX_PEM, out, NULL, err) < 0)
        return tp_error_wrap(err, "%s '%s'", e->kind, e->name);
    return 0;
}

int kube_entry_pem(const struct kube_entry *e, const char *key, char **out,
                   struct tp_error *err)
{
    cleanup_free char *data = NULL, *path = NULL;
    char data_key[64];
    int rc;

    *out = NULL;
    snprintf(data_key, sizeof(data_key), "%s-data", key);
    rc = kube_entry_text(e, data_key, &data, err);
    if (rc == 0)
        rc = kube_entry_text(e, key, &path, err);
    if (rc == 0 && data)
        rc = pem_from_data(e, data_key, data, out, err);
    else if (rc == 0 && path)
        rc = pem_from_file(e, path, out, err);
    if (rc < 0 || !*out)
        return rc;
    if (!strstr(*out, "-----BEGIN "))
        return bad_type(e, data ? data_key : key, "PEM text", err);
    return 0;
}
