#include "manager/workload_routes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "manager/service_switch.h"
#include "manager/workload.h"

/* ---- declared ports -------------------------------------------------------
 */

static bool is_udp(struct json_object *port)
{
    return !strcasecmp(json_get_str(port, "protocol", "TCP"), "UDP");
}

static bool is_supported(struct json_object *port)
{
    return is_udp(port) ||
           !strcasecmp(json_get_str(port, "protocol", "TCP"), "TCP");
}

static void add(struct routes *r, const struct route *route)
{
    if (r->count < ROUTES_MAX && route->port > 0)
        r->items[r->count++] = *route;
}

static uint16_t to_port(int64_t n)
{
    return n > 0 && n <= 65535 ? (uint16_t)n : 0;
}

static void declared_cb(void *arg, struct json_object *container)
{
    struct json_object *ports = json_get_array(container, "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *port = json_object_array_get_idx(ports, i);
        struct route route = {
            .name = json_get_str(port, "name", ""),
            .number = to_port(json_get_int(port, "containerPort", 0)),
            .udp = is_udp(port),
            .container = json_get_str(container, "name", ""),
        };

        route.port = route.number;
        if (is_supported(port))
            add(arg, &route);
    }
}

/* ---- Services -------------------------------------------------------------
 */

/* The declared port of that name, or of that number: the first, as the
 * endpoints controller takes it. */
static const struct route *find_declared(const struct routes *declared,
                                         const char *name, uint16_t number,
                                         bool udp)
{
    for (size_t i = 0; i < declared->count; i++) {
        const struct route *d = &declared->items[i];

        if (d->udp == udp &&
            (name ? !strcmp(d->name, name) : d->number == number))
            return d;
    }
    return NULL;
}

/* A Service that is led to agents leads to the port that it had before. */
static void unswitch(struct route *route)
{
    char name[SWITCH_NAME_MAX];
    uint16_t port;

    if (!route->target || strncmp(route->target, "tp-", 3) != 0)
        return;
    port = to_port(strtol(route->target + 3, NULL, 10));
    switch_port_name(port, route->udp, name);
    if (!port || strcmp(name, route->target) != 0)
        return;
    route->target = NULL;
    route->port = port;
}

static void follow(const struct routes *declared, struct json_object *port,
                   struct route *route)
{
    struct json_object *target = json_get(port, "targetPort");
    const struct route *d;

    route->port = route->number;
    if (target && json_object_is_type(target, json_type_string))
        route->target = json_object_get_string(target);
    else if (target)
        route->port = to_port(json_get_int(port, "targetPort", 0));
    /* 0 is "not set". */
    if (!route->target && route->port == 0)
        route->port = route->number;
    unswitch(route);
    d = find_declared(declared, route->target, route->port, route->udp);
    if (d) {
        route->container = d->container;
        route->port = d->port;
    } else if (route->target) {
        route->port = 0; /* leads nowhere */
    }
}

static void add_service(struct routes *r, const struct routes *declared,
                        struct json_object *service)
{
    struct json_object *ports = json_get_array(service, "spec.ports");
    struct route route = {
        .service = json_get_str(service, "metadata.name", ""),
        .headless =
            !strcmp(json_get_str(service, "spec.clusterIP", ""), "None"),
    };

    r->services++;
    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *port = json_object_array_get_idx(ports, i);
        struct route one = route;

        if (!is_supported(port))
            continue;
        one.name = json_get_str(port, "name", "");
        one.number = to_port(json_get_int(port, "port", 0));
        one.udp = is_udp(port);
        follow(declared, port, &one);
        add(r, &one);
    }
}

void routes_collect(struct routes *r, struct json_object *pod_template,
                    struct json_object *services)
{
    struct json_object *labels = json_get(pod_template, "metadata.labels");
    struct json_object *items = json_get_array(services, "items");
    struct routes declared;

    memset(r, 0, sizeof(*r));
    memset(&declared, 0, sizeof(declared));
    template_each_container(pod_template, declared_cb, &declared);
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *service = json_object_array_get_idx(items, i);

        if (strcmp(json_get_str(service, "spec.type", ""), "ExternalName") &&
            labels_match(json_get(service, "spec.selector"), labels))
            add_service(r, &declared, service);
    }
    for (size_t i = 0; i < declared.count; i++)
        add(r, &declared.items[i]);
}
