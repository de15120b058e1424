#include "manager/engagement_json.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

static const char *const phase_names[] = {
    [ENGAGEMENT_PENDING] = "pending", [ENGAGEMENT_INJECTING] = "injecting",
    [ENGAGEMENT_READY] = "ready",     [ENGAGEMENT_RESTORING] = "restoring",
    [ENGAGEMENT_ENDED] = "ended",
};
#define PHASES (sizeof(phase_names) / sizeof(*phase_names))
static_assert(PHASES == ENGAGEMENT_ENDED + 1, "");

const char *engagement_phase_name(enum engagement_phase phase)
{
    return phase_names[phase];
}

static enum engagement_phase phase_of(struct json_object *obj)
{
    const char *text = json_get_str(obj, "status.phase", "");

    for (size_t i = 0; i < PHASES; i++) {
        if (!strcmp(phase_names[i], text))
            return (enum engagement_phase)i;
    }
    return ENGAGEMENT_PENDING;
}

bool engagement_has_begun(struct json_object *obj)
{
    return *json_get_str(obj, "status.phase", "");
}

/* ---- building -------------------------------------------------------------
 */

static struct json_object *build_ports(const struct resolved *ports)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < ports->count; i++) {
        const struct resolved_port *p = &ports->ports[i];
        struct json_object *item = json_object_new_object();

        json_put_int(item, "port", p->port);
        json_put_str(item, "protocol", p->udp ? "udp" : "tcp");
        json_put_str(item, "name", p->name);
        json_put_str(item, "requested", p->requested);
        json_put_str(item, "mode", port_mode_name(p->mode));
        json_put_int(item, "servicePort", p->service_port);
        json_object_array_add(list, item);
    }
    return list;
}

static struct json_object *build_to_pod(const struct engage_spec *spec)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < spec->to_pod_count; i++) {
        struct json_object *item = json_object_new_object();

        json_put_int(item, "port", spec->to_pod[i].port);
        json_put_str(item, "protocol", spec->to_pod[i].udp ? "udp" : "tcp");
        json_object_array_add(list, item);
    }
    return list;
}

static struct json_object *copy_of(struct json_object *obj)
{
    struct json_object *copy = NULL;

    if (obj)
        json_object_deep_copy(obj, &copy, NULL);
    return copy;
}

static void put_identity(struct json_object *spec, const struct identity *who)
{
    json_put_str(spec, "user", who->user);
    json_put_str(spec, "uid", who->uid);
    json_object_object_add(spec, "groups", copy_of(who->groups));
    json_object_object_add(spec, "extra", copy_of(who->extra));
}

static struct json_object *build_owner(const char *session,
                                       const char *session_uid)
{
    struct json_object *list = json_object_new_array();
    struct json_object *owner = json_object_new_object();

    json_put_str(owner, "apiVersion", CR_GROUP_VERSION);
    json_put_str(owner, "kind", "Session");
    json_put_str(owner, "name", session);
    json_put_str(owner, "uid", session_uid);
    json_object_array_add(list, owner);
    return list;
}

static struct json_object *build_metadata(const char *name, const char *ns,
                                          const char *session)
{
    struct json_object *metadata = json_object_new_object();
    struct json_object *labels = json_object_new_object();

    json_put_str(metadata, "name", name);
    json_put_str(labels, LABEL_SESSION, session);
    json_put_str(labels, LABEL_NAMESPACE, ns);
    json_object_object_add(metadata, "labels", labels);
    return metadata;
}

static struct json_object *build(const char *kind, struct json_object *metadata,
                                 struct json_object *spec)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "apiVersion", CR_GROUP_VERSION);
    json_put_str(obj, "kind", kind);
    json_object_object_add(obj, "metadata", metadata);
    json_object_object_add(obj, "spec", spec);
    return obj;
}

struct json_object *engagement_build(const struct engage_spec *asked,
                                     const struct workload_kind *kind,
                                     const struct resolved *ports,
                                     const struct identity *who,
                                     const char *session,
                                     const char *session_uid)
{
    struct json_object *metadata =
        build_metadata(asked->id, asked->ns, session);
    struct json_object *spec = json_object_new_object();
    struct json_object *workload = json_object_new_object();

    json_object_object_add(metadata, "ownerReferences",
                           build_owner(session, session_uid));
    json_put_str(spec, "session", session);
    put_identity(spec, who);
    json_put_str(spec, "namespace", asked->ns);
    json_put_str(workload, "kind", kind->kind);
    json_put_str(workload, "name", asked->workload);
    json_object_object_add(spec, "workload", workload);
    json_put_str(spec, "container", ports->container);
    json_put_str(spec, "type", engagement_type_name(asked->type));
    json_object_object_add(spec, "ports", build_ports(ports));
    json_object_object_add(spec, "toPod", build_to_pod(asked));
    json_put_str(spec, "name", asked->name);
    return build("Engagement", metadata, spec);
}

