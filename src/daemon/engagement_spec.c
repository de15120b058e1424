#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "daemon/engagement_internal.h"
#include "daemon/session_config.h"

static const char *const types[] = {"intercept", "replace", "mirror", "ingest"};

/* Copies a string member; what it may hold is the manager's matter, but it goes
 * into JSON, paths and messages: no control characters. */
static int take_text(char *out, size_t size, struct json_object *obj,
                     const char *key, struct tp_error *err)
{
    const char *text = json_get_str(obj, key, "");

    if (strlen(text) >= size)
        return tp_error_set(err, -EINVAL, "%s is too long", key);
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x21 || *p == 0x7f)
            return tp_error_set(err, -EINVAL, "%s is not valid", key);
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_protocol(bool *udp, struct json_object *obj,
                         struct tp_error *err)
{
    const char *text = json_get_str(obj, "protocol", "tcp");

    *udp = !strcmp(text, "udp");
    if (!*udp && strcmp(text, "tcp") != 0)
        return tp_error_set(err, -EINVAL, "protocol %.20s: tcp or udp", text);
    return 0;
}

static int take_number(uint16_t *out, struct json_object *obj, const char *key,
                       int64_t min, struct tp_error *err)
{
    int64_t value = json_get_int(obj, key, 0);

    if (value < min || value > 65535)
        return tp_error_set(err, -EINVAL, "%s must be a port number", key);
    *out = (uint16_t)value;
    return 0;
}

static int take_port(struct eng_port *port, struct json_object *obj,
                     struct tp_error *err)
{
    int rc =
        take_text(port->requested, sizeof(port->requested), obj, "remote", err);

    if (rc == 0)
        rc = take_number(&port->local, obj, "local", 0, err);
    return rc == 0 ? take_protocol(&port->udp, obj, err) : rc;
}

static int take_ports(struct eng_spec *spec, struct json_object *request,
                      struct tp_error *err)
{
    struct json_object *ports = json_get_array(request, "ports");
    struct json_object *to_pod = json_get_array(request, "toPod");
    int rc = 0;

    spec->port_count = json_array_len(ports);
    spec->to_pod_count = json_array_len(to_pod);
    if (spec->port_count > ENGAGEMENT_PORTS_MAX ||
        spec->to_pod_count > ENGAGEMENT_PORTS_MAX)
        return tp_error_set(err, -EINVAL, "at most %d ports",
                            ENGAGEMENT_PORTS_MAX);
    for (size_t i = 0; rc == 0 && i < spec->port_count; i++)
        rc = take_port(&spec->ports[i], json_object_array_get_idx(ports, i),
                       err);
    for (size_t i = 0; rc == 0 && i < spec->to_pod_count; i++) {
        struct json_object *item = json_object_array_get_idx(to_pod, i);

        rc = take_number(&spec->to_pod[i].port, item, "port", 1, err);
        if (rc == 0)
            rc = take_protocol(&spec->to_pod[i].udp, item, err);
    }
    return rc;
}

/* One local port can be one port there only, of each protocol. */
static int check_local_ports(const struct eng_spec *spec, struct tp_error *err)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct eng_port *a = &spec->ports[j], *b = &spec->ports[i];

            if (a->local && a->local == b->local && a->udp == b->udp)
                return tp_error_set(
                    err, -EINVAL,
                    "local port %u%s would be two ports of the "
                    "workload (%s and %s): give each a local port of its own",
                    (unsigned)a->local, a->udp ? "/udp" : "", a->requested,
                    b->requested);
        }
    }
    return 0;
}

static int check(const struct eng_spec *spec, struct tp_error *err)
{
    bool known = false;

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        known = known || !strcmp(spec->type, types[i]);
    if (!known)
        return tp_error_set(err, -EINVAL, "no such kind of engagement");
    if (!*spec->name || !*spec->workload)
        return tp_error_set(err, -EINVAL, "a workload must be named");
    if (!session_label_valid(spec->ns))
        return tp_error_set(err, -EINVAL, "%s is no namespace's name",
                            spec->ns);
    if (!strcmp(spec->type, "ingest") && spec->port_count > 0)
        return tp_error_set(err, -EINVAL, "an ingest takes no ports");
    return check_local_ports(spec, err);
}

