#include "manager/engage_spec.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static const char *const type_names[] = {
    [ENGAGEMENT_INTERCEPT] = "intercept",
    [ENGAGEMENT_REPLACE] = "replace",
    [ENGAGEMENT_MIRROR] = "mirror",
    [ENGAGEMENT_INGEST] = "ingest",
};
#define TYPES (sizeof(type_names) / sizeof(*type_names))
static_assert(TYPES == ENGAGEMENT_INGEST + 1, "");

int engagement_type_parse(const char *text, enum engagement_type *type)
{
    for (size_t i = 0; text && i < TYPES; i++) {
        if (!strcmp(type_names[i], text)) {
            *type = (enum engagement_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *engagement_type_name(enum engagement_type type)
{
    return type_names[type];
}

bool engagement_id_is_valid(const char *id)
{
    return strlen(id) == ENGAGEMENT_ID_LEN &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789") ==
               ENGAGEMENT_ID_LEN;
}

uint16_t port_number(const char *text)
{
    size_t len = strlen(text);
    long n;

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return 0;
    n = strtol(text, NULL, 10);
    return n > 65535 ? 0 : (uint16_t)n;
}

/* IANA_SVC_NAME of container ports has 15 characters; those of Services are
 * labels. */
static bool is_port(const char *text)
{
    return port_number(text) > 0 ||
           (is_dns_label(text) && strspn(text, "0123456789") != strlen(text));
}

/* ---- members --------------------------------------------------------------
 */

/* The text of a member, "" if it is absent; -EINVAL for another type. */
static int text_of(struct json_object *obj, const char *key, const char **out,
                   struct tp_error *err)
{
    struct json_object *value = json_member(obj, key);

    *out = "";
    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_string))
        return tp_error_set(err, -EINVAL, "%s: must be a text", key);
    *out = json_object_get_string(value);
    return 0;
}

static int flag_of(struct json_object *obj, const char *key, bool *out,
                   struct tp_error *err)
{
    struct json_object *value = json_member(obj, key);

    *out = value && json_object_get_boolean(value);
    if (value && !json_object_is_type(value, json_type_boolean))
        return tp_error_set(err, -EINVAL, "%s: must be true or false", key);
    return 0;
}

/* An optional RFC 1123 label. */
static int label_of(struct json_object *obj, const char *key, char out[64],
                    struct tp_error *err)
{
    const char *text;

    if (text_of(obj, key, &text, err) < 0)
        return -EINVAL;
    if (*text && !is_dns_label(text))
        return tp_error_set(err, -EINVAL, "%s: no name", key);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* What the user calls it: any text of one line. */
static int take_name(struct engage_spec *spec, struct json_object *obj,
                     struct tp_error *err)
{
    const char *text;

    if (text_of(obj, "name", &text, err) < 0)
        return -EINVAL;
    if (strlen(text) >= sizeof(spec->name))
        return tp_error_set(err, -EINVAL, "name: too long");
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return tp_error_set(err, -EINVAL, "name: control characters");
    }
    memcpy(spec->name, text, strlen(text) + 1);
    return 0;
}

static int take_names(struct engage_spec *spec, struct json_object *obj,
                      struct tp_error *err)
{
    const char *id, *type, *workload;

    if (text_of(obj, "id", &id, err) < 0 ||
        text_of(obj, "type", &type, err) < 0 ||
        text_of(obj, "workload", &workload, err) < 0)
        return -EINVAL;
    if (!engagement_id_is_valid(id))
        return tp_error_set(err, -EINVAL, "id: must be %d of a-z and 0-9",
                            ENGAGEMENT_ID_LEN);
    memcpy(spec->id, id, sizeof(spec->id));
    if (engagement_type_parse(type, &spec->type) < 0)
        return tp_error_set(err, -EINVAL,
                            "type: intercept, replace, mirror or ingest");
    if (label_of(obj, "namespace", spec->ns, err) < 0 ||
        label_of(obj, "container", spec->container, err) < 0 ||
        label_of(obj, "service", spec->service, err) < 0 ||
        take_name(spec, obj, err) < 0)
        return -EINVAL;
    if (!*spec->ns)
        return tp_error_set(err, -EINVAL, "namespace: missing");
    return workload_parse(workload, &spec->kind, spec->workload, err);
}

static int protocol_of(struct json_object *obj, bool *udp, struct tp_error *err)
{
    const char *text;

    if (text_of(obj, "protocol", &text, err) < 0)
        return -EINVAL;
    *udp = !strcmp(text, "udp");
    if (*text && !*udp && strcmp(text, "tcp") != 0)
        return tp_error_set(err, -EINVAL, "protocol: tcp or udp");
    return 0;
}

static int list_of(struct json_object *obj, const char *key,
                   struct json_object **list, struct tp_error *err)
{
    *list = json_member(obj, key);
    if (*list && !json_object_is_type(*list, json_type_array))
        return tp_error_set(err, -EINVAL, "%s: must be a list", key);
    if (json_array_len(*list) > ENGAGEMENT_PORTS_MAX)
        return tp_error_set(err, -EINVAL, "%s: at most %d", key,
                            ENGAGEMENT_PORTS_MAX);
    return 0;
}

static bool has_port(const struct engage_spec *spec,
                     const struct engage_port *port)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        if (spec->ports[i].udp == port->udp &&
            !strcmp(spec->ports[i].remote, port->remote))
            return true;
    }
    return false;
}

