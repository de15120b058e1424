#include "manager/destinations.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents.h"
#include "manager/workload_routes.h"

static void add(struct json_object *list, const char *address, uint16_t port,
                bool udp, uint16_t to)
{
    struct json_object *item;

    if (!*address || !strcmp(address, "None") ||
        json_array_len(list) >= DESTINATIONS_MAX)
        return;
    item = json_object_new_object();
    json_put_str(item, "address", address);
    json_object_object_add(item, "port", json_object_new_int(port));
    json_put_str(item, "protocol", udp ? "udp" : "tcp");
    json_object_object_add(item, "to", json_object_new_int(to));
    json_object_array_add(list, item);
}

static struct json_object *find_service(struct json_object *services,
                                        const char *name)
{
    struct json_object *items = json_get_array(services, "items");

    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *service = json_object_array_get_idx(items, i);

        if (!strcmp(json_get_str(service, "metadata.name", ""), name))
            return service;
    }
    return NULL;
}

static void add_route(struct json_object *list, struct json_object *service,
                      const struct route *r)
{
    struct json_object *ips = json_get_array(service, "spec.clusterIPs");

    for (size_t i = 0; i < json_array_len(ips); i++) {
        const char *address =
            json_object_get_string(json_object_array_get_idx(ips, i));

        if (address)
            add(list, address, r->number, r->udp, r->port);
    }
    if (json_array_len(ips) == 0)
        add(list, json_get_str(service, "spec.clusterIP", ""), r->number,
            r->udp, r->port);
}

void destinations_add_services(struct json_object *list,
                               struct json_object *pod_template,
                               struct json_object *services,
                               const struct engagement *eng)
{
    cleanup_free struct routes *routes = calloc(1, sizeof(*routes));

    if (!routes)
        return;
    routes_collect(routes, pod_template, services);
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *r = &routes->items[i];

        if (r->service && r->number && !r->headless &&
            engagement_has_port(eng->ports, eng->port_count, r->port, r->udp))
            add_route(list, find_service(services, r->service), r);
    }
}

void destinations_add_pod(struct json_object *list, struct json_object *pod,
                          const struct resolved *ports)
{
    struct json_object *ips = json_get_array(pod, "status.podIPs");

    for (size_t i = 0; i < ports->count; i++) {
        const struct resolved_port *p = &ports->ports[i];

        if (p->mode == PORT_NAMED || p->mode == PORT_SERVICE)
            continue;
        for (size_t j = 0; j < json_array_len(ips); j++)
            add(list, json_get_str(json_object_array_get_idx(ips, j), "ip", ""),
                p->port, p->udp, p->port);
    }
}
