#include "manager/direct.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static void add(struct json_object *list, const char *host, int64_t port)
{
    const char *open = strchr(host, ':') ? "[" : "";
    const char *close = *open ? "]" : "";
    char text[DIRECT_HOST_MAX + 16];

    if (!*host || strlen(host) >= DIRECT_HOST_MAX || port < 1 || port > 65535 ||
        json_array_len(list) >= DIRECT_ENDPOINTS_MAX)
        return;
    snprintf(text, sizeof(text), "%s%s%s:%u", open, host, close,
             (unsigned)port);
    json_object_array_add(list, json_object_new_string(text));
}

static void add_balancers(struct json_object *list, struct json_object *service,
                          int64_t port)
{
    struct json_object *found =
        json_get_array(service, "status.loadBalancer.ingress");

    for (size_t i = 0; i < json_array_len(found); i++) {
        struct json_object *item = json_object_array_get_idx(found, i);

        add(list, json_get_str(item, "ip", json_get_str(item, "hostname", "")),
            port);
    }
}

struct json_object *direct_endpoints_of(struct json_object *service,
                                        struct json_object *nodes)
{
    struct json_object *list = json_object_new_array();
    struct json_object *ports = json_get_array(service, "spec.ports");
    struct json_object *port =
        json_array_len(ports) ? json_object_array_get_idx(ports, 0) : NULL;
    const char *type = json_get_str(service, "spec.type", "");

    if (!strcmp(type, "LoadBalancer"))
        add_balancers(list, service, json_get_int(port, "port", 0));
    if (!strcmp(type, "NodePort")) {
        for (size_t i = 0; i < json_array_len(nodes); i++)
            add(list,
                json_object_get_string(json_object_array_get_idx(nodes, i)),
                json_get_int(port, "nodePort", 0));
    }
    return list;
}

static int take_given(struct json_object *list, const char *text,
                      struct tp_error *err)
{
    struct direct_endpoint endpoint;
    int rc;

    if (json_array_len(list) >= DIRECT_ENDPOINTS_MAX)
        return tp_error_set(err, -EINVAL,
                            "--direct-endpoints: there are more than %d",
                            DIRECT_ENDPOINTS_MAX);
    rc = direct_endpoint_parse(&endpoint, text, err);
    if (rc < 0)
        return tp_error_wrap(err, "--direct-endpoints");
    json_object_array_add(list, json_object_new_string(text));
    return 0;
}

struct json_object *direct_endpoints_parse(const char *text,
                                           struct tp_error *err)
{
    struct json_object *list = json_object_new_array();
    cleanup_free char *copy = strdup(text);
    char *state = NULL;

    for (char *item = copy ? strtok_r(copy, ",", &state) : NULL; item;
         item = strtok_r(NULL, ",", &state)) {
        if (take_given(list, item, err) < 0) {
            json_object_put(list);
            return NULL;
        }
    }
    return list;
}
