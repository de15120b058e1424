/*
 * inject_check.c - can this pod have that agent?
 *
 * What the API server would refuse, and what would take the app's port from it
 * or leave its Service without anyone who listens, is found here, so that the
 * pod is left alone.
 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

bool inject_has_mode(const struct inject_config *c, enum inject_mode mode)
{
    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].mode == mode)
            return true;
    }
    return false;
}

static bool has_named(struct json_object *array, const char *name)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        if (!strcmp(
                json_get_str(json_object_array_get_idx(array, i), "name", ""),
                name))
            return true;
    }
    return false;
}

static int check_names(struct json_object *pod, struct tp_error *why)
{
    static const char *const ours[] = {INJECT_AGENT, INJECT_INIT};

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        if (has_named(inject_containers(pod), ours[i]) ||
            has_named(inject_init_containers(pod), ours[i]))
            return tp_error_set(
                why, -EEXIST, "the pod has a container %s of its own", ours[i]);
    }
    if (has_named(json_get_array(pod, "spec.volumes"), INJECT_VOLUME))
        return tp_error_set(why, -EEXIST, "the pod has a volume %s of its own",
                            INJECT_VOLUME);
    return 0;
}

static int check_containers(const struct inject_config *c,
                            struct json_object *pod, struct tp_error *why)
{
    for (size_t i = 0; i < c->container_count; i++) {
        if (!inject_find(pod, c->containers[i]))
            return tp_error_set(why, -ENOENT, "there is no container %s",
                                c->containers[i]);
    }
    if (*c->replace && !has_named(inject_containers(pod), c->replace))
        return tp_error_set(why, -ENOENT, "there is no container %s",
                            c->replace);
    return 0;
}

/* ---- one port -------------------------------------------------------------
 */

static int check_named(const struct inject_port *p,
                       struct json_object *container, struct tp_error *why)
{
    if (!*p->name || !inject_find_port(container, p->port, p->udp, p->name))
        return tp_error_set(
            why, -ENOENT, "container %s has no port %s with number %u",
            p->container, *p->name ? p->name : "(no name)", p->port);
    return 0;
}

static int check_direct(const struct inject_config *c,
                        const struct inject_port *p, struct json_object *pod,
                        struct tp_error *why)
{
    if (!*c->replace || strcmp(p->container, c->replace) != 0)
        return tp_error_set(why, -EINVAL,
                            "mode direct is for a container that is replaced");
    if (p->listen != p->port)
        return tp_error_set(why, -EINVAL, "direct: listen is not the port");
    if (inject_is_declared(pod, p->port, p->udp, c->replace))
        return tp_error_set(why, -EADDRINUSE,
                            "port %u is another container's, too", p->port);
    if (p->port < 1024 && inject_is_host_network(pod))
        return tp_error_set(why, -EACCES,
                            "port %u on the node's network needs a right that "
                            "the agent has not",
                            p->port);
    return 0;
}

/* Nobody else may listen where the agent does. */
static int check_listen(const struct inject_config *c,
                        const struct inject_port *p, struct json_object *pod,
                        struct tp_error *why)
{
    if (p->listen < INJECT_LISTEN_FIRST || p->listen > INJECT_LISTEN_LAST)
        return tp_error_set(why, -ERANGE, "listen %u is not from %d to %d",
                            p->listen, INJECT_LISTEN_FIRST, INJECT_LISTEN_LAST);
    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].udp == p->udp && c->ports[i].port == p->listen)
            return tp_error_set(why, -EADDRINUSE, "listen %u is a port itself",
                                p->listen);
    }
    if (inject_is_declared(pod, p->listen, p->udp, NULL))
        return tp_error_set(why, -EADDRINUSE,
                            "listen %u is declared by a container", p->listen);
    return 0;
}

/* Against those before it. A port may have several names; the agent's own
 * container may have each name once. */
static int check_others(const struct inject_config *c, size_t index,
                        struct tp_error *why)
{
    const struct inject_port *p = &c->ports[index];

    for (size_t i = 0; i < index; i++) {
        const struct inject_port *q = &c->ports[i];
        bool same_name = *p->name && !strcmp(p->name, q->name);
        bool by_name = p->mode == INJECT_NAMED && q->mode == INJECT_NAMED;

        if (p->udp == q->udp && p->listen == q->listen)
            return tp_error_set(why, -EADDRINUSE, "listen %u is there twice",
                                p->listen);
        if (same_name && by_name)
            return tp_error_set(why, -EEXIST,
                                "two containers have a port of the name %s",
                                p->name);
        if (p->udp == q->udp && p->port == q->port &&
            (p->mode != INJECT_NAMED || q->mode != INJECT_NAMED))
            return tp_error_set(why, -EEXIST, "port %u is there twice",
                                p->port);
    }
    return 0;
}

static int check_port(const struct inject_config *c, size_t index,
                      struct json_object *pod, struct tp_error *why)
{
    const struct inject_port *p = &c->ports[index];
    struct json_object *container = inject_find(pod, p->container);
    int rc;

    if (!container)
        return tp_error_set(why, -ENOENT, "there is no container %s",
                            p->container);
    if (*c->replace && !strcmp(p->container, c->replace) &&
        p->mode != INJECT_DIRECT)
        return tp_error_set(why, -EINVAL,
                            "container %s is replaced: its ports are direct",
                            c->replace);
    if (p->mode == INJECT_DIRECT)
        rc = check_direct(c, p, pod, why);
    else
        rc = check_listen(c, p, pod, why);
    if (rc == 0 && p->mode == INJECT_NAMED)
        rc = check_named(p, container, why);
    return rc < 0 ? rc : check_others(c, index, why);
}

/* ---- the pod ---------------------------------------------------------------
 */

static int check_redirect(const struct inject_settings *s,
                          struct json_object *pod, struct tp_error *why)
{
    if (inject_is_host_network(pod))
        return tp_error_set(why, -ENOTSUP,
                            "ports of the node's network (hostNetwork) are "
                            "not redirected");
    if (!s->redirect)
        return tp_error_set(why, -ENOTSUP,
                            "redirection is off in the chart (agent.redirect)");
    return 0;
}

/* A container that ends must be all that its Job waits for. */
static int check_job(const struct inject_config *c,
                     const struct inject_settings *s, struct tp_error *why)
{
    if (!s->native_sidecars)
        return tp_error_set(why, -ENOTSUP,
                            "pods of Jobs need native sidecars (Kubernetes "
                            "1.29)");
    if (*c->replace)
        return tp_error_set(why, -ENOTSUP,
                            "containers of Jobs are not replaced");
    if (inject_has_mode(c, INJECT_NAMED) || inject_has_mode(c, INJECT_SERVICE))
        return tp_error_set(why, -ENOTSUP,
                            "ports of Jobs can only be redirected");
    return 0;
}

int inject_check(const struct inject_config *c, const struct inject_settings *s,
                 struct json_object *pod, struct tp_error *why)
{
    int rc = check_names(pod, why);

    if (rc == 0)
        rc = check_containers(c, pod, why);
    if (rc == 0 && inject_is_of_job(pod))
        rc = check_job(c, s, why);
    if (rc == 0 && inject_has_mode(c, INJECT_REDIRECT))
        rc = check_redirect(s, pod, why);
    for (size_t i = 0; rc == 0 && i < c->port_count; i++) {
        rc = check_port(c, i, pod, why);
        if (rc < 0)
            tp_error_wrap(why, "port %zu", i + 1);
    }
    return rc;
}
