/*
 * inject_config.c - CONFIG: the annotation tp.internal/agent, TP_AGENT_CONFIG
 *
 * The annotation is the manager's, but stands in a pod template that others may
 * write: it is read as a stranger's. Whether it fits the pod is for
 * inject_check.c.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/inject_internal.h"

#define CONFIG_TEXT_MAX (64 * 1024)
#define CONFIG_VERSION  1

static const char *const mode_names[] = {
    [INJECT_NAMED] = "named",
    [INJECT_REDIRECT] = "redirect",
    [INJECT_DIRECT] = "direct",
    [INJECT_SERVICE] = "service",
};

/* ---- tp.internal/agent --------------------------------------------------- */

/* Of a container or port; "" is one, too. */
static bool is_name(const char *text, size_t size)
{
    return strlen(text) < size &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
               strlen(text);
}

/* Nothing is cut: a name that is too long is an error. */
static int get_name(struct json_object *obj, const char *key, char *out,
                    size_t size, struct tp_error *why)
{
    const char *text = json_get_str(obj, key, "");

    if (!is_name(text, size))
        return tp_error_set(why, -EINVAL, "\"%s\" is no name", key);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int get_port(struct json_object *obj, const char *key, int64_t fallback,
                    uint16_t *out, struct tp_error *why)
{
    int64_t value = json_get_int(obj, key, fallback);

    if (value < 1 || value > UINT16_MAX)
        return tp_error_set(why, -EINVAL, "\"%s\" is no port", key);
    *out = (uint16_t)value;
    return 0;
}

static int get_mode(struct json_object *obj, enum inject_mode *mode,
                    struct tp_error *why)
{
    const char *text = json_get_str(obj, "mode", "");

    for (size_t i = 0; i < sizeof(mode_names) / sizeof(*mode_names); i++) {
        if (!strcmp(text, mode_names[i])) {
            *mode = (enum inject_mode)i;
            return 0;
        }
    }
    return tp_error_set(why, -EINVAL,
                        "\"mode\" is not named, redirect, direct or service");
}

static int get_protocol(struct json_object *obj, bool *udp,
                        struct tp_error *why)
{
    const char *text = json_get_str(obj, "protocol", "tcp");

    *udp = !strcmp(text, "udp");
    if (!*udp && strcmp(text, "tcp") != 0)
        return tp_error_set(why, -EINVAL, "\"protocol\" is not tcp or udp");
    return 0;
}

static int read_port(struct inject_port *p, struct json_object *obj,
                     struct tp_error *why)
{
    int rc =
        get_name(obj, "container", p->container, sizeof(p->container), why);

    if (rc == 0)
        rc = get_name(obj, "name", p->name, sizeof(p->name), why);
    if (rc == 0)
        rc = get_protocol(obj, &p->udp, why);
    if (rc == 0)
        rc = get_mode(obj, &p->mode, why);
    if (rc == 0)
        rc = get_port(obj, "port", 0, &p->port, why);
    if (rc == 0)
        rc = get_port(obj, "listen", p->mode == INJECT_DIRECT ? p->port : 0,
                      &p->listen, why);
    return rc;
}

/* The array, or NULL with *rc 0 if it is not there. */
static struct json_object *get_list(struct json_object *obj, const char *key,
                                    size_t max, int *rc, struct tp_error *why)
{
    struct json_object *list = json_get(obj, key);

    *rc = 0;
    if (list && !json_object_is_type(list, json_type_array))
        *rc = tp_error_set(why, -EINVAL, "\"%s\" is no list", key);
    else if (json_array_len(list) > max)
        *rc = tp_error_set(why, -EINVAL, "\"%s\" has more than %zu entries",
                           key, max);
    return *rc == 0 ? list : NULL;
}

static int read_ports(struct inject_config *c, struct json_object *obj,
                      struct tp_error *why)
{
    int rc;
    struct json_object *list =
        get_list(obj, "ports", INJECT_PORTS_MAX, &rc, why);

    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++) {
        rc = read_port(&c->ports[i], json_object_array_get_idx(list, i), why);
        if (rc < 0)
            return tp_error_wrap(why, "port %zu", i + 1);
        c->port_count = i + 1;
    }
    return rc;
}

static bool has_container(const struct inject_config *c, const char *name)
{
    for (size_t i = 0; i < c->container_count; i++) {
        if (!strcmp(c->containers[i], name))
            return true;
    }
    return false;
}

