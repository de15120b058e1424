/*
 * inject_probes.c - probes that redirection would take along
 *
 * The kubelet's probes come from the node to the pod's address, as clients do:
 * redirected, they would go wherever the engagement goes, and a program that
 * is stopped in a debugger would kill the pod (KUBERNETES 4). They are led to
 * ports of the agent that always ask the app. With named ports nothing is to be
 * done: a probe by name means its own container's port.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

/* Where ports stand that the kubelet asks; lifecycle hooks do it as well. */
static const char *const actions[] = {
    "readinessProbe/httpGet",    "readinessProbe/tcpSocket",
    "readinessProbe/grpc",       "livenessProbe/httpGet",
    "livenessProbe/tcpSocket",   "livenessProbe/grpc",
    "startupProbe/httpGet",      "startupProbe/tcpSocket",
    "startupProbe/grpc",         "lifecycle/postStart/httpGet",
    "lifecycle/preStop/httpGet",
};

struct moving {
    struct inject_config *c;
    struct json_object *pod, *patch;
    struct tp_error *why;
};

static struct json_object *find_action(struct json_object *container,
                                       const char *path)
{
    char dotted[64];

    snprintf(dotted, sizeof(dotted), "%s", path);
    for (char *p = dotted; *p; p++) {
        if (*p == '/')
            *p = '.';
    }
    return json_get(container, dotted);
}

/* The number that a name stands for in the container; 0: none. */
static uint16_t number_of(struct json_object *container, const char *name)
{
    struct json_object *ports = json_get_array(container, "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct inject_declared d =
            inject_declared_read(json_object_array_get_idx(ports, i));

        if (d.known && !d.udp && *d.name && !strcmp(d.name, name))
            return d.port;
    }
    return 0;
}

/* 0 if it does not go to the pod's own address. */
static uint16_t asked_port(struct json_object *container,
                           struct json_object *action)
{
    const char *name = json_get_str(action, "port", NULL);
    int64_t number = json_get_int(action, "port", 0);

    if (*json_get_str(action, "host", ""))
        return 0;
    if (name)
        return number_of(container, name);
    return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

static bool is_redirected(const struct inject_config *c, uint16_t port)
{
    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].mode == INJECT_REDIRECT && !c->ports[i].udp &&
            c->ports[i].port == port)
            return true;
    }
    return false;
}

/* The listener for probes of that port, made if there is none. 0: none is
 * free. */
static uint16_t listener_for(struct moving *m, uint16_t port)
{
    struct inject_config *c = m->c;
    uint16_t listen;

    for (size_t i = 0; i < c->probe_count; i++) {
        if (c->probes[i].port == port)
            return c->probes[i].listen;
    }
    listen = inject_free_listen(c, m->pod, false);
    if (listen && c->probe_count < INJECT_PORTS_MAX)
        c->probes[c->probe_count++] =
            (struct inject_probe){.port = port, .listen = listen};
    return listen;
}

static int move_action(struct moving *m, struct json_object *container,
                       const char *action, const char *where)
{
    uint16_t port = asked_port(container, find_action(container, action));
    uint16_t listen;
    char path[160];

    if (!port || !is_redirected(m->c, port))
        return 0;
    listen = listener_for(m, port);
    if (!listen)
        return tp_error_set(m->why, -EADDRNOTAVAIL,
                            "no port from %d to %d is free for probes",
                            INJECT_LISTEN_FIRST, INJECT_LISTEN_LAST);
    snprintf(path, sizeof(path), "%s/%s/port", where, action);
    inject_patch_set(m->patch, path, json_object_new_int(listen));
    return 0;
}

static int move_all(struct moving *m, struct json_object *array,
                    const char *where)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *container = json_object_array_get_idx(array, i);
        char path[64];

        if (*m->c->replace &&
            !strcmp(inject_container_name(container), m->c->replace))
            continue;
        snprintf(path, sizeof(path), "%s/%zu", where, i);
        for (size_t j = 0; j < sizeof(actions) / sizeof(*actions); j++) {
            int rc = move_action(m, container, actions[j], path);

            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int inject_probes_move(struct inject_config *c, struct json_object *pod,
                       struct json_object *patch, struct tp_error *why)
{
    struct moving m = {.c = c, .pod = pod, .patch = patch, .why = why};
    int rc;

    if (!inject_has_mode(c, INJECT_REDIRECT))
        return 0;
    rc = move_all(&m, inject_containers(pod), "/spec/containers");
    return rc < 0 ? rc
                  : move_all(&m, inject_init_containers(pod),
                             "/spec/initContainers");
}