int engagement_spec_parse(struct eng_spec *spec, struct json_object *request,
                          const char *default_ns, struct tp_error *err)
{
    const struct {
        const char *key;
        char *out;
        size_t size;
    } texts[] = {
        {"name", spec->name, sizeof(spec->name)},
        {"type", spec->type, sizeof(spec->type)},
        {"namespace", spec->ns, sizeof(spec->ns)},
        {"workload", spec->workload, sizeof(spec->workload)},
        {"container", spec->container, sizeof(spec->container)},
        {"service", spec->service, sizeof(spec->service)},
        {"address", spec->address, sizeof(spec->address)},
    };
    int rc = 0;

    memset(spec, 0, sizeof(*spec));
    if (!json_object_is_type(request, json_type_object))
        return tp_error_set(err, -EINVAL, "there is no engagement in it");
    for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(*texts); i++)
        rc = take_text(texts[i].out, texts[i].size, request, texts[i].key, err);
    if (rc < 0)
        return rc;
    if (!*spec->name)
        snprintf(spec->name, sizeof(spec->name), "%.253s", spec->workload);
    if (!*spec->ns)
        snprintf(spec->ns, sizeof(spec->ns), "%.63s", default_ns);
    if (!*spec->address)
        snprintf(spec->address, sizeof(spec->address), "127.0.0.1");
    spec->force = json_get_bool(request, "force", false);
    spec->yes = json_get_bool(request, "yes", false);
    spec->no_shortcut = !json_get_bool(request, "shortcut", true);
    spec->read_only = json_get_bool(request, "readOnly", false);
    rc = take_ports(spec, request, err);
    return rc == 0 ? check(spec, err) : rc;
}

static bool same_ports(const struct eng_spec *a, const struct eng_spec *b)
{
    if (a->port_count != b->port_count || a->to_pod_count != b->to_pod_count)
        return false;
    for (size_t i = 0; i < a->port_count; i++) {
        const struct eng_port *x = &a->ports[i], *y = &b->ports[i];

        if (strcmp(x->requested, y->requested) != 0 || x->udp != y->udp ||
            x->local != y->local)
            return false;
    }
    for (size_t i = 0; i < a->to_pod_count; i++) {
        if (a->to_pod[i].port != b->to_pod[i].port ||
            a->to_pod[i].udp != b->to_pod[i].udp)
            return false;
    }
    return true;
}

bool engagement_spec_same(const struct eng_spec *a, const struct eng_spec *b)
{
    return !strcmp(a->type, b->type) && !strcmp(a->ns, b->ns) &&
           !strcmp(a->workload, b->workload) &&
           !strcmp(a->container, b->container) &&
           !strcmp(a->service, b->service) && !strcmp(a->address, b->address) &&
           a->no_shortcut == b->no_shortcut && a->read_only == b->read_only &&
           same_ports(a, b);
}

static struct json_object *ports_to_json(const struct eng_spec *spec)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < spec->port_count; i++) {
        struct json_object *item = json_object_new_object();

        json_put_str(item, "remote", spec->ports[i].requested);
        if (!*spec->ports[i].requested) /* what it means, the manager says */
            json_object_object_add(item, "local",
                                   json_object_new_int(spec->ports[i].local));
        json_put_str(item, "protocol", spec->ports[i].udp ? "udp" : "tcp");
        json_object_array_add(array, item);
    }
    return array;
}

static struct json_object *to_pod_to_json(const struct eng_spec *spec)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < spec->to_pod_count; i++) {
        struct json_object *item = json_object_new_object();

        json_object_object_add(item, "port",
                               json_object_new_int(spec->to_pod[i].port));
        json_put_str(item, "protocol", spec->to_pod[i].udp ? "udp" : "tcp");
        json_object_array_add(array, item);
    }
    return array;
}

struct json_object *engagement_spec_to_json(const struct eng_spec *spec,
                                            const char *id)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "id", id);
    json_put_str(obj, "name", spec->name);
    json_put_str(obj, "type", spec->type);
    json_put_str(obj, "namespace", spec->ns);
    json_put_str(obj, "workload", spec->workload);
    json_put_str(obj, "container", spec->container);
    json_put_str(obj, "service", spec->service);
    json_object_object_add(obj, "ports", ports_to_json(spec));
    json_object_object_add(obj, "toPod", to_pod_to_json(spec));
    json_object_object_add(obj, "force", json_object_new_boolean(spec->force));
    json_object_object_add(obj, "yes", json_object_new_boolean(spec->yes));
    return obj;
}