struct json_object *engagement_status(const char *phase, const char *message,
                                      int64_t pods)
{
    struct json_object *patch = json_object_new_object();
    struct json_object *status = json_object_new_object();

    json_put_str(status, "phase", phase);
    json_put_str(status, "message", message);
    if (pods >= 0)
        json_put_int(status, "pods", pods);
    json_object_object_add(patch, "status", status);
    return patch;
}

struct json_object *engagement_move(const char *session,
                                    const char *session_uid)
{
    struct json_object *patch = json_object_new_object();
    struct json_object *metadata = json_object_new_object();
    struct json_object *labels = json_object_new_object();
    struct json_object *spec = json_object_new_object();

    json_put_str(labels, LABEL_SESSION, session);
    json_object_object_add(metadata, "labels", labels);
    json_object_object_add(metadata, "ownerReferences",
                           build_owner(session, session_uid));
    json_put_str(spec, "session", session);
    json_object_object_add(patch, "metadata", metadata);
    json_object_object_add(patch, "spec", spec);
    return patch;
}

/* ---- reading --------------------------------------------------------------
 */

static int bad(struct json_object *obj, const char *what, struct tp_error *err)
{
    return tp_error_set(err, -EBADMSG, "%s %.60s: %s",
                        json_get_str(obj, "kind", "object"),
                        json_get_str(obj, "metadata.name", ""), what);
}

