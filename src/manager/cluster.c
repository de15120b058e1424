#include "manager/cluster.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

/* Adds what is a subnet or an address; anything else is not ours to judge. */
static int add_text(struct subnets *out, const char *text)
{
    int rc = text ? subnets_add_text(out, text) : 0;

    return rc == -EINVAL ? 0 : rc;
}

static int add_strings(struct subnets *out, struct json_object *array)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(array); i++)
        rc = add_text(
            out, json_object_get_string(json_object_array_get_idx(array, i)));
    return rc;
}

int cluster_add_service_cidrs(struct subnets *out, struct json_object *list)
{
    struct json_object *items = json_get_array(list, "items");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++) {
        struct json_object *item = json_object_array_get_idx(items, i);

        rc = add_strings(out, json_get_array(item, "spec.cidrs"));
    }
    return rc;
}

static int add_node_addresses(struct subnets *out, struct json_object *array)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(array); i++) {
        struct json_object *entry = json_object_array_get_idx(array, i);
        const char *type = json_get_str(entry, "type", "");

        if (!strcmp(type, "InternalIP") || !strcmp(type, "ExternalIP"))
            rc = add_text(out, json_get_str(entry, "address", NULL));
    }
    return rc;
}

int cluster_add_nodes(struct subnets *pods, struct subnets *addresses,
                      struct json_object *list)
{
    struct json_object *items = json_get_array(list, "items");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++) {
        struct json_object *item = json_object_array_get_idx(items, i);
        struct json_object *cidrs = json_get_array(item, "spec.podCIDRs");

        rc = cidrs ? add_strings(pods, cidrs)
                   : add_text(pods, json_get_str(item, "spec.podCIDR", NULL));
        if (rc == 0)
            rc = add_node_addresses(addresses,
                                    json_get_array(item, "status.addresses"));
    }
    return rc;
}

void cluster_name_nodes(struct json_object *array, struct json_object *list,
                        size_t max)
{
    struct json_object *items = json_get_array(list, "items");

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *addresses = json_get_array(
            json_object_array_get_idx(items, i), "status.addresses");

        for (size_t j = 0; j < json_array_len(addresses); j++) {
            struct json_object *a = json_object_array_get_idx(addresses, j);
            const char *type = json_get_str(a, "type", "");

            if (json_array_len(array) < max &&
                (!strcmp(type, "InternalIP") || !strcmp(type, "ExternalIP")))
                json_object_array_add(
                    array,
                    json_object_new_string(json_get_str(a, "address", "")));
        }
    }
}

const char *cluster_continue(struct json_object *list)
{
    return json_get_str(list, "metadata.continue", "");
}

int cluster_add_endpoints(struct subnets *out, struct json_object *list)
{
    struct json_object *items = json_get_array(list, "items");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++) {
        struct json_object *endpoints =
            json_get_array(json_object_array_get_idx(items, i), "endpoints");

        for (size_t j = 0; rc == 0 && j < json_array_len(endpoints); j++) {
            struct json_object *e = json_object_array_get_idx(endpoints, j);

            rc = add_strings(out, json_get_array(e, "addresses"));
        }
    }
    return rc;
}

int cluster_add_service(struct subnets *out, struct json_object *service)
{
    struct json_object *ips = json_get_array(service, "spec.clusterIPs");

    return ips ? add_strings(out, ips)
               : add_text(out, json_get_str(service, "spec.clusterIP", NULL));
}
