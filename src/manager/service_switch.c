#include "manager/service_switch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/workload.h"
#include "manager/workload_config.h"

void switch_port_name(uint16_t port, bool udp, char out[SWITCH_NAME_MAX])
{
    snprintf(out, SWITCH_NAME_MAX, "tp-%u%s", (unsigned)port,
             udp ? "-udp" : "");
}

/* ---- the Service ----------------------------------------------------------
 */

static bool is_udp(struct json_object *port)
{
    return !strcasecmp(json_get_str(port, "protocol", "TCP"), "UDP");
}

static bool is_headless(struct json_object *service)
{
    return !strcmp(json_get_str(service, "spec.clusterIP", ""), "None");
}

static const char *name_of(struct json_object *obj)
{
    return json_get_str(obj, "metadata.name", "");
}

static bool is_switched(struct json_object *service)
{
    return json_member(json_get(service, "metadata.labels"), SWITCH_LABEL) ||
           json_member(json_get(service, "metadata.annotations"),
                       SWITCH_ANNOTATION);
}

bool switch_concerns(struct json_object *service,
                     const struct switch_want *wants, size_t count)
{
    const char *ns = json_get_str(service, "metadata.namespace", "");
    struct json_object *selector = json_get(service, "spec.selector");

    if (is_switched(service))
        return true;
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(wants[i].ns, ns) && labels_match(selector, wants[i].labels))
            return true;
    }
    return false;
}

/* What was switched, an array; owned. A text that is none of ours is nothing.
 */
static struct json_object *read_entries(struct json_object *service)
{
    const char *text = json_member_str(
        json_get(service, "metadata.annotations"), SWITCH_ANNOTATION, NULL);
    struct json_object *list =
        text ? json_parse_text(text, strlen(text), NULL) : NULL;

    if (list && !json_object_is_type(list, json_type_array)) {
        json_object_put(list);
        list = NULL;
    }
    return list;
}

static struct json_object *find_entry(struct json_object *entries,
                                      struct json_object *port)
{
    for (size_t i = 0; i < json_array_len(entries); i++) {
        struct json_object *entry = json_object_array_get_idx(entries, i);
        int64_t from = json_get_int(entry, "from", 0);

        if (json_get_int(entry, "port", -1) == json_get_int(port, "port", 0) &&
            is_udp(entry) == is_udp(port) && from > 0 && from <= UINT16_MAX &&
            *json_get_str(entry, "to", ""))
            return entry;
    }
    return NULL;
}

static bool leads_to(struct json_object *port, const char *name)
{
    struct json_object *target = json_get(port, "targetPort");

    return json_object_is_type(target, json_type_string) &&
           !strcmp(json_object_get_string(target), name);
}

/* The app's port, by number; 0: it goes by name, which agents take as it is. */
static uint16_t app_port(struct json_object *port, struct json_object *entry)
{
    struct json_object *target = json_get(port, "targetPort");
    int64_t number = json_get_int(port, "port", 0);

    if (entry)
        return (uint16_t)json_get_int(entry, "from", 0);
    if (json_object_is_type(target, json_type_string))
        return 0;
    if (target && json_object_get_int64(target) != 0)
        number = json_object_get_int64(target);
    return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

/* ---- the pods behind it ---------------------------------------------------
 */

enum pod_way { POD_AGENT, POD_ITSELF, POD_APP };

static bool has_port(struct json_object *pod, const char *name, bool udp)
{
    struct json_object *ports =
        json_get_array(template_container(pod, AGENT_CONTAINER), "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *port = json_object_array_get_idx(ports, i);

        if (is_udp(port) == udp &&
            !strcmp(json_get_str(port, "name", ""), name))
            return true;
    }
    return false;
}

/* POD_AGENT: by the agent's name; POD_ITSELF: the pod takes the number over by
 * itself (redirection, a replaced container). */
static enum pod_way way_of(struct json_object *pod, uint16_t port, bool udp)
{
    cleanup_json struct json_object *config = config_of_pod(pod);
    struct json_object *ports = json_get_array(config, "ports");
    char name[SWITCH_NAME_MAX];

    switch_port_name(port, udp, name);
    if (has_port(pod, name, udp))
        return POD_AGENT;
    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *item = json_object_array_get_idx(ports, i);
        const char *mode = json_get_str(item, "mode", "");

        if (json_get_int(item, "port", 0) == port && is_udp(item) == udp &&
            (!strcmp(mode, port_mode_name(PORT_REDIRECT)) ||
             !strcmp(mode, port_mode_name(PORT_DIRECT))))
            return POD_ITSELF;
    }
    return POD_APP;
}

