#include "manager/workload_event.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "kube/client.h"
#include "manager/engage_spec.h"

static void describe(const struct engagement *eng, bool engaged, char *out,
                     size_t size)
{
    size_t len = (size_t)snprintf(
        out, size, "%s by %.100s %s", engagement_type_name(eng->type),
        eng->who.user, engaged ? "starts" : "has ended");

    for (size_t i = 0; i < eng->port_count && len < size; i++)
        len += (size_t)snprintf(
            out + len, size - len, "%s%u/%s", i ? ", " : ": ports ",
            (unsigned)eng->ports[i].port, eng->ports[i].udp ? "udp" : "tcp");
}

static struct json_object *involved(const struct workload_ref *w)
{
    const struct workload_kind *kind = workload_kind_find(w->kind);
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "apiVersion", kind ? kind->version : NULL);
    json_put_str(obj, "kind", w->kind);
    json_put_str(obj, "namespace", w->ns);
    json_put_str(obj, "name", w->name);
    return obj;
}

static void put_time(struct json_object *event)
{
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_put_str(event, "firstTimestamp", text);
    json_put_str(event, "lastTimestamp", text);
    json_object_object_add(event, "count", json_object_new_int(1));
}

struct json_object *workload_event_build(const struct engagement *eng,
                                         bool engaged, const char *replica)
{
    struct json_object *event = json_object_new_object();
    struct json_object *metadata = json_object_new_object();
    struct json_object *source = json_object_new_object();
    char text[900], name[64];

    snprintf(name, sizeof(name), "tp-%s-", eng->id);
    describe(eng, engaged, text, sizeof(text));
    json_put_str(metadata, "generateName", name);
    json_put_str(metadata, "namespace", eng->workload.ns);
    json_put_str(source, "component", "tp-manager");
    json_put_str(source, "host", replica);
    json_put_str(event, "apiVersion", "v1");
    json_put_str(event, "kind", "Event");
    json_object_object_add(event, "metadata", metadata);
    json_object_object_add(event, "involvedObject", involved(&eng->workload));
    json_object_object_add(event, "source", source);
    json_put_str(event, "type", "Normal");
    json_put_str(event, "reason", engaged ? "Engaged" : "Disengaged");
    json_put_str(event, "message", text);
    put_time(event);
    return event;
}

void workload_event_post(struct kube_client *client, struct json_object *event)
{
    char path[128];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/events",
             json_get_str(event, "metadata.namespace", ""));
    kube_call(client, "POST", path, NULL, event, NULL, NULL);
}
