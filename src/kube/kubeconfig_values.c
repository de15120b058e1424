/* kubeconfig_values.c - typed reads of one kubeconfig entry */
#include "kube/kubeconfig_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
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

/* Reads until the end or until more than max bytes are there. */
static ssize_t read_all(int fd, char *data, size_t max)
{
    size_t used = 0;

    while (used <= max) {
        ssize_t n = read(fd, data + used, max + 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return (ssize_t)used;
        used += (size_t)n;
    }
    return -EMSGSIZE;
}

int kube_read_file(const char *path, size_t max, char **out, size_t *len,
                   struct tp_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cleanup_free char *data = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return tp_error_errno(err, -errno, "cannot read %s", path);
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
        return tp_error_errno(err, -EISDIR, "cannot read %s", path);
    data = malloc(max + 2);
    if (!data)
        return out_of_memory(err);
    n = read_all(fd, data, max);
    if (n == -EMSGSIZE)
        return tp_error_set(err, -EMSGSIZE, "%s is larger than %zu KiB", path,
                            max >> 10);
    if (n < 0)
        return tp_error_errno(err, (int)n, "cannot read %s", path);
    data[n] = '\0';
    *out = realloc(data, (size_t)n + 1);
    if (!*out)
        return out_of_memory(err);
    data = NULL;
    if (len)
        *len = (size_t)n;
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

char *kube_base64_decode(const char *text)
{
    cleanup_free char *out = malloc(strlen(text) / 4 * 3 + 4);
    size_t used = 0, digits = 0, pads = 0;
    uint32_t bits = 0;
    char *result;

    for (const char *p = text; out && *p; p++) {
        int value = base64_value(*p);

        if (strchr(" \t\r\n", *p))
            continue;
        pads += *p == '=';
        if (value < 0 ? *p != '=' : pads > 0)
            return NULL;
        bits = bits << 6 | (value < 0 ? 0 : (uint32_t)value);
        if (++digits % 4 != 0)
            continue;
        out[used++] = (char)(bits >> 16);
        out[used++] = (char)(bits >> 8);
        out[used++] = (char)bits;
    }
    if (!out || digits % 4 != 0 || pads > 2 || used < pads)
        return NULL;
    used -= pads;
    out[used] = '\0';
    if (memchr(out, '\0', used))
        return NULL;
    result = out;
    out = NULL;
    return result;
}

char *kube_base64_encode(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text), used = 0;
    char *out = malloc((len + 2) / 3 * 4 + 1);

    for (size_t i = 0; out && i < len; i += 3) {
        uint32_t bits = (uint32_t)(uint8_t)text[i] << 16;

        if (i + 1 < len)
            bits |= (uint32_t)(uint8_t)text[i + 1] << 8;
        if (i + 2 < len)
            bits |= (uint8_t)text[i + 2];
        out[used++] = digits[bits >> 18];
        out[used++] = digits[bits >> 12 & 63];
        out[used++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[used++] = i + 2 < len ? digits[bits & 63] : '=';
    }
    if (out)
        out[used] = '\0';
    return out;
}

static int pem_from_data(const struct kube_entry *e, const char *key,
                         const char *data, char **out, struct tp_error *err)
{
    *out = kube_base64_decode(data);
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
    if (kube_read_file(full, MAX_PEM, out, NULL, err) < 0)
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
