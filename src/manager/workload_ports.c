#include "manager/workload_ports.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/network_policy.h"
#include "manager/workload.h"
#include "manager/workload_routes.h"

static const char *const mode_names[] = {
    [PORT_NAMED] = "named",
    [PORT_REDIRECT] = "redirect",
    [PORT_DIRECT] = "direct",
    [PORT_SERVICE] = "service",
};
#define MODES (sizeof(mode_names) / sizeof(*mode_names))
static_assert(MODES == PORT_SERVICE + 1, "");

const char *port_mode_name(enum port_mode mode)
{
    return mode_names[mode];
}

int port_mode_parse(const char *text, enum port_mode *mode)
{
    for (size_t i = 0; text && i < MODES; i++) {
        if (!strcmp(mode_names[i], text)) {
            *mode = (enum port_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* ---- what may be meant ----------------------------------------------------
 */

/* Routes that lead to different ports; one of each. */
struct choice {
    const struct route *items[ENGAGEMENT_PORTS_MAX];
    size_t count;
};

struct work {
    const struct ports_question *q;
    struct routes routes;
};

/* Where a port is that nobody declares: in the container that the user names,
 * or in the only one. NULL if that is not clear. */
static const char *container_of(const struct work *w, const struct route *r)
{
    const char *asked = w->q->spec->container;

    if (r->container)
        return r->container;
    return *asked ? asked : template_default_container(w->q->pod_template);
}

static bool is_wanted(const struct work *w, const struct route *r)
{
    const struct engage_spec *spec = w->q->spec;

    if (r->service && *spec->service && strcmp(r->service, spec->service) != 0)
        return false;
    return !r->container || !*spec->container ||
           !strcmp(r->container, spec->container);
}

static bool same_port(const struct route *a, const struct route *b)
{
    return a->port == b->port && a->udp == b->udp;
}

static void choose(struct choice *c, const struct route *r)
{
    for (size_t i = 0; i < c->count; i++) {
        if (same_port(c->items[i], r))
            return;
    }
    if (c->count < ENGAGEMENT_PORTS_MAX)
        c->items[c->count++] = r;
}

/* Services' ports, or declared ones; wanted NULL: all of them. */
static void choose_all(const struct work *w, bool services,
                       const struct engage_port *wanted, struct choice *c)
{
    uint16_t number = wanted ? port_number(wanted->remote) : 0;

    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if ((r->service != NULL) != services || !is_wanted(w, r))
            continue;
        if (!wanted ||
            (r->udp == wanted->udp &&
             (number ? r->number == number : !strcmp(r->name, wanted->remote))))
            choose(c, r);
    }
}

/* Services' ports of a protocol, or declared ones if no Service leads here. */
static void choose_of(const struct work *w, bool udp, struct choice *c)
{
    struct choice all = {0};

    for (int services = 1; services >= 0 && c->count == 0; services--) {
        all.count = 0;
        choose_all(w, services, NULL, &all);
        for (size_t i = 0; i < all.count; i++) {
            if (all.items[i]->udp == udp)
                choose(c, all.items[i]);
        }
    }
}

/* ---- what is said when it is not clear ------------------------------------
 */

static void list_ports(const struct choice *c, char *out, size_t size)
{
    size_t len = 0;

    *out = '\0';
    for (size_t i = 0; i < c->count && len < size; i++) {
        const struct route *r = c->items[i];

        len += (size_t)snprintf(
            out + len, size - len, "%s%s%s%u%s%s%s%s%s%s", i ? ", " : "",
            *r->name ? r->name : "", *r->name ? " " : "",
            (unsigned)(r->service ? r->number : r->port), r->udp ? "/udp" : "",
            r->service ? " of service " : "", r->service ? r->service : "",
            r->container ? " (container " : "",
            r->container ? r->container : "", r->container ? ")" : "");
    }
}

static int say_ambiguous(const char *what, const struct choice *c,
                         struct tp_error *err)
{
    char ports[400];

    list_ports(c, ports, sizeof(ports));
    return tp_error_set(err, -EINVAL,
                        "%s may be several ports: %s; say which with "
                        "--service or --container",
                        what, ports);
}

static int say_unknown(const struct work *w, const struct engage_port *wanted,
                       struct tp_error *err)
{
    struct choice all = {0};
    char ports[400];

    choose_all(w, true, NULL, &all);
    choose_all(w, false, NULL, &all);
    list_ports(&all, ports, sizeof(ports));
    return tp_error_set(err, -EINVAL, "no port %s%s; there %s: %s",
                        wanted->remote, wanted->udp ? "/udp" : "",
                        all.count == 1 ? "is" : "are",
                        all.count ? ports : "none declared");
}

static int say_container(const struct work *w, struct tp_error *err)
{
    char names[300] = "";
    struct json_object *list =
        json_get_array(w->q->pod_template, "spec.containers");
    size_t len = 0;

    for (size_t i = 0; i < json_array_len(list) && len < sizeof(names); i++)
        len += (size_t)snprintf(
            names + len, sizeof(names) - len, "%s%s", i ? ", " : "",
            json_get_str(json_object_array_get_idx(list, i), "name", ""));
    return tp_error_set(err, -EINVAL,
                        "say which container with --container: %s", names);
}

/* ---- how it is taken over -------------------------------------------------
 */

#define LISTEN_FIRST 9900 /* where agents listen, see workload_config.c */
#define LISTEN_LAST  9999

/* The one name by which all routes go, or NULL. */
static const char *common_name(const struct work *w, const struct route *to)
{
    const char *name = NULL;

    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (!r->service || !same_port(r, to))
            continue;
        if (!r->target || r->headless || (name && strcmp(name, r->target)))
            return NULL;
        name = r->target;
    }
    return name;
}

/* A NetworkPolicy that would drop what comes to the agent's port instead of the
 * app's; NULL: none. */
static const char *policy_of_port(const struct work *w, const struct route *to,
                                  const char *name)
{
    return policy_drops_agent(
        w->q->policies, json_get(w->q->pod_template, "metadata.labels"),
        &(struct policy_port){to->port, to->port, name, to->udp},
        &(struct policy_port){LISTEN_FIRST, LISTEN_LAST, name, to->udp});
}

static enum port_mode mode_of(const struct work *w, const struct route *to)
{
    const char *name = common_name(w, to);

    if (w->q->spec->type == ENGAGEMENT_REPLACE)
        return PORT_DIRECT;
    if (name && !policy_of_port(w, to, name))
        return PORT_NAMED;
    return w->q->switch_services ? PORT_SERVICE : PORT_REDIRECT;
}

static const char *declared_name(const struct work *w, const struct route *to)
{
    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (!r->service && same_port(r, to) && *r->name)
            return r->name;
    }
    return to->name;
}

/* Can all that leads to it be switched? What comes straight to the pods cannot.
 */
static int check_switch(const struct work *w, const struct route *to,
                        struct tp_error *err)
{
    const char *name = declared_name(w, to);
    const char *policy = policy_of_port(w, to, name);
    bool any = false;

    if (policy)
        return tp_error_set(err, -EINVAL,
                            "NetworkPolicy %s lets port %u in by its number, "
                            "so what comes to the agent's port would be "
                            "dropped; let ports %d-%d in, too",
                            policy, (unsigned)to->port, LISTEN_FIRST,
                            LISTEN_LAST);
    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (!r->service || !same_port(r, to))
            continue;
        if (r->headless)
            return tp_error_set(err, -EINVAL,
                                "Service %s is headless: its clients go "
                                "straight to port %u of the pods",
                                r->service, (unsigned)to->port);
        if (r->target && strcmp(r->target, name) != 0)
            return tp_error_set(err, -EINVAL,
                                "Service %s goes to port %u by another name",
                                r->service, (unsigned)to->port);
        any = true;
    }
    return any ? 0
               : tp_error_set(err, -EINVAL,
                              "no Service leads to port %u, so there is none "
                              "to switch",
                              (unsigned)to->port);
}

