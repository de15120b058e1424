#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

const char *inject_annotation(struct json_object *pod, const char *key)
{
    struct json_object *all = json_get(pod, "metadata.annotations"), *value;

    if (!json_object_is_type(all, json_type_object) ||
        !json_object_object_get_ex(all, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

struct json_object *inject_containers(struct json_object *pod)
{
    return json_get_array(pod, "spec.containers");
}

struct json_object *inject_init_containers(struct json_object *pod)
{
    return json_get_array(pod, "spec.initContainers");
}

const char *inject_container_name(struct json_object *container)
{
    return json_get_str(container, "name", "");
}

static bool is_sidecar(struct json_object *container)
{
    return !strcmp(json_get_str(container, "restartPolicy", ""), "Always");
}

static struct json_object *find(struct json_object *array, const char *name,
                                bool sidecars_only)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *c = json_object_array_get_idx(array, i);

        if (!strcmp(inject_container_name(c), name))
            return sidecars_only && !is_sidecar(c) ? NULL : c;
    }
    return NULL;
}

struct json_object *inject_find(struct json_object *pod, const char *name)
{
    struct json_object *c = find(inject_containers(pod), name, false);

    return c ? c : find(inject_init_containers(pod), name, true);
}

bool inject_is_of_job(struct json_object *pod)
{
    struct json_object *owners =
        json_get_array(pod, "metadata.ownerReferences");

    for (size_t i = 0; i < json_array_len(owners); i++) {
        struct json_object *owner = json_object_array_get_idx(owners, i);

        if (!strcmp(json_get_str(owner, "kind", ""), "Job") &&
            !strncmp(json_get_str(owner, "apiVersion", ""), "batch/", 6))
            return true;
    }
    return false;
}

bool inject_is_host_network(struct json_object *pod)
{
    return json_get_bool(pod, "spec.hostNetwork", false);
}

struct inject_declared inject_declared_read(struct json_object *entry)
{
    const char *protocol = json_get_str(entry, "protocol", "TCP");
    int64_t port = json_get_int(entry, "containerPort", 0);
    struct inject_declared d = {
        .udp = !strcmp(protocol, "UDP"),
        .name = json_get_str(entry, "name", ""),
    };

    d.known =
        port > 0 && port <= UINT16_MAX && (d.udp || !strcmp(protocol, "TCP"));
    d.port = d.known ? (uint16_t)port : 0;
    return d;
}

struct json_object *inject_find_port(struct json_object *container,
                                     uint16_t port, bool udp, const char *name)
{
    struct json_object *ports = json_get_array(container, "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *entry = json_object_array_get_idx(ports, i);
        struct inject_declared d = inject_declared_read(entry);

        if (d.known && d.port == port && d.udp == udp &&
            (!name || !strcmp(d.name, name)))
            return entry;
    }
    return NULL;
}

static bool declares(struct json_object *array, uint16_t port, bool udp,
                     const char *but)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *c = json_object_array_get_idx(array, i);

        if ((!but || strcmp(inject_container_name(c), but) != 0) &&
            inject_find_port(c, port, udp, NULL))
            return true;
    }
    return false;
}

bool inject_is_declared(struct json_object *pod, uint16_t port, bool udp,
                        const char *but)
{
    return declares(inject_containers(pod), port, udp, but) ||
           declares(inject_init_containers(pod), port, udp, but);
}
