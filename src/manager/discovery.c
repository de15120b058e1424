#include "manager/discovery.h"

#include <stddef.h>
#include <string.h>

#include "base/json.h"

static const struct {
    const char *path;
    const char *json;
} documents[] = {
    {"/apis",
     "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[{"
     "\"name\":\"connect.tp.internal\",\"versions\":[{"
     "\"groupVersion\":\"connect.tp.internal/v1\",\"version\":\"v1\"}],"
     "\"preferredVersion\":{\"groupVersion\":\"connect.tp.internal/v1\","
     "\"version\":\"v1\"}}]}"},
    {"/apis/connect.tp.internal",
     "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\","
     "\"name\":\"connect.tp.internal\",\"versions\":[{"
     "\"groupVersion\":\"connect.tp.internal/v1\",\"version\":\"v1\"}],"
     "\"preferredVersion\":{\"groupVersion\":\"connect.tp.internal/v1\","
     "\"version\":\"v1\"}}"},
    {"/apis/connect.tp.internal/v1",
     "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\","
     "\"groupVersion\":\"connect.tp.internal/v1\",\"resources\":["
     "{\"name\":\"connections\",\"singularName\":\"connection\","
     "\"namespaced\":true,\"kind\":\"Connection\","
     "\"verbs\":[\"create\",\"get\"]},"
     "{\"name\":\"connections/portforward\",\"singularName\":\"\","
     "\"namespaced\":true,\"kind\":\"Connection\","
     "\"verbs\":[\"create\",\"get\"]}]}"},
};

const char *discovery_document(const char *path)
{
    for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
        if (!strcmp(documents[i].path, path))
            return documents[i].json;
    }
    return NULL;
}

struct json_object *discovery_status(int code, const char *reason,
                                     const char *message)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "kind", "Status");
    json_put_str(obj, "apiVersion", "v1");
    json_object_object_add(obj, "metadata", json_object_new_object());
    json_put_str(obj, "status", "Failure");
    json_put_str(obj, "message", message);
    json_put_str(obj, "reason", reason);
    json_put_int(obj, "code", code);
    return obj;
}