void inject_config_add_container(struct inject_config *c, const char *name)
{
    if (*name && !has_container(c, name))
        memcpy(c->containers[c->container_count++], name, strlen(name) + 1);
}

static int read_containers(struct inject_config *c, struct json_object *obj,
                           struct tp_error *why)
{
    int rc;
    struct json_object *list =
        get_list(obj, "containers", INJECT_CONTAINERS_MAX, &rc, why);

    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = json_object_is_type(item, json_type_string)
                               ? json_object_get_string(item)
                               : "";

        if (!*name || !is_name(name, sizeof(c->containers[0])))
            return tp_error_set(why, -EINVAL,
                                "\"containers\" holds what is no name");
        inject_config_add_container(c, name);
    }
    return rc;
}

int inject_config_parse(struct inject_config *c, const char *text,
                        struct tp_error *why)
{
    cleanup_json struct json_object *obj = NULL;
    int rc;

    if (strlen(text) > CONFIG_TEXT_MAX)
        return tp_error_set(why, -EMSGSIZE, "it is too long");
    obj = json_parse_text(text, strlen(text), why);
    if (!obj)
        return why->code;
    if (json_get_int(obj, "version", 0) != CONFIG_VERSION)
        return tp_error_set(why, -EINVAL, "\"version\" is not %d",
                            CONFIG_VERSION);
    rc = read_ports(c, obj, why);
    if (rc == 0)
        rc = read_containers(c, obj, why);
    if (rc == 0)
        rc = get_name(obj, "replace", c->replace, sizeof(c->replace), why);
    return rc;
}

/* ---- TP_AGENT_CONFIG ------------------------------------------------------
 */

static struct json_object *port_to_json(const struct inject_port *p)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "container", p->container);
    json_object_object_add(obj, "port", json_object_new_int(p->port));
    json_put_str(obj, "protocol", p->udp ? "udp" : "tcp");
    json_put_str(obj, "name", *p->name ? p->name : NULL);
    json_put_str(obj, "mode", mode_names[p->mode]);
    json_object_object_add(obj, "listen", json_object_new_int(p->listen));
    return obj;
}

static struct json_object *ports_to_json(const struct inject_config *c)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < c->port_count; i++)
        json_object_array_add(list, port_to_json(&c->ports[i]));
    return list;
}

static struct json_object *probes_to_json(const struct inject_config *c)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < c->probe_count; i++) {
        struct json_object *obj = json_object_new_object();

        json_object_object_add(obj, "port",
                               json_object_new_int(c->probes[i].port));
        json_object_object_add(obj, "listen",
                               json_object_new_int(c->probes[i].listen));
        json_object_array_add(list, obj);
    }
    return list;
}

/* Names of a container's variables in order; "=NAME" has a source of its own
 * and is not expanded. Excluded names are there too, so that the agent knows
 * that a value is missing. */
static struct json_object *names_to_json(struct json_object *container)
{
    struct json_object *env = json_get_array(container, "env");
    struct json_object *list = json_object_new_array();
    char text[INJECT_NAME_MAX + 2] = "=";

    for (size_t i = 0; i < json_array_len(env); i++) {
        struct json_object *entry = json_object_array_get_idx(env, i);
        const char *name = json_get_str(entry, "name", "");
        bool has_source = json_get(entry, "valueFrom") != NULL;

        if (!*name || strlen(name) > INJECT_NAME_MAX)
            continue;
        strcpy(text + 1, name);
        json_object_array_add(
            list, json_object_new_string(has_source ? text : text + 1));
    }
    return list;
}

struct json_object *inject_config_to_json(const struct inject_config *c,
                                          struct json_object *pod,
                                          struct json_object *exclude)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *names = json_object_new_array();
    struct json_object *env = json_object_new_object();

    for (size_t i = 0; i < c->container_count; i++) {
        json_object_array_add(names, json_object_new_string(c->containers[i]));
        json_object_object_add(
            env, c->containers[i],
            names_to_json(inject_find(pod, c->containers[i])));
    }
    json_object_object_add(obj, "version", json_object_new_int(CONFIG_VERSION));
    json_object_object_add(obj, "ports", ports_to_json(c));
    json_object_object_add(obj, "containers", names);
    json_put_str(obj, "replace", *c->replace ? c->replace : NULL);
    json_object_object_add(obj, "probes", probes_to_json(c));
    json_object_object_add(obj, "env", env);
    if (c->mounts)
        json_object_object_add(obj, "mounts", json_object_get(c->mounts));
    if (exclude)
        json_object_object_add(obj, "exclude", json_object_get(exclude));
    return obj;
}
