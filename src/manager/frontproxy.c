#include "manager/frontproxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* Members of the ConfigMap's data hold JSON in strings; *out gets the array,
 * an empty one if the member is missing. */
static int parse_strings(struct json_object *data, const char *key,
                         struct json_object **out, struct tp_error *err)
{
    const char *text = json_get_str(data, key, "[]");
    struct json_object *array = json_parse_text(text, strlen(text), err);

    if (!array)
        return tp_error_wrap(err, "%s", key);
    *out = array;
    if (!json_object_is_type(array, json_type_array))
        return tp_error_set(err, -EBADMSG, "%s is no list", key);
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);

        if (!json_object_is_type(item, json_type_string) ||
            json_object_get_string_len(item) == 0)
            return tp_error_set(err, -EBADMSG, "%s is no list of names", key);
    }
    return 0;
}

int frontproxy_parse(struct frontproxy *fp, struct json_object *configmap,
                     bool allow_any, struct tp_error *err)
{
    struct json_object *data = json_get(configmap, "data");
    const char *ca = json_get_str(data, "requestheader-client-ca-file", "");
    int rc;

    memset(fp, 0, sizeof(*fp));
    if (!*ca)
        return tp_error_set(err, -ENOENT,
                            "the API server has no front-proxy CA "
                            "(--requestheader-client-ca-file)");
    fp->ca_pem = strdup(ca);
    if (!fp->ca_pem)
        return tp_error_errno(err, -ENOMEM, "front proxy");
    rc = parse_strings(data, "requestheader-allowed-names", &fp->names, err);
    if (rc == 0)
        rc = parse_strings(data, "requestheader-username-headers",
                           &fp->user_headers, err);
    if (rc == 0)
        rc = parse_strings(data, "requestheader-uid-headers", &fp->uid_headers,
                           err);
    if (rc == 0)
        rc = parse_strings(data, "requestheader-group-headers",
                           &fp->group_headers, err);
    if (rc == 0)
        rc = parse_strings(data, "requestheader-extra-headers-prefix",
                           &fp->extra_prefixes, err);
    if (rc < 0)
        return rc;
    if (json_array_len(fp->user_headers) == 0)
        return tp_error_set(err, -ENOENT,
                            "the API server names no header for "
                            "the user (--requestheader-username-headers)");
    if (json_array_len(fp->names) == 0 && !allow_any)
        return tp_error_set(err, -EPERM,
                            "the API server allows any front-proxy name "
                            "(--requestheader-allowed-names is empty): set it, "
                            "or --allow-any-front-proxy-name here");
    return 0;
}

void frontproxy_release(struct frontproxy *fp)
{
    free(fp->ca_pem);
    json_object_put(fp->names);
    json_object_put(fp->user_headers);
    json_object_put(fp->uid_headers);
    json_object_put(fp->group_headers);
    json_object_put(fp->extra_prefixes);
    memset(fp, 0, sizeof(*fp));
}

bool frontproxy_equal(const struct frontproxy *a, const struct frontproxy *b)
{
    return a->ca_pem && b->ca_pem && !strcmp(a->ca_pem, b->ca_pem) &&
           json_object_equal(a->names, b->names) &&
           json_object_equal(a->user_headers, b->user_headers) &&
           json_object_equal(a->uid_headers, b->uid_headers) &&
           json_object_equal(a->group_headers, b->group_headers) &&
           json_object_equal(a->extra_prefixes, b->extra_prefixes);
}

bool frontproxy_allows_name(const struct frontproxy *fp, const char *name)
{
    size_t count = json_array_len(fp->names);

    if (count == 0)
        return fp->names != NULL; /* refused at parsing unless wanted */
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(
                json_object_get_string(json_object_array_get_idx(fp->names, i)),
                name))
            return true;
    }
    return false;
}
