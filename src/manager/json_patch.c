#include "manager/json_patch.h"

#include <stdlib.h>
#include <string.h>

/* The last piece of a pointer, unescaped, and the value that holds it. */
struct place {
    struct json_object *parent;
    char key[256];
};

static bool next_piece(const char **at, char key[256])
{
    const char *p = *at;
    size_t used = 0;

    if (*p++ != '/')
        return false;
    for (; *p && *p != '/' && used < 255; p++) {
        if (*p == '~') {
            p++;
            if (*p != '0' && *p != '1')
                return false;
            key[used++] = *p == '0' ? '~' : '/';
        } else {
            key[used++] = *p;
        }
    }
    key[used] = '\0';
    *at = p;
    return true;
}

/* An index of RFC 6901: digits without leading zero. */
static bool to_index(const char *key, size_t *index)
{
    if (!*key || key[strspn(key, "0123456789")] || (*key == '0' && key[1]))
        return false;
    *index = strtoul(key, NULL, 10);
    return true;
}

static struct json_object *child(struct json_object *parent, const char *key)
{
    struct json_object *value = NULL;
    size_t index;

    if (json_object_is_type(parent, json_type_object))
        json_object_object_get_ex(parent, key, &value);
    else if (json_object_is_type(parent, json_type_array) &&
             to_index(key, &index) && index < json_object_array_length(parent))
        value = json_object_array_get_idx(parent, index);
    return value;
}

static bool find_place(struct json_object *doc, const char *path,
                       struct place *out)
{
    out->parent = doc;
    if (!next_piece(&path, out->key))
        return false;
    while (*path) {
        out->parent = child(out->parent, out->key);
        if (!out->parent || !next_piece(&path, out->key))
            return false;
    }
    return json_object_is_type(out->parent, json_type_object) ||
           json_object_is_type(out->parent, json_type_array);
}

static bool insert(struct json_object *array, const char *key,
                   struct json_object *value)
{
    size_t len = json_object_array_length(array), index;

    if (!strcmp(key, "-"))
        index = len;
    else if (!to_index(key, &index) || index > len)
        return false;
    json_object_array_add(array, NULL);
    for (size_t i = len; i > index; i--) {
        struct json_object *moved = json_object_array_get_idx(array, i - 1);

        json_object_array_put_idx(array, i, json_object_get(moved));
    }
    json_object_array_put_idx(array, index, value);
    return true;
}

static bool add(struct place *at, struct json_object *value)
{
    if (json_object_is_type(at->parent, json_type_array))
        return insert(at->parent, at->key, value);
    return json_object_object_add(at->parent, at->key, value) == 0;
}

static bool drop(struct place *at)
{
    size_t index;

    if (!child(at->parent, at->key))
        return false;
    if (json_object_is_type(at->parent, json_type_object)) {
        json_object_object_del(at->parent, at->key);
        return true;
    }
    return to_index(at->key, &index) &&
           json_object_array_del_idx(at->parent, index, 1) == 0;
}

static const char *text_of(struct json_object *op, const char *key)
{
    struct json_object *value = child(op, key);

    return value ? json_object_get_string(value) : "";
}

static bool apply(struct json_object *doc, struct json_object *op)
{
    const char *name = text_of(op, "op");
    struct json_object *value = child(op, "value"), *copy = NULL;
    struct place at;

    if (!find_place(doc, text_of(op, "path"), &at))
        return false;
    if (!strcmp(name, "remove"))
        return drop(&at);
    if (!value)
        return false;
    if (!strcmp(name, "test"))
        return json_object_equal(child(at.parent, at.key), value);
    if (strcmp(name, "add") != 0 &&
        (strcmp(name, "replace") != 0 || !drop(&at)))
        return false;
    json_object_deep_copy(value, &copy, NULL);
    if (add(&at, copy))
        return true;
    json_object_put(copy);
    return false;
}

const char *json_patch_run(struct json_object *doc, struct json_object *patch)
{
    for (size_t i = 0; i < json_object_array_length(patch); i++) {
        struct json_object *op = json_object_array_get_idx(patch, i);

        if (!apply(doc, op))
            return json_object_to_json_string_ext(op, JSON_C_TO_STRING_PLAIN);
    }
    return NULL;
}

struct json_object *json_pointer_value(struct json_object *doc,
                                       const char *path)
{
    struct place at;

    if (!*path)
        return doc;
    return find_place(doc, path, &at) ? child(at.parent, at.key) : NULL;
}

bool json_pointer_put(struct json_object *doc, const char *path,
                      struct json_object *value)
{
    struct place at;

    if (!find_place(doc, path, &at) ||
        !json_object_is_type(at.parent, json_type_object)) {
        json_object_put(value);
        return false;
    }
    if (value)
        return json_object_object_add(at.parent, at.key, value) == 0;
    json_object_object_del(at.parent, at.key);
    return true;
}
