/*
 * json_patch.h - applies a JSON patch as the API server does (RFC 6902)
 *
 * For what injection wants of a pod template where no webhook does it.
 */
#ifndef TP_MANAGER_JSON_PATCH_H
#define TP_MANAGER_JSON_PATCH_H

#include <stdbool.h>

#include <json-c/json.h>

/* RFC 6902 with add, replace, remove, test; `doc` is changed in place. NULL, or
 * the operation that cannot be applied, as text (borrowed from the patch). */
const char *json_patch_run(struct json_object *doc, struct json_object *patch);

/* The value at a JSON pointer (RFC 6901), borrowed, or NULL. */
struct json_object *json_pointer_value(struct json_object *doc,
                                       const char *path);
/* Puts a value (owned; NULL: none) there; false if there is no such place. */
bool json_pointer_put(struct json_object *doc, const char *path,
                      struct json_object *value);

#endif
