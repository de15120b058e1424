#include "manager/workload_config.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/workload.h"

#define LISTEN_LAST         9999
#define CONTAINER_PORT_NAME 15 /* characters, of Kubernetes' API */

/* ---- reading --------------------------------------------------------------
 */

struct json_object *config_parse(const char *text)
{
    struct json_object *obj =
        text ? json_parse_text(text, strlen(text), NULL) : NULL;

    if (obj && !json_object_is_type(obj, json_type_object)) {
        json_object_put(obj);
        obj = NULL;
    }
    return obj;
}

static const char *told(struct json_object *container, const char *name)
{
    struct json_object *env = json_get_array(container, "env");

    for (size_t i = 0; i < json_array_len(env); i++) {
        struct json_object *item = json_object_array_get_idx(env, i);

        if (!strcmp(json_get_str(item, "name", ""), name))
            return json_get_str(item, "value", NULL);
    }
    return NULL;
}

static struct json_object *agent_of(struct json_object *pod)
{
    struct json_object *list = json_get_array(pod, "spec.initContainers");
    struct json_object *agent = template_container(pod, AGENT_CONTAINER);

    for (size_t i = 0; !agent && i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "name", ""), AGENT_CONTAINER))
            agent = item;
    }
    return agent;
}

const char *agent_variable(struct json_object *pod, const char *name)
{
    return told(agent_of(pod), name);
}

struct json_object *config_of_pod(struct json_object *pod)
{
    struct json_object *agent = agent_of(pod);
    const char *text = told(agent, "TP_AGENT_CONFIG");

    if (!agent)
        return NULL;
    return config_parse(text ? text
                             : workload_annotation(pod, ANNOTATION_AGENT));
}

static struct json_object *find_port(struct json_object *config, uint16_t port,
                                     bool udp)
{
    struct json_object *list = json_get_array(config, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (json_get_int(item, "port", 0) == port &&
            !strcmp(json_get_str(item, "protocol", "tcp"), "udp") == udp)
            return item;
    }
    return NULL;
}

static bool has_container(struct json_object *config, const char *name)
{
    return json_array_has(json_get_array(config, "containers"), name);
}

static bool is_replaced(struct json_object *config, const char *container)
{
    return !strcmp(json_get_str(config, "replace", ""), container);
}

/* Redirection catches what comes by name too, and what comes by a Service's
 * number; an agent that stands in for the container catches all. */
static bool mode_covers(enum port_mode have, enum port_mode need)
{
    return have == need || have == PORT_DIRECT ||
           (have == PORT_REDIRECT && need != PORT_DIRECT) ||
           (have == PORT_SERVICE && need == PORT_NAMED);
}

static bool port_is_covered(struct json_object *config,
                            const struct resolved_port *port)
{
    struct json_object *item = find_port(config, port->port, port->udp);
    enum port_mode mode;

    return item &&
           port_mode_parse(json_get_str(item, "mode", ""), &mode) == 0 &&
           mode_covers(mode, port->mode) &&
           (port->mode != PORT_NAMED || mode == PORT_REDIRECT ||
            mode == PORT_DIRECT ||
            !strcmp(json_get_str(item, "name", ""), port->name));
}

bool config_covers(struct json_object *config, const struct config_need *need)
{
    const char *container = need->ports->container;

    if (!config || !has_container(config, container) ||
        (need->replace && !is_replaced(config, container)))
        return false;
    for (size_t i = 0; i < need->ports->count; i++) {
        if (!port_is_covered(config, &need->ports->ports[i]))
            return false;
    }
    return true;
}

/* ---- listening ports ------------------------------------------------------
 */

struct taken {
    bool ports[LISTEN_LAST - AGENT_LISTEN_FIRST + 1];
};

static void take_number(struct taken *t, int64_t n)
{
    if (n >= AGENT_LISTEN_FIRST && n <= LISTEN_LAST)
        t->ports[n - AGENT_LISTEN_FIRST] = true;
}

static void take_declared_cb(void *arg, struct json_object *container)
{
    struct json_object *list = json_get_array(container, "ports");

    for (size_t i = 0; i < json_array_len(list); i++)
        take_number(arg, json_get_int(json_object_array_get_idx(list, i),
                                      "containerPort", 0));
}

static void take_listening(struct taken *t, struct json_object *config)
{
    struct json_object *list = json_get_array(config, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        take_number(t, json_get_int(item, "listen", 0));
        take_number(t, json_get_int(item, "port", 0));
    }
}

/* 0 if none is left. */
static int next_listen(struct taken *t)
{
    for (int i = 0; i <= LISTEN_LAST - AGENT_LISTEN_FIRST; i++) {
        if (!t->ports[i]) {
            t->ports[i] = true;
            return AGENT_LISTEN_FIRST + i;
        }
    }
    return 0;
}

/* ---- merging --------------------------------------------------------------
 */

static struct json_object *member_array(struct json_object *config,
                                        const char *key)
{
    struct json_object *list = json_get_array(config, key);

    if (!list) {
        list = json_object_new_array();
        json_object_object_add(config, key, list);
    }
    return list;
}

