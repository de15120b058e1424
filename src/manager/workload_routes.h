/*
 * workload_routes.h - the ways to the ports of a pod template
 *
 * For workload_ports.c, which says what is meant by them.
 */
#ifndef TP_MANAGER_WORKLOAD_ROUTES_H
#define TP_MANAGER_WORKLOAD_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define ROUTES_MAX 512

/* All texts are borrowed from the objects. */
struct route {
    const char *service; /* NULL: a declared port of a container */
    const char *name;    /* of the Service's or container's port; "" */
    uint16_t number;     /* the same */
    bool udp;
    const char *container; /* NULL: nobody declares that port */
    uint16_t port;         /* of the container */
    const char *target; /* by this name of a container's port; NULL: number */
    bool headless;
};

struct routes {
    struct route items[ROUTES_MAX]; /* Services first, then declared ports */
    size_t count;
    size_t services; /* that lead here */
};

/* What is beyond ROUTES_MAX is left out. */
void routes_collect(struct routes *r, struct json_object *pod_template,
                    struct json_object *services);

#endif