/* Does it get connections from the Service? */
static bool is_served(struct json_object *service, struct json_object *pod)
{
    if (json_get_bool(service, "spec.publishNotReadyAddresses", false))
        return !json_get(pod, "metadata.deletionTimestamp") &&
               *json_get_str(pod, "status.podIP", "");
    return pod_is_ready(pod);
}

struct behind {
    size_t by[POD_APP + 1];
    const char *app; /* a pod without */
};

static void look_behind(struct behind *b, struct json_object *service,
                        struct json_object *pods, uint16_t port, bool udp)
{
    struct json_object *items = json_get_array(pods, "items");

    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < json_array_len(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        enum pod_way way;

        if (!is_served(service, pod))
            continue;
        way = way_of(pod, port, udp);
        b->by[way]++;
        if (way != POD_AGENT && (way == POD_APP || !b->app))
            b->app = name_of(pod);
    }
}

/* ---- one port -------------------------------------------------------------
 */

struct judging {
    struct switch_verdict *v;
    struct json_object *service, *pods;
    const struct switch_want *wants;
    size_t count;
    const struct switch_rules *rules;
    struct json_object *ports, *entries; /* as they are to be; owned */
    bool changed;
};

static bool is_among(const struct judging *j, const struct switch_want *wants,
                     size_t count, uint16_t port, bool udp)
{
    const char *ns = json_get_str(j->service, "metadata.namespace", "");
    struct json_object *selector = json_get(j->service, "spec.selector");

    for (size_t i = 0; i < count; i++) {
        const struct switch_want *w = &wants[i];

        if (w->port == port && w->udp == udp && !strcmp(w->ns, ns) &&
            labels_match(selector, w->labels))
            return true;
    }
    return false;
}

static bool is_wanted(const struct judging *j, uint16_t port, bool udp)
{
    return !is_headless(j->service) &&
           is_among(j, j->wants, j->count, port, udp);
}

static bool may_end(const struct judging *j, uint16_t port, bool udp)
{
    return j->rules->may_end ||
           is_among(j, j->rules->ended, j->rules->ended_count, port, udp);
}

static void keep_entry(struct judging *j, struct json_object *port,
                       uint16_t from, const char *to)
{
    struct json_object *entry = json_object_new_object();

    json_object_object_add(
        entry, "port", json_object_new_int64(json_get_int(port, "port", 0)));
    json_put_str(entry, "protocol", is_udp(port) ? "UDP" : "TCP");
    json_object_object_add(entry, "from", json_object_new_int(from));
    json_put_str(entry, "to", to);
    json_object_array_add(j->entries, entry);
}

static void set_target(struct judging *j, struct json_object *port,
                       struct json_object *target)
{
    json_object_object_add(port, "targetPort", target);
    j->changed = true;
}

static void __attribute__((format(printf, 2, 3)))
not_all(struct judging *j, const char *fmt, ...)
{
    char text[SWITCH_TEXT];
    va_list args;

    j->v->all = false;
    if (*j->v->reason)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(j->v->reason, sizeof(j->v->reason), "Service %.80s: %.200s",
             name_of(j->service), text);
}

/* It is switched. */
static void judge_switched(struct judging *j, struct json_object *port,
                           uint16_t from, bool wanted, const struct behind *b)
{
    char name[SWITCH_NAME_MAX];
    bool back = (!wanted && may_end(j, from, is_udp(port))) ||
                b->by[POD_APP] + b->by[POD_ITSELF] > 0;

    switch_port_name(from, is_udp(port), name);
    if (back)
        set_target(j, port, json_object_new_int(from));
    else
        keep_entry(j, port, from, name);
    if (wanted && back && b->by[POD_APP] > 0)
        not_all(j, "pod %.100s has no agent, so it leads to the app again",
                b->app);
}

