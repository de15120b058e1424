#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/inject_internal.h"

#define LIST_MAX     256
#define LIST_TEXT    256
#define IDLE_MAX     (30 * 24 * 3600)
#define IDLE_DEFAULT 3600

static int take_text(struct json_object *obj, const char *key, char **out,
                     struct tp_error *err)
{
    struct json_object *value = json_get(obj, key);

    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_string))
        return tp_error_set(err, -EINVAL, "\"%s\" is no text", key);
    if (json_object_get_string_len(value) == 0)
        return 0;
    *out = strdup(json_object_get_string(value));
    return *out ? 0 : tp_error_errno(err, -ENOMEM, "\"%s\"", key);
}

/* An array of texts that are not empty; kept as it is. */
static int take_list(struct json_object *obj, const char *key,
                     struct json_object **out, struct tp_error *err)
{
    struct json_object *list = json_get(obj, key);

    if (!list)
        return 0;
    if (!json_object_is_type(list, json_type_array) ||
        json_array_len(list) > LIST_MAX)
        return tp_error_set(err, -EINVAL, "\"%s\" is no list of at most %d",
                            key, LIST_MAX);
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *text = json_object_array_get_idx(list, i);

        if (!json_object_is_type(text, json_type_string) ||
            json_object_get_string_len(text) < 1 ||
            json_object_get_string_len(text) > LIST_TEXT)
            return tp_error_set(err, -EINVAL,
                                "\"%s\" holds what is no text of 1 to %d bytes",
                                key, LIST_TEXT);
    }
    *out = json_object_get(list);
    return 0;
}

static int take_resources(struct inject_settings *s, struct json_object *obj,
                          struct tp_error *err)
{
    struct json_object *value = json_get(obj, "resources");

    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_object))
        return tp_error_set(err, -EINVAL, "\"resources\" is no object");
    s->resources = json_object_get(value);
    return 0;
}

static int take_selector(struct json_object *obj, const char *key,
                         struct json_object **out, struct tp_error *err)
{
    struct json_object *value = json_get(obj, key);

    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_object))
        return tp_error_set(err, -EINVAL, "\"%s\" is no object", key);
    *out = json_object_get(value);
    return 0;
}

static int take_volumes(struct inject_settings *s, struct json_object *obj,
                        struct tp_error *err)
{
    struct json_object *value = json_get(obj, "volumes");

    if (!value)
        return 0;
    if (inject_policy_check(value, err) < 0)
        return tp_error_wrap(err, "\"volumes\"");
    s->volumes = json_object_get(value);
    return 0;
}

static int take_redirect(struct inject_settings *s, struct json_object *obj,
                         struct tp_error *err)
{
    const char *text = json_get_str(obj, "redirect", "initContainer");

    /* service: where the cluster lets init containers in, they do it. */
    s->redirect = !strcmp(text, "initContainer") || !strcmp(text, "service");
    if (!s->redirect && strcmp(text, "none") != 0)
        return tp_error_set(
            err, -EINVAL, "\"redirect\" is not initContainer, service or none");
    return 0;
}

static int take_numbers(struct inject_settings *s, struct json_object *obj,
                        struct tp_error *err)
{
    int64_t idle = json_get_int(obj, "idleSeconds", IDLE_DEFAULT);
    enum log_level level;

    if (idle < 0 || idle > IDLE_MAX)
        return tp_error_set(err, -EINVAL, "\"idleSeconds\" is not 0 to %d",
                            IDLE_MAX);
    s->idle_seconds = (unsigned)idle;
    s->native_sidecars = json_get_bool(obj, "nativeSidecars", false);
    if (!s->log_level)
        s->log_level = strdup("info");
    if (!s->log_level || log_parse_level(s->log_level, &level) < 0)
        return tp_error_set(err, -EINVAL,
                            "\"logLevel\" is not error, warn, info or debug");
    return 0;
}

static int take_all(struct inject_settings *s, struct json_object *obj,
                    struct tp_error *err)
{
    int rc = take_text(obj, "image", &s->image, err);

    if (rc == 0)
        rc = take_text(obj, "pullPolicy", &s->pull_policy, err);
    if (rc == 0)
        rc = take_text(obj, "logLevel", &s->log_level, err);
    if (rc == 0)
        rc = take_text(obj, "ca", &s->ca, err);
    if (rc == 0)
        rc = take_text(obj, "caFile", &s->ca_file, err);
    if (rc == 0)
        rc = take_list(obj, "pullSecrets", &s->pull_secrets, err);
    if (rc == 0)
        rc = take_list(obj, "exclude", &s->exclude, err);
    if (rc == 0)
        rc = take_resources(s, obj, err);
    if (rc == 0)
        rc = take_selector(obj, "namespaceSelector", &s->namespace_selector,
                           err);
    if (rc == 0)
        rc = take_selector(obj, "objectSelector", &s->object_selector, err);
    if (rc == 0)
        rc = take_volumes(s, obj, err);
    if (rc == 0)
        rc = take_redirect(s, obj, err);
    if (rc == 0)
        rc = take_numbers(s, obj, err);
    if (rc == 0 && !s->image)
        rc = tp_error_set(err, -EINVAL, "\"image\" is missing");
    return rc;
}

int inject_settings_parse(struct inject_settings *s, const char *text,
                          struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;

    memset(s, 0, sizeof(*s));
    obj = json_parse_text(text, strlen(text), err);
    if (!obj)
        return err ? err->code : -EBADMSG;
    if (!json_object_is_type(obj, json_type_object))
        return tp_error_set(err, -EINVAL, "it is no JSON object");
    return take_all(s, obj, err);
}

void inject_settings_release(struct inject_settings *s)
{
    free(s->image);
    free(s->pull_policy);
    json_object_put(s->pull_secrets);
    json_object_put(s->resources);
    json_object_put(s->exclude);
    json_object_put(s->namespace_selector);
    json_object_put(s->object_selector);
    json_object_put(s->volumes);
    free(s->log_level);
    free(s->ca);
    free(s->ca_file);
    free(s->own_ns);
    free(s->server_name);
    memset(s, 0, sizeof(*s));
}

static int copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

static int copy_json(struct json_object **to, struct json_object *from)
{
    *to = NULL;
    return from && json_object_deep_copy(from, to, NULL) < 0 ? -ENOMEM : 0;
}

int inject_settings_copy(struct inject_settings *to,
                         const struct inject_settings *from)
{
    const struct inject_settings *f = from;
    int bad = 0;

    *to = *from;
    bad |= copy_text(&to->image, f->image);
    bad |= copy_text(&to->pull_policy, f->pull_policy);
    bad |= copy_text(&to->log_level, f->log_level);
    bad |= copy_text(&to->ca, f->ca);
    bad |= copy_text(&to->ca_file, f->ca_file);
    bad |= copy_text(&to->own_ns, f->own_ns);
    bad |= copy_text(&to->server_name, f->server_name);
    bad |= copy_json(&to->pull_secrets, f->pull_secrets);
    bad |= copy_json(&to->resources, f->resources);
    bad |= copy_json(&to->exclude, f->exclude);
    bad |= copy_json(&to->volumes, f->volumes);
    bad |= copy_json(&to->namespace_selector, f->namespace_selector);
    bad |= copy_json(&to->object_selector, f->object_selector);
    return bad ? -ENOMEM : 0;
}

const char *inject_settings_missing(const struct inject_settings *s)
{
    if (!s->image || !s->log_level)
        return "it has no settings for agents";
    if (!s->ca)
        return "its authority's certificate is not known";
    if (!*s->manager || !s->server_name)
        return "its Service's address is not known";
    return NULL;
}