/* {"remote": "", "local": N}: the user has named his own port only. */
static int take_port(struct engage_port *port, struct json_object *item,
                     struct tp_error *err)
{
    int64_t local = json_get_int(item, "local", 0);
    const char *remote;

    if (text_of(item, "remote", &remote, err) < 0 ||
        protocol_of(item, &port->udp, err) < 0)
        return -EINVAL;
    port->guess = !*remote && local >= 1 && local <= 65535;
    if (port->guess) {
        snprintf(port->remote, sizeof(port->remote), "%d", (int)local);
        return 0;
    }
    if (strlen(remote) > PORT_NAME_MAX || !is_port(remote))
        return tp_error_set(err, -EINVAL,
                            "ports: remote must be a port's name or number");
    memcpy(port->remote, remote, strlen(remote) + 1);
    return 0;
}

static int take_ports(struct engage_spec *spec, struct json_object *obj,
                      struct tp_error *err)
{
    struct json_object *list;

    if (list_of(obj, "ports", &list, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct engage_port *port = &spec->ports[spec->port_count];

        if (take_port(port, item, err) < 0)
            return -EINVAL;
        if (has_port(spec, port))
            return tp_error_set(err, -EINVAL, "ports: %s is there twice",
                                port->remote);
        spec->port_count++;
    }
    return 0;
}

static int take_to_pod(struct engage_spec *spec, struct json_object *obj,
                       struct tp_error *err)
{
    struct json_object *list;

    if (list_of(obj, "toPod", &list, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct engagement_port *port = &spec->to_pod[spec->to_pod_count++];
        int64_t n = json_get_int(item, "port", 0);

        if (protocol_of(item, &port->udp, err) < 0)
            return -EINVAL;
        if (n < 1 || n > 65535)
            return tp_error_set(err, -EINVAL, "toPod: port must be 1-65535");
        port->port = (uint16_t)n;
    }
    return 0;
}

int engage_spec_parse(struct engage_spec *spec, const char *body, size_t len,
                      struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_parse_text(body, len, err);

    memset(spec, 0, sizeof(*spec));
    if (!obj)
        return -EINVAL;
    if (!json_object_is_type(obj, json_type_object))
        return tp_error_set(err, -EINVAL, "not a JSON object");
    if (take_names(spec, obj, err) < 0 || take_ports(spec, obj, err) < 0 ||
        take_to_pod(spec, obj, err) < 0 ||
        flag_of(obj, "force", &spec->force, err) < 0 ||
        flag_of(obj, "yes", &spec->yes, err) < 0)
        return -EINVAL;
    if (spec->type == ENGAGEMENT_INGEST && spec->port_count > 0)
        return tp_error_set(err, -EINVAL, "ports: ingest takes none");
    return 0;
}