static uint16_t service_port(const struct work *w, const struct route *to)
{
    if (to->service)
        return to->number;
    for (size_t i = 0; i < w->routes.count; i++) {
        if (w->routes.items[i].service && same_port(&w->routes.items[i], to))
            return w->routes.items[i].number;
    }
    return 0;
}

static bool is_there(const struct resolved *out, const struct route *r)
{
    for (size_t i = 0; i < out->count; i++) {
        if (out->ports[i].port == r->port && out->ports[i].udp == r->udp)
            return true;
    }
    return false;
}

static int take(const struct work *w, const struct route *r,
                const char *requested, struct resolved *out,
                struct tp_error *err)
{
    const char *container = container_of(w, r);
    enum port_mode mode = mode_of(w, r);
    const char *name =
        mode == PORT_NAMED ? common_name(w, r) : declared_name(w, r);
    struct resolved_port *port = &out->ports[out->count];

    if (!container)
        return say_container(w, err);
    if (mode == PORT_SERVICE && check_switch(w, r, err) < 0)
        return -EINVAL;
    if (*out->container && strcmp(out->container, container) != 0)
        return tp_error_set(err, -EINVAL,
                            "ports of two containers (%s and %s): make two "
                            "engagements",
                            out->container, container);
    if (is_there(out, r))
        return *requested
                   ? tp_error_set(err, -EINVAL, "%s: port %u is there twice",
                                  requested, (unsigned)r->port)
                   : 0;
    snprintf(out->container, sizeof(out->container), "%s", container);
    port->port = r->port;
    port->udp = r->udp;
    port->mode = mode;
    port->service_port = service_port(w, r);
    snprintf(port->name, sizeof(port->name), "%s", name);
    snprintf(port->requested, sizeof(port->requested), "%s", requested);
    out->count++;
    return 0;
}

/* ---- the question ---------------------------------------------------------
 */

