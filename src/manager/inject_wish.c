/*
 * inject_wish.c - what the annotations of a pod ask for
 *
 * tp.internal/agent wins over tp.internal/inject, whose ports are chosen here;
 * "disabled" wins over all.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

static bool is_listened(const struct inject_config *c, uint16_t listen,
                        bool udp)
{
    for (size_t i = 0; i < c->port_count; i++) {
        const struct inject_port *p = &c->ports[i];

        if (p->udp == udp && (p->listen == listen || p->port == listen))
            return true;
    }
    for (size_t i = 0; !udp && i < c->probe_count; i++) {
        if (c->probes[i].listen == listen)
            return true;
    }
    return false;
}

uint16_t inject_free_listen(const struct inject_config *c,
                            struct json_object *pod, bool udp)
{
    for (uint16_t p = INJECT_LISTEN_FIRST; p <= INJECT_LISTEN_LAST; p++) {
        if (!is_listened(c, p, udp) && !inject_is_declared(pod, p, udp, NULL))
            return p;
    }
    return 0;
}

static int add_port(struct inject_config *c, struct json_object *pod,
                    const char *container, const struct inject_declared *d,
                    enum inject_mode mode, struct tp_error *why)
{
    struct inject_port *p = &c->ports[c->port_count];

    if (c->port_count == INJECT_PORTS_MAX)
        return tp_error_set(why, -EINVAL, "more than %d ports",
                            INJECT_PORTS_MAX);
    if (strlen(container) >= sizeof(p->container) ||
        strlen(d->name) >= sizeof(p->name))
        return tp_error_set(why, -EINVAL, "a name is too long");
    memset(p, 0, sizeof(*p));
    strcpy(p->container, container);
    strcpy(p->name, d->name);
    p->port = d->port;
    p->udp = d->udp;
    p->mode = mode;
    p->listen = inject_free_listen(c, pod, d->udp);
    if (!p->listen)
        return tp_error_set(why, -EADDRNOTAVAIL,
                            "no port from %d to %d is free",
                            INJECT_LISTEN_FIRST, INJECT_LISTEN_LAST);
    c->port_count++;
    return 0;
}

/* All named ports of the pod's first container. A Job's sidecar can take ports
 * by redirection only. */
static int add_named(struct inject_config *c, struct json_object *pod,
                     struct json_object *first, struct tp_error *why)
{
    enum inject_mode mode =
        inject_is_of_job(pod) ? INJECT_REDIRECT : INJECT_NAMED;
    struct json_object *ports = json_get_array(first, "ports");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(ports); i++) {
        struct inject_declared d =
            inject_declared_read(json_object_array_get_idx(ports, i));

        if (d.known && *d.name)
            rc = add_port(c, pod, inject_container_name(first), &d, mode, why);
    }
    return rc;
}

/* "8080" or "9090/udp", up to the comma. Returns its length or -EINVAL. */
static int parse_port(const char *text, struct inject_declared *out)
{
    unsigned long port;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    port = strtoul(text, &end, 10);
    out->udp = !strncmp(end, "/udp", 4);
    if (out->udp || !strncmp(end, "/tcp", 4))
        end += 4;
    if (port < 1 || port > UINT16_MAX || (*end && *end != ',' && *end != ' '))
        return -EINVAL;
    out->port = (uint16_t)port;
    out->known = true;
    return (int)(end - text);
}

/* The container that declares the port, else the first. */
static struct json_object *owner_of(struct json_object *pod,
                                    const struct inject_declared *d)
{
    struct json_object *all = inject_containers(pod);

    for (size_t i = 0; i < json_array_len(all); i++) {
        struct json_object *c = json_object_array_get_idx(all, i);

        if (inject_find_port(c, d->port, d->udp, NULL))
            return c;
    }
    return json_object_array_get_idx(all, 0);
}

/* Redirection catches what comes by name, too. */
static bool turn_to_redirect(struct inject_config *c,
                             const struct inject_declared *d)
{
    bool found = false;

    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].port == d->port && c->ports[i].udp == d->udp) {
            c->ports[i].mode = INJECT_REDIRECT;
            found = true;
        }
    }
    return found;
}

static int add_further(struct inject_config *c, struct json_object *pod,
                       const char *list, struct tp_error *why)
{
    while (*(list += strspn(list, ", "))) {
        struct inject_declared d = {.name = ""};
        struct json_object *owner, *entry;
        int len = parse_port(list, &d), rc;

        if (len < 0)
            return tp_error_set(why, -EINVAL,
                                "ports are written as 8080,9090/udp");
        list += len;
        if (turn_to_redirect(c, &d))
            continue;
        owner = owner_of(pod, &d);
        entry = inject_find_port(owner, d.port, d.udp, NULL);
        d.name = json_get_str(entry, "name", "");
        rc = add_port(c, pod, inject_container_name(owner), &d, INJECT_REDIRECT,
                      why);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_pre_injection(struct inject_config *c, struct json_object *pod,
                              struct tp_error *why)
{
    struct json_object *first =
        json_object_array_get_idx(inject_containers(pod), 0);
    const char *further = inject_annotation(pod, ANNOTATION_PORTS);
    int rc = add_named(c, pod, first, why);

    if (rc < 0)
        return tp_error_wrap(why, "%s", ANNOTATION_WISH);
    rc = further ? add_further(c, pod, further, why) : 0;
    if (rc < 0)
        return tp_error_wrap(why, "%s", ANNOTATION_PORTS);
    if (strlen(inject_container_name(first)) < sizeof(c->containers[0]))
        inject_config_add_container(c, inject_container_name(first));
    return 1;
}

int inject_wish_read(struct inject_config *c, struct json_object *pod,
                     struct tp_error *why)
{
    const char *config = inject_annotation(pod, ANNOTATION_CONFIG);
    const char *wish = inject_annotation(pod, ANNOTATION_WISH);

    memset(c, 0, sizeof(*c));
    if (wish && !strcmp(wish, "disabled")) {
        tp_error_set(why, -EPERM, "%s is disabled", ANNOTATION_WISH);
        return 0;
    }
    if (config)
        return inject_config_parse(c, config, why) < 0
                   ? tp_error_wrap(why, "%s", ANNOTATION_CONFIG)
                   : 1;
    if (wish && !strcmp(wish, "enabled"))
        return read_pre_injection(c, pod, why);
    if (wish)
        return tp_error_set(why, -EINVAL, "%s is not enabled or disabled",
                            ANNOTATION_WISH);
    tp_error_set(why, -ENODATA, "no annotation asks for an agent");
    return 0;
}
