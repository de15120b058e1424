/*
 * json.h - short reads of json-c objects
 *
 * All getters take a dotted path ("spec.clusterIP"), return borrowed values and
 * a default where a member is absent or of another type. Foreign JSON is
 * parsed by json_parse_text(), which limits size and depth.
 */
#ifndef TP_BASE_JSON_H
#define TP_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/error.h"

/* The member at path, or NULL. Borrowed. */
struct json_object *json_get(struct json_object *obj, const char *path);

/* The member of that very name, which may hold dots (annotations, labels), or
 * NULL. Borrowed. */
struct json_object *json_member(struct json_object *obj, const char *key);
/* The same where it is a string. */
const char *json_member_str(struct json_object *obj, const char *key,
                            const char *fallback);

const char *json_get_str(struct json_object *obj, const char *path,
                         const char *fallback);
int64_t json_get_int(struct json_object *obj, const char *path,
                     int64_t fallback);
bool json_get_bool(struct json_object *obj, const char *path, bool fallback);

/* The array at path, or NULL; json_array_len() of NULL, or of what is no array,
 * is 0. */
struct json_object *json_get_array(struct json_object *obj, const char *path);
size_t json_array_len(struct json_object *array);
/* True if one of its items is that string. */
bool json_array_has(struct json_object *array, const char *text);

/* Sets a string member; a NULL value sets nothing. */
void json_put_str(struct json_object *obj, const char *key, const char *value);
void json_put_int(struct json_object *obj, const char *key, int64_t value);
void json_put_bool(struct json_object *obj, const char *key, bool value);

/* The text without white space; the object owns it. */
const char *json_to_text(struct json_object *obj);

/* Parses one JSON document of at most 32 levels. The caller owns the result
 * (json_object_put). NULL with err filled. */
struct json_object *json_parse_text(const char *text, size_t len,
                                    struct tp_error *err);

#endif
