#include "base/json.h"

#include <errno.h>
#include <string.h>

#define JSON_MAX_DEPTH 32

struct json_object *json_get(struct json_object *obj, const char *path)
{
    char key[128];

    while (obj && *path) {
        size_t len = strcspn(path, ".");

        if (len >= sizeof(key) || !json_object_is_type(obj, json_type_object))
            return NULL;
        memcpy(key, path, len);
        key[len] = '\0';
        if (!json_object_object_get_ex(obj, key, &obj))
            return NULL;
        path += len + (path[len] == '.');
    }
    return obj;
}

struct json_object *json_member(struct json_object *obj, const char *key)
{
    struct json_object *value = NULL;

    if (!obj || !json_object_is_type(obj, json_type_object) ||
        !json_object_object_get_ex(obj, key, &value))
        return NULL;
    return value;
}

const char *json_member_str(struct json_object *obj, const char *key,
                            const char *fallback)
{
    struct json_object *value = json_member(obj, key);

    return value && json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : fallback;
}

const char *json_get_str(struct json_object *obj, const char *path,
                         const char *fallback)
{
    struct json_object *value = json_get(obj, path);

    if (!value || !json_object_is_type(value, json_type_string))
        return fallback;
    return json_object_get_string(value);
}

int64_t json_get_int(struct json_object *obj, const char *path,
                     int64_t fallback)
{
    struct json_object *value = json_get(obj, path);

    if (!value || !json_object_is_type(value, json_type_int))
        return fallback;
    return json_object_get_int64(value);
}

bool json_get_bool(struct json_object *obj, const char *path, bool fallback)
{
    struct json_object *value = json_get(obj, path);

    if (!value || !json_object_is_type(value, json_type_boolean))
        return fallback;
    return json_object_get_boolean(value);
}

struct json_object *json_get_array(struct json_object *obj, const char *path)
{
    struct json_object *value = json_get(obj, path);

    return value && json_object_is_type(value, json_type_array) ? value : NULL;
}

size_t json_array_len(struct json_object *array)
{
    /* json-c asserts the type, and foreign text decides it. */
    return json_object_is_type(array, json_type_array)
               ? json_object_array_length(array)
               : 0;
}

bool json_array_has(struct json_object *array, const char *text)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);

        if (json_object_is_type(item, json_type_string) &&
            !strcmp(json_object_get_string(item), text))
            return true;
    }
    return false;
}

void json_put_str(struct json_object *obj, const char *key, const char *value)
{
    if (value)
        json_object_object_add(obj, key, json_object_new_string(value));
}

void json_put_int(struct json_object *obj, const char *key, int64_t value)
{
    json_object_object_add(obj, key, json_object_new_int64(value));
}

void json_put_bool(struct json_object *obj, const char *key, bool value)
{
    json_object_object_add(obj, key, json_object_new_boolean(value));
}

const char *json_to_text(struct json_object *obj)
{
    return json_object_to_json_string_ext(
        obj, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_object *json_parse_text(const char *text, size_t len,
                                    struct tp_error *err)
{
    struct json_tokener *tok = json_tokener_new_ex(JSON_MAX_DEPTH);
    struct json_object *obj;
    enum json_tokener_error jerr;

    if (!tok || len > INT32_MAX) {
        tp_error_set(err, -EINVAL, "JSON text too large");
        if (tok)
            json_tokener_free(tok);
        return NULL;
    }
    obj = json_tokener_parse_ex(tok, text, (int)len);
    jerr = json_tokener_get_error(tok);
    if (!obj || jerr != json_tokener_success) {
        tp_error_set(err, -EBADMSG, "not JSON: %s",
                     jerr == json_tokener_continue
                         ? "the text ends too early"
                         : json_tokener_error_desc(jerr));
        if (obj)
            json_object_put(obj);
        obj = NULL;
    }
    json_tokener_free(tok);
    return obj;
}
