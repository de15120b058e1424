#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "manager/hello.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static bool speaks(struct json_object *versions, int version)
{
    for (size_t i = 0; i < json_array_len(versions); i++) {
        struct json_object *v = json_object_array_get_idx(versions, i);

        if (json_object_is_type(v, json_type_int) &&
            json_object_get_int64(v) == version)
            return true;
    }
    return false;
}

char *hello_to_text(struct json_object *obj)
{
    return strdup(json_to_text(obj));
}

static int refuse(int status, const char *message, char **answer)
{
    cleanup_json struct json_object *obj = json_object_new_object();

    json_put_str(obj, "error", message);
    *answer = hello_to_text(obj);
    return status;
}

static int refuse_version(struct json_object *hello, const char *peer,
                          char **answer)
{
    char text[512];

    snprintf(text, sizeof(text),
             "no common protocol version: tp-manager %s speaks %d, %s %.64s "
             "speaks %.200s",
             PACKAGE_VERSION, PROTOCOL_VERSION, peer,
             json_get_str(hello, "version", "(unknown)"),
             json_object_to_json_string(json_get(hello, "protocol")));
    return refuse(409, text, answer);
}

int hello_read(const char *body, size_t len, const char *peer,
               struct json_object **out, char **answer)
{
    cleanup_json struct json_object *hello = NULL;
    struct tp_error err = {0};

    hello = json_parse_text(body, len, &err);
    if (!hello || !json_object_is_type(hello, json_type_object))
        return refuse(400, hello ? "hello is no object" : err.text, answer);
    if (!speaks(json_get_array(hello, "protocol"), PROTOCOL_VERSION))
        return refuse_version(hello, peer, answer);
    *out = json_object_get(hello);
    return 200;
}

struct json_object *hello_answer(void)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, "protocol",
                           json_object_new_int(PROTOCOL_VERSION));
    json_put_str(obj, "version", PACKAGE_VERSION);
    return obj;
}

char *hello_build(void)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    struct json_object *versions = json_object_new_array();
    struct json_object *features = json_object_new_array();

    json_object_array_add(versions, json_object_new_int(PROTOCOL_VERSION));
    json_object_array_add(features, json_object_new_string("engagements"));
    json_object_object_add(obj, "protocol", versions);
    json_put_str(obj, "version", PACKAGE_VERSION);
    json_object_object_add(obj, "features", features);
    return hello_to_text(obj);
}

int hello_check(int status, const char *body, size_t len)
{
    cleanup_json struct json_object *obj = NULL;

    if (status != 200)
        return -EPROTO;
    obj = json_parse_text(body, len, NULL);
    return json_get_int(obj, "protocol", 0) == PROTOCOL_VERSION ? 0 : -EPROTO;
}