static int copy_text(char *out, size_t size, const char *text)
{
    if (strlen(text) >= size)
        return -EBADMSG;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int read_identity(struct identity *who, struct json_object *obj)
{
    struct json_object *groups = json_get_array(obj, "spec.groups");
    struct json_object *extra = json_get(obj, "spec.extra");
    const char *user = json_get_str(obj, "spec.user", "");

    if (!*user || (extra && !json_object_is_type(extra, json_type_object)))
        return -EBADMSG;
    who->user = strdup(user);
    who->uid = strdup(json_get_str(obj, "spec.uid", ""));
    who->groups = groups ? copy_of(groups) : json_object_new_array();
    who->extra = extra ? copy_of(extra) : json_object_new_object();
    return who->user && who->uid && who->groups && who->extra ? 0 : -ENOMEM;
}

static int read_ports(struct engagement_port *out, size_t *count,
                      struct json_object *list)
{
    if (json_array_len(list) > ENGAGEMENT_PORTS_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        int64_t n = json_get_int(item, "port", 0);

        if (n < 1 || n > 65535)
            return -EBADMSG;
        out[i].port = (uint16_t)n;
        out[i].udp = !strcmp(json_get_str(item, "protocol", "tcp"), "udp");
    }
    *count = json_array_len(list);
    return 0;
}

static int read_workload(struct workload_ref *out, struct json_object *obj)
{
    const char *ns = json_get_str(obj, "spec.namespace", "");
    const char *kind = json_get_str(obj, "spec.workload.kind", "");
    const char *name = json_get_str(obj, "spec.workload.name", "");

    if (!is_dns_label(ns) || !workload_kind_find(kind) ||
        !is_dns_name(name, WORKLOAD_NAME_MAX))
        return -EBADMSG;
    copy_text(out->ns, sizeof(out->ns), ns);
    copy_text(out->kind, sizeof(out->kind), kind);
    return copy_text(out->name, sizeof(out->name), name);
}

int engagement_parse(struct engagement *out, struct json_object *obj,
                     struct tp_error *err)
{
    const char *id = json_get_str(obj, "metadata.name", "");
    const char *container = json_get_str(obj, "spec.container", "");

    memset(out, 0, sizeof(*out));
    if (!engagement_id_is_valid(id))
        return bad(obj, "no id", err);
    copy_text(out->id, sizeof(out->id), id);
    if (engagement_type_parse(json_get_str(obj, "spec.type", ""), &out->type))
        return bad(obj, "no type", err);
    if (read_workload(&out->workload, obj) < 0)
        return bad(obj, "no workload", err);
    if (copy_text(out->session, sizeof(out->session),
                  json_get_str(obj, "spec.session", "")) < 0 ||
        !*out->session)
        return bad(obj, "no session", err);
    if ((*container && !is_dns_label(container)) ||
        copy_text(out->container, sizeof(out->container), container) < 0)
        return bad(obj, "no container", err);
    if (read_ports(out->ports, &out->port_count,
                   json_get_array(obj, "spec.ports")) < 0 ||
        read_ports(out->to_pod, &out->to_pod_count,
                   json_get_array(obj, "spec.toPod")) < 0)
        return bad(obj, "a port that is none", err);
    if (read_identity(&out->who, obj) < 0)
        return bad(obj, "no user", err);
    out->phase = phase_of(obj);
    return 0;
}

void engagement_release(struct engagement *eng)
{
    identity_release(&eng->who);
}

void engagement_ports(struct resolved *out, struct json_object *obj)
{
    struct json_object *list = json_get_array(obj, "spec.ports");

    memset(out, 0, sizeof(*out));
    copy_text(out->container, sizeof(out->container),
              json_get_str(obj, "spec.container", ""));
    for (size_t i = 0; i < json_array_len(list) && i < ENGAGEMENT_PORTS_MAX;
         i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct resolved_port *p = &out->ports[out->count++];

        p->port = (uint16_t)json_get_int(item, "port", 0);
        p->udp = !strcmp(json_get_str(item, "protocol", "tcp"), "udp");
        p->service_port = (uint16_t)json_get_int(item, "servicePort", 0);
        copy_text(p->name, sizeof(p->name), json_get_str(item, "name", ""));
        copy_text(p->requested, sizeof(p->requested),
                  json_get_str(item, "requested", ""));
        if (port_mode_parse(json_get_str(item, "mode", ""), &p->mode) < 0)
            p->mode = PORT_REDIRECT;
    }
}

struct json_object *engagement_to_client(struct json_object *obj,
                                         const struct engagement *eng,
                                         const char *message)
{
    static const char *const members[] = {"name",      "type", "namespace",
                                          "container", "user", "session"};
    struct json_object *out = json_object_new_object();
    struct json_object *spec = json_get(obj, "spec");

    json_put_str(out, "id", eng->id);
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
        json_put_str(out, members[i], json_get_str(spec, members[i], ""));
    json_object_object_add(out, "workload",
                           copy_of(json_get(spec, "workload")));
    json_object_object_add(out, "ports", copy_of(json_get(spec, "ports")));
    json_object_object_add(out, "toPod", copy_of(json_get(spec, "toPod")));
    json_put_str(out, "phase", engagement_phase_name(eng->phase));
    json_put_str(out, "message",
                 message ? message : json_get_str(obj, "status.message", ""));
    json_put_int(out, "pods", json_get_int(obj, "status.pods", 0));
    json_put_int(out, "since", object_created(obj));
    return out;
}

/* ---- sessions -------------------------------------------------------------
 */

struct json_object *session_build(const char *name, const char *ns,
                                  const struct identity *who)
{
    struct json_object *metadata = build_metadata(name, ns, name);
    struct json_object *spec = json_object_new_object();

    json_put_str(spec, "user", who->user);
    json_put_str(spec, "uid", who->uid);
    json_put_str(spec, "client", "tp-daemon");
    json_put_str(spec, "namespace", ns);
    return build("Session", metadata, spec);
}

int session_parse(struct session_cr *out, struct json_object *obj,
                  struct tp_error *err)
{
    memset(out, 0, sizeof(*out));
    if (copy_text(out->name, sizeof(out->name),
                  json_get_str(obj, "metadata.name", "")) < 0 ||
        !*out->name)
        return bad(obj, "no name", err);
    if (copy_text(out->uid, sizeof(out->uid),
                  json_get_str(obj, "metadata.uid", "")) < 0 ||
        copy_text(out->replica, sizeof(out->replica),
                  json_get_str(obj, "status.replica", "")) < 0)
        return bad(obj, "a name that is too long", err);
    if (read_identity(&out->who, obj) < 0)
        return bad(obj, "no user", err);
    out->connected =
        strcmp(json_get_str(obj, "status.phase", "connected"), "lost") != 0;
    out->since = json_get_int(obj, "status.since", 0);
    return 0;
}

void session_release(struct session_cr *s)
{
    identity_release(&s->who);
}

struct json_object *session_status(bool connected, const char *replica,
                                   int64_t since)
{
    struct json_object *patch = json_object_new_object();
    struct json_object *status = json_object_new_object();

    json_put_str(status, "phase", connected ? "connected" : "lost");
    json_put_str(status, "replica", replica);
    json_put_int(status, "since", since);
    json_object_object_add(patch, "status", status);
    return patch;
}

/* ---- metadata -------------------------------------------------------------
 */

uint64_t object_version(struct json_object *obj)
{
    return strtoull(json_get_str(obj, "metadata.resourceVersion", "0"), NULL,
                    10);
}

int64_t object_created(struct json_object *obj)
{
    struct tm tm = {0};
    const char *text = json_get_str(obj, "metadata.creationTimestamp", "");

    return strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (int64_t)timegm(&tm) : 0;
}