/* Somebody has changed it since. */
static void judge_foreign(struct judging *j, struct json_object *port,
                          struct json_object *entry, bool wanted)
{
    uint16_t from = (uint16_t)json_get_int(entry, "from", 0);

    if (wanted || !may_end(j, from, is_udp(port)))
        keep_entry(j, port, from, json_get_str(entry, "to", ""));
    else
        j->changed = true;
    if (wanted)
        not_all(j, "somebody else has changed its targetPort (GitOps?), so it "
                   "is left alone");
}

static void judge_plain(struct judging *j, struct json_object *port,
                        uint16_t from, const struct behind *b)
{
    char name[SWITCH_NAME_MAX];

    switch_port_name(from, is_udp(port), name);
    if (b->by[POD_APP] > 0 || (b->by[POD_AGENT] > 0 && b->by[POD_ITSELF] > 0)) {
        not_all(j, "pod %.100s behind it has no agent yet", b->app);
    } else if (b->by[POD_AGENT] > 0 && j->rules->may_switch) {
        keep_entry(j, port, from, name);
        set_target(j, port, json_object_new_string(name));
        j->v->switches = true;
    } else if (b->by[POD_AGENT] > 0) {
        not_all(j, "its targetPort is about to become %.20s", name);
    }
}

static void judge_port(struct judging *j, struct json_object *port,
                       struct json_object *old)
{
    struct json_object *entry = find_entry(old, port);
    uint16_t from = app_port(port, entry);
    bool wanted = from && is_wanted(j, from, is_udp(port));
    struct behind b;

    if (!wanted && !entry)
        return;
    look_behind(&b, j->service, j->pods, from, is_udp(port));
    if (entry && leads_to(port, json_get_str(entry, "to", "")))
        judge_switched(j, port, from, wanted, &b);
    else if (entry)
        judge_foreign(j, port, entry, wanted);
    else
        judge_plain(j, port, from, &b);
}

/* ---- the patch ------------------------------------------------------------
 */

static struct json_object *wrap(const char *key, struct json_object *value)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, key, value);
    return obj;
}

/* Of the very version that was read. */
static struct json_object *build_patch(struct judging *j)
{
    bool any = json_array_len(j->entries) > 0;
    struct json_object *metadata = wrap(
        "annotations",
        wrap(SWITCH_ANNOTATION,
             any ? json_object_new_string(json_to_text(j->entries)) : NULL));
    struct json_object *patch =
        wrap("spec", wrap("ports", json_object_get(j->ports)));

    json_object_object_add(
        metadata, "labels",
        wrap(SWITCH_LABEL, any ? json_object_new_string("true") : NULL));
    json_object_object_add(
        metadata, "resourceVersion",
        json_object_get(json_get(j->service, "metadata.resourceVersion")));
    json_object_object_add(patch, "metadata", metadata);
    return patch;
}

void switch_judge(struct switch_verdict *v, struct json_object *service,
                  struct json_object *pods, const struct switch_want *wants,
                  size_t count, const struct switch_rules *rules)
{
    cleanup_json struct json_object *old = read_entries(service);
    struct json_object *ports = json_get_array(service, "spec.ports");
    struct judging j = {NULL,  service, pods, wants, count,
                        rules, NULL,    NULL, false};

    memset(v, 0, sizeof(*v));
    v->all = true;
    j.v = v;
    if (!ports || json_object_deep_copy(ports, &j.ports, NULL) < 0)
        return;
    j.entries = json_object_new_array();
    for (size_t i = 0; i < json_array_len(j.ports); i++)
        judge_port(&j, json_object_array_get_idx(j.ports, i), old);
    /* A label alone, or entries of ports that are gone. */
    if (rules->may_end && is_switched(service) &&
        json_array_len(j.entries) == 0)
        j.changed = true;
    if (j.changed)
        v->patch = build_patch(&j);
    json_object_put(j.ports);
    json_object_put(j.entries);
}
