#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

static struct json_object *operation(struct json_object *patch, const char *op,
                                     const char *path)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "op", op);
    json_put_str(obj, "path", path);
    json_object_array_add(patch, obj);
    return obj;
}

void inject_patch_add(struct json_object *patch, const char *path,
                      struct json_object *value)
{
    json_object_object_add(operation(patch, "add", path), "value", value);
}

void inject_patch_set(struct json_object *patch, const char *path,
                      struct json_object *value)
{
    json_object_object_add(operation(patch, "replace", path), "value", value);
}

void inject_patch_remove(struct json_object *patch, const char *path)
{
    operation(patch, "remove", path);
}

/* RFC 6901 3; keys are our own and short. */
static void escape(char *out, size_t size, const char *key)
{
    size_t used = 0;

    for (; *key && used + 3 < size; key++) {
        if (*key == '~' || *key == '/') {
            out[used++] = '~';
            out[used++] = *key == '~' ? '0' : '1';
        } else {
            out[used++] = *key;
        }
    }
    out[used] = '\0';
}

void inject_patch_annotation(struct json_object *patch, const char *key,
                             const char *value)
{
    char path[160] = "/metadata/annotations/";
    size_t len = strlen(path);

    escape(path + len, sizeof(path) - len, key);
    inject_patch_add(patch, path, json_object_new_string(value));
}

void inject_patch_append(struct inject_list *list, struct json_object *value)
{
    char path[160];
    struct json_object *array;

    if (list->exists) {
        snprintf(path, sizeof(path), "%.150s/-", list->path);
        inject_patch_add(list->patch, path, value);
        return;
    }
    array = json_object_new_array();
    json_object_array_add(array, value);
    inject_patch_add(list->patch, list->path, array);
    list->exists = true;
}