/* No port that it can be, or several. */
static int say_which(const struct choice *c, struct tp_error *err)
{
    char ports[400];

    if (c->count == 0)
        return tp_error_set(err, -EINVAL,
                            "no Service leads there and no port is declared: "
                            "say which with --port LOCAL:REMOTE");
    list_ports(c, ports, sizeof(ports));
    return tp_error_set(err, -EINVAL,
                        "say which port with --port LOCAL:REMOTE: %s", ports);
}

static int resolve_guess(const struct work *w, const struct engage_port *wanted,
                         struct resolved *out, struct tp_error *err)
{
    struct choice only = {0}, same = {0};

    choose_of(w, wanted->udp, &only);
    if (only.count == 1)
        return take(w, only.items[0], wanted->remote, out, err);
    choose_all(w, true, wanted, &same);
    if (same.count == 0)
        choose_all(w, false, wanted, &same);
    if (same.count == 1)
        return take(w, same.items[0], wanted->remote, out, err);
    return same.count ? say_ambiguous(wanted->remote, &same, err)
                      : say_which(&only, err);
}

static int resolve_one(const struct work *w, const struct engage_port *wanted,
                       struct resolved *out, struct tp_error *err)
{
    uint16_t number = port_number(wanted->remote);
    struct route plain = {
        .name = "", .number = number, .udp = wanted->udp, .port = number};
    struct choice c = {0};

    if (wanted->guess)
        return resolve_guess(w, wanted, out, err);
    choose_all(w, true, wanted, &c);
    if (c.count == 0)
        choose_all(w, false, wanted, &c);
    if (c.count > 1)
        return say_ambiguous(wanted->remote, &c, err);
    if (c.count == 0 && (!number || *w->q->spec->service))
        return say_unknown(w, wanted, err);
    return take(w, c.count ? c.items[0] : &plain, wanted->remote, out, err);
}

/* No ports were given: there must be one only. */
static int resolve_only(const struct work *w, struct resolved *out,
                        struct tp_error *err)
{
    struct choice c = {0};

    choose_all(w, true, NULL, &c);
    if (c.count == 0)
        choose_all(w, false, NULL, &c);
    return c.count == 1 ? take(w, c.items[0], "", out, err)
                        : say_which(&c, err);
}

/* The only container that Services lead to; NULL for none or several. */
static const char *served_container(const struct work *w)
{
    const char *name = NULL;

    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (!r->service || !r->container || !is_wanted(w, r))
            continue;
        if (name && strcmp(name, r->container) != 0)
            return NULL;
        name = r->container;
    }
    return name;
}

/* Where ports do not say it: the container that is asked for, the only one, or
 * the only one that Services lead to. */
static int resolve_container(const struct work *w, struct resolved *out,
                             struct tp_error *err)
{
    const char *name = w->q->spec->container;

    if (!*name)
        name = template_default_container(w->q->pod_template);
    if (!name)
        name = served_container(w);
    if (!name)
        return say_container(w, err);
    snprintf(out->container, sizeof(out->container), "%s", name);
    return 0;
}

/* The agent stands in for all of a replaced container. */
static int add_declared(const struct work *w, struct resolved *out,
                        struct tp_error *err)
{
    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (r->service || strcmp(r->container, out->container) != 0 ||
            is_there(out, r))
            continue;
        if (out->count == ENGAGEMENT_PORTS_MAX)
            return tp_error_set(err, -EINVAL, "%s has more than %d ports",
                                out->container, ENGAGEMENT_PORTS_MAX);
        if (take(w, r, "", out, err) < 0)
            return -EINVAL;
    }
    return 0;
}

static int check_names(const struct work *w, struct tp_error *err)
{
    const struct engage_spec *spec = w->q->spec;

    if (*spec->container &&
        (!template_container(w->q->pod_template, spec->container) ||
         !strcmp(spec->container, AGENT_CONTAINER))) {
        say_container(w, err);
        return tp_error_wrap(err, "no container %s", spec->container);
    }
    if (!*spec->service)
        return 0;
    for (size_t i = 0; i < w->routes.count; i++) {
        const struct route *r = &w->routes.items[i];

        if (r->service && !strcmp(r->service, spec->service))
            return 0;
    }
    return tp_error_set(err, -EINVAL,
                        "service %s does not lead to these pods (or has no "
                        "port there)",
                        spec->service);
}

int ports_resolve(const struct ports_question *q, struct resolved *out,
                  struct tp_error *err)
{
    struct work w = {.q = q};
    int rc;

    memset(out, 0, sizeof(*out));
    routes_collect(&w.routes, q->pod_template, q->services);
    rc = check_names(&w, err);
    for (size_t i = 0; rc == 0 && i < q->spec->port_count; i++)
        rc = resolve_one(&w, &q->spec->ports[i], out, err);
    if (rc == 0 && out->count == 0 &&
        (q->spec->type == ENGAGEMENT_INTERCEPT ||
         q->spec->type == ENGAGEMENT_MIRROR))
        return resolve_only(&w, out, err);
    if (rc == 0 && !*out->container)
        rc = resolve_container(&w, out, err);
    if (rc == 0 && q->spec->type == ENGAGEMENT_REPLACE)
        rc = add_declared(&w, out, err);
    return rc;
}
