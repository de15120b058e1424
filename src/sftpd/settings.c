#include "sftpd/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"

#define KEY_TYPE "ssh-ed25519 "

static int take_export(struct sftpd_settings *s, struct json_object *obj,
                       struct tp_error *err)
{
    const char *path = json_get_str(obj, "path", NULL);
    const char *source = json_get_str(obj, "source", NULL);

    if (!path || !source)
        return tp_error_set(err, -EINVAL, "an export without path or source");
    return sftpd_exports_add(&s->exports, path, source,
                             json_get_bool(obj, "readOnly", true), err);
}

static int take_keys(struct sftpd_settings *s, struct json_object *obj,
                     struct tp_error *err)
{
    const char *key = json_get_str(obj, "key", "");
    const char *host_key = json_get_str(obj, "hostKey", "");

    if (strncmp(key, KEY_TYPE, strlen(KEY_TYPE)) != 0 || !*host_key)
        return tp_error_set(err, -EINVAL,
                            "\"key\" is no ed25519 key, or \"hostKey\" is "
                            "missing");
    s->key =
        strndup(key + strlen(KEY_TYPE), strcspn(key + strlen(KEY_TYPE), " \n"));
    s->host_key = strdup(host_key);
    return s->key && s->host_key ? 0 : tp_error_errno(err, -ENOMEM, "keys");
}

int sftpd_settings_parse(struct sftpd_settings *s, const char *text, size_t len,
                         struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    struct json_object *list;
    int rc;

    memset(s, 0, sizeof(*s));
    obj = json_parse_text(text, len, err);
    if (!obj)
        return err ? err->code : -EINVAL;
    s->read_only = json_get_bool(obj, "readOnly", true);
    rc = take_keys(s, obj, err);
    list = json_get_array(obj, "exports");
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++)
        rc = take_export(s, json_object_array_get_idx(list, i), err);
    return rc;
}

int sftpd_settings_read(struct sftpd_settings *s, int fd, struct tp_error *err)
{
    cleanup_secret char *text = calloc(1, SFTPD_SETTINGS_MAX + 2);
    size_t used = 0;
    ssize_t got;

    memset(s, 0, sizeof(*s));
    if (!text)
        return tp_error_errno(err, -ENOMEM, "settings");
    while ((got = read(fd, text + used, SFTPD_SETTINGS_MAX + 1 - used)) > 0)
        used += (size_t)got;
    if (got < 0)
        return tp_error_errno(err, -errno, "descriptor %d: settings", fd);
    if (used > SFTPD_SETTINGS_MAX)
        return tp_error_set(err, -EMSGSIZE, "more than %d bytes of settings",
                            SFTPD_SETTINGS_MAX);
    return sftpd_settings_parse(s, text, used, err);
}

void sftpd_settings_release(struct sftpd_settings *s)
{
    free(s->key);
    secret_free(s->host_key);
    s->key = s->host_key = NULL;
    sftpd_exports_release(&s->exports);
}