static struct json_object *new_port(struct json_object *config,
                                    const char *container,
                                    const struct resolved_port *port)
{
    struct json_object *item = json_object_new_object();

    json_put_str(item, "container", container);
    json_put_int(item, "port", port->port);
    json_put_str(item, "protocol", port->udp ? "udp" : "tcp");
    json_object_array_add(member_array(config, "ports"), item);
    return item;
}

/* The agent's container can have each name once, be it TCP or UDP. */
static bool name_is_taken(struct json_object *config, struct json_object *but,
                          const char *name)
{
    struct json_object *list = json_get_array(config, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (item != but && !strcmp(json_get_str(item, "name", ""), name) &&
            !strcmp(json_get_str(item, "mode", ""), port_mode_name(PORT_NAMED)))
            return true;
    }
    return false;
}

static int merge_port(struct json_object *config, const char *container,
                      const struct resolved_port *port, struct taken *t,
                      struct tp_error *err)
{
    struct json_object *item = find_port(config, port->port, port->udp);
    enum port_mode mode = port->mode, had;
    int listen = mode == PORT_DIRECT ? port->port : 0;

    if (port_is_covered(config, port))
        return 0;
    if (!item)
        item = new_port(config, container, port);
    else if (port_mode_parse(json_get_str(item, "mode", ""), &had) == 0 &&
             (had == PORT_NAMED || had == PORT_SERVICE) && mode == PORT_NAMED)
        mode = PORT_REDIRECT; /* two names for one port */
    if (mode == PORT_NAMED && name_is_taken(config, item, port->name))
        mode = PORT_REDIRECT; /* two ports of one name */
    if (!listen)
        listen = (int)json_get_int(item, "listen", 0);
    if (!listen)
        listen = next_listen(t);
    if (!listen)
        return tp_error_set(err, -EINVAL,
                            "the agent has no listening port left");
    /* A Service's longer names mean nothing to the agent. */
    json_put_str(item, "name",
                 strlen(port->name) <= CONTAINER_PORT_NAME ? port->name : "");
    json_put_str(item, "mode", port_mode_name(mode));
    json_put_int(item, "listen", listen);
    return 0;
}

/* The declared ports of a container that is replaced are in need->ports; those
 * that somebody redirects beside them are taken over as well. */
static void make_direct(struct json_object *config, const char *container)
{
    struct json_object *list = json_get_array(config, "ports");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (strcmp(json_get_str(item, "container", ""), container) != 0)
            continue;
        json_put_str(item, "mode", port_mode_name(PORT_DIRECT));
        json_put_int(item, "listen", (int)json_get_int(item, "port", 0));
    }
}

static int start_merge(struct json_object **out, struct json_object *config,
                       const struct config_need *need, struct tp_error *err)
{
    const char *container = need->ports->container;
    const char *replaced = json_get_str(config, "replace", "");

    *out = NULL;
    if (need->replace && *replaced && strcmp(replaced, container) != 0)
        return tp_error_set(err, -EBUSY,
                            "container %s of this workload is replaced "
                            "already, and only one can be",
                            replaced);
    if (config && json_object_deep_copy(config, out, NULL) < 0)
        *out = NULL;
    if (!config)
        *out = json_object_new_object();
    return *out ? 0 : tp_error_errno(err, -ENOMEM, "configuration");
}

int config_merge(struct json_object **out, struct json_object *config,
                 struct json_object *pod_template,
                 const struct config_need *need, struct tp_error *err)
{
    const char *container = need->ports->container;
    struct taken taken = {{false}};
    int rc = start_merge(out, config, need, err);

    if (rc < 0)
        return rc;
    template_each_container(pod_template, take_declared_cb, &taken);
    take_listening(&taken, *out);
    json_put_int(*out, "version", 1);
    if (!has_container(*out, container))
        json_object_array_add(member_array(*out, "containers"),
                              json_object_new_string(container));
    if (need->replace)
        json_put_str(*out, "replace", container);
    member_array(*out, "ports");
    for (size_t i = 0; rc == 0 && i < need->ports->count; i++)
        rc = merge_port(*out, container, &need->ports->ports[i], &taken, err);
    if (rc == 0 &&
        json_array_len(json_get_array(*out, "ports")) > ENGAGEMENT_PORTS_MAX)
        rc = tp_error_set(err, -EINVAL,
                          "the agents of a workload take at most %d ports",
                          ENGAGEMENT_PORTS_MAX);
    if (rc == 0 && is_replaced(*out, container))
        make_direct(*out, container);
    if (rc < 0) {
        json_object_put(*out);
        *out = NULL;
    }
    return rc;
}

struct json_object *config_restore(struct json_object *config)
{
    struct json_object *fresh = NULL;
    struct json_object *list = json_get_array(config, "ports"), *kept;

    if (json_object_deep_copy(config, &fresh, NULL) < 0)
        return NULL;
    kept = json_object_new_array();
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (strcmp(json_get_str(item, "mode", ""),
                   port_mode_name(PORT_DIRECT)) != 0)
            json_object_array_add(kept, json_object_get(item));
    }
    json_object_object_del(fresh, "replace");
    json_object_object_add(fresh, "ports", kept);
    return fresh;
}
