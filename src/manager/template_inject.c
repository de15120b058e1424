#include "manager/template_inject.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/inject_internal.h"
#include "manager/json_patch.h"
#include "manager/workload.h"

#define LOW_PORTS "net.ipv4.ip_unprivileged_port_start"

bool template_is_injected(struct json_object *workload)
{
    struct json_object *tmpl = workload_template(workload);

    return json_get(tmpl, "spec") && tmpl != workload && pod_has_agent(tmpl);
}

/* ---- lists of things with names -------------------------------------------
 */

static struct json_object *find_named(struct json_object *list,
                                      const char *name)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "name", ""), name))
            return item;
    }
    return NULL;
}

/* A list that is empty then goes, too: it was made for this. */
static void remove_named(struct json_object *parent, const char *key,
                         const char *name)
{
    struct json_object *list = json_get_array(parent, key);

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (strcmp(json_get_str(item, "name", ""), name) != 0)
            continue;
        json_object_array_del_idx(list, i, 1);
        break;
    }
    if (list && json_array_len(list) == 0)
        json_object_object_del(parent, key);
}

/* ---- what to remember -----------------------------------------------------
 */

static struct json_object *copy_of(struct json_object *obj)
{
    struct json_object *copy = NULL;

    if (obj)
        json_object_deep_copy(obj, &copy, NULL);
    return copy;
}

/* "/spec/containers/2/image" is of the third one: its name and "/image". NULL
 * if the path is of another kind. */
static struct json_object *container_of(struct json_object *tmpl,
                                        const char *path, const char **list,
                                        const char **rest)
{
    static const char *const lists[] = {"containers", "initContainers"};

    for (size_t i = 0; i < 2; i++) {
        char prefix[32];
        size_t len =
            (size_t)snprintf(prefix, sizeof(prefix), "/spec/%s/", lists[i]);
        const char *end;
        char at[64];

        if (strncmp(path, prefix, len) != 0)
            continue;
        end = strchr(path + len, '/');
        if (!end || (size_t)(end - path) >= sizeof(at))
            return NULL;
        snprintf(at, sizeof(at), "%.*s", (int)(end - path), path);
        *list = lists[i];
        *rest = end;
        return json_pointer_value(tmpl, at);
    }
    return NULL;
}

static void remember_value(struct json_object *values, struct json_object *tmpl,
                           struct json_object *op)
{
    const char *list, *rest;
    struct json_object *container =
        container_of(tmpl, json_get_str(op, "path", ""), &list, &rest);
    struct json_object *value = json_get(op, "value");
    struct json_object *entry, *old;

    if (!container)
        return;
    entry = json_object_new_object();
    json_put_str(entry, "list", list);
    json_put_str(entry, "name", json_get_str(container, "name", ""));
    json_put_str(entry, "path", rest);
    old = json_pointer_value(container, rest);
    if (old)
        json_object_object_add(entry, "old", copy_of(old));
    if (value)
        json_object_object_add(entry, "new", copy_of(value));
    json_object_array_add(values, entry);
}

static void remember_secrets(const struct inject_settings *s,
                             struct json_object *tmpl, struct json_object *undo)
{
    struct json_object *has = json_get_array(tmpl, "spec.imagePullSecrets");
    struct json_object *added = json_object_new_array();

    for (size_t i = 0; i < json_array_len(s->pull_secrets); i++) {
        struct json_object *name =
            json_object_array_get_idx(s->pull_secrets, i);

        if (!find_named(has, json_object_get_string(name)))
            json_object_array_add(added, copy_of(name));
    }
    json_object_object_add(undo, "pullSecrets", added);
}

static struct json_object *build_undo(const struct inject_settings *s,
                                      struct json_object *tmpl,
                                      struct json_object *patch)
{
    struct json_object *undo = json_object_new_object();
    struct json_object *values = json_object_new_array();
    bool low = find_named(json_get_array(tmpl, "spec.securityContext.sysctls"),
                          LOW_PORTS);

    for (size_t i = 0; i < json_array_len(patch); i++)
        remember_value(values, tmpl, json_object_array_get_idx(patch, i));
    json_object_object_add(undo, "values", values);
    remember_secrets(s, tmpl, undo);
    json_object_object_add(undo, "lowPorts", json_object_new_boolean(low));
    json_object_object_add(
        undo, "defaultContainer",
        json_object_new_boolean(inject_annotation(tmpl, ANNOTATION_DEFAULT) !=
                                NULL));
    return undo;
}

int template_inject(const struct inject_settings *s, const char *ns,
                    struct json_object *tmpl, struct json_object **undo,
                    struct tp_error *err)
{
    cleanup_json struct json_object *patch = NULL;
    struct tp_error why = {0};
    const char *failed;
    int rc = inject_pod(s, ns, tmpl, &patch, &why);

    *undo = NULL;
    if (rc <= 0)
        return tp_error_set(err, -EINVAL, "the pods get no agent: %.400s",
                            why.text);
    *undo = build_undo(s, tmpl, patch);
    failed = json_patch_run(tmpl, patch);
    if (!failed)
        return 0;
    json_object_put(*undo);
    *undo = NULL;
    return tp_error_set(err, -EINVAL, "pod template: cannot apply %.200s",
                        failed);
}

/* ---- and back --------------------------------------------------------------
 */

static bool same(struct json_object *a, struct json_object *b)
{
    return a && b ? json_object_equal(a, b) : !a && !b;
}

static void restore_value(struct json_object *tmpl, struct json_object *entry)
{
    const char *list = json_get_str(entry, "list", "");
    const char *path = json_get_str(entry, "path", "");
    struct json_object *spec = json_get(tmpl, "spec");
    struct json_object *container =
        find_named(json_get_array(spec, list), json_get_str(entry, "name", ""));

    if (!container || !*path ||
        !same(json_pointer_value(container, path), json_get(entry, "new")))
        return;
    json_pointer_put(container, path, copy_of(json_get(entry, "old")));
}

static void restore_values(struct json_object *tmpl, struct json_object *undo)
{
    struct json_object *values = json_get_array(undo, "values");
    struct json_object *secrets = json_get_array(undo, "pullSecrets");

    for (size_t i = json_array_len(values); i > 0; i--)
        restore_value(tmpl, json_object_array_get_idx(values, i - 1));
    for (size_t i = 0; i < json_array_len(secrets); i++) {
        const char *name =
            json_object_get_string(json_object_array_get_idx(secrets, i));

        remove_named(json_get(tmpl, "spec"), "imagePullSecrets",
                     name ? name : "");
    }
}

void template_restore(struct json_object *tmpl, struct json_object *undo)
{
    struct json_object *spec = json_get(tmpl, "spec");
    struct json_object *security = json_get(spec, "securityContext");
    struct json_object *annotations = json_get(tmpl, "metadata.annotations");

    if (!json_object_is_type(spec, json_type_object))
        return;
    remove_named(spec, "containers", INJECT_AGENT);
    remove_named(spec, "initContainers", INJECT_AGENT);
    remove_named(spec, "initContainers", INJECT_INIT);
    remove_named(spec, "volumes", INJECT_VOLUME);
    restore_values(tmpl, undo);
    if (security && !json_get_bool(undo, "lowPorts", true))
        remove_named(security, "sysctls", LOW_PORTS);
    if (!json_object_is_type(annotations, json_type_object))
        return;
    json_object_object_del(annotations, ANNOTATION_DONE);
    if (!json_get_bool(undo, "defaultContainer", true))
        json_object_object_del(annotations, ANNOTATION_DEFAULT);
}
