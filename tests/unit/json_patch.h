/* json_patch.h - applies a JSON patch as the API server does, for tests */
#ifndef TP_TESTS_JSON_PATCH_H
#define TP_TESTS_JSON_PATCH_H

#include <json-c/json.h>

/* RFC 6902 with add, replace, remove, test; `doc` is changed in place. NULL, or
 * the operation that cannot be applied, as text (borrowed from the patch). */
const char *json_patch_apply(struct json_object *doc,
                             struct json_object *patch);

#endif
