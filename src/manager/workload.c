#include "manager/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"

/* ---- template and containers --------------------------------------------- */

static bool is_pod(struct json_object *workload)
{
    return json_get(workload, "spec.containers") != NULL;
}

struct json_object *workload_template(struct json_object *workload)
{
    return is_pod(workload) ? workload : json_get(workload, "spec.template");
}

const char *workload_annotation(struct json_object *workload, const char *key)
{
    return json_member_str(
        json_get(workload_template(workload), "metadata.annotations"), key,
        NULL);
}

struct json_object *workload_controller(struct json_object *obj)
{
    struct json_object *owners =
        json_get_array(obj, "metadata.ownerReferences");

    for (size_t i = 0; i < json_array_len(owners); i++) {
        struct json_object *owner = json_object_array_get_idx(owners, i);

        if (json_get_bool(owner, "controller", false))
            return owner;
    }
    return NULL;
}

static struct json_object *find_named(struct json_object *array,
                                      const char *name)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);

        if (!strcmp(json_get_str(item, "name", ""), name))
            return item;
    }
    return NULL;
}

struct json_object *template_container(struct json_object *pod_template,
                                       const char *name)
{
    return find_named(json_get_array(pod_template, "spec.containers"), name);
}

void template_each_container(struct json_object *pod_template, container_cb *cb,
                             void *arg)
{
    struct json_object *list = json_get_array(pod_template, "spec.containers");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *container = json_object_array_get_idx(list, i);

        if (strcmp(json_get_str(container, "name", ""), AGENT_CONTAINER) != 0)
            cb(arg, container);
    }
}

struct only {
    const char *name;
    size_t count;
};

static void only_cb(void *arg, struct json_object *container)
{
    struct only *only = arg;

    only->name = json_get_str(container, "name", NULL);
    only->count++;
}

const char *template_default_container(struct json_object *pod_template)
{
    const char *name =
        json_member_str(json_get(pod_template, "metadata.annotations"),
                        "kubectl.kubernetes.io/default-container", NULL);
    struct only only = {0};

    if (name && strcmp(name, AGENT_CONTAINER) != 0 &&
        template_container(pod_template, name))
        return name;
    template_each_container(pod_template, only_cb, &only);
    return only.count == 1 ? only.name : NULL;
}

/* ---- labels -------------------------------------------------------------- */

static bool match_all(struct json_object *wanted, struct json_object *labels)
{
    if (!wanted || !json_object_is_type(wanted, json_type_object))
        return true;
    json_object_object_foreach(wanted, key, value)
    {
        const char *label = json_member_str(labels, key, NULL);

        if (!label || !json_object_is_type(value, json_type_string) ||
            strcmp(label, json_object_get_string(value)) != 0)
            return false;
    }
    return true;
}

bool labels_match(struct json_object *wanted, struct json_object *labels)
{
    return wanted && json_object_is_type(wanted, json_type_object) &&
           json_object_object_length(wanted) > 0 && match_all(wanted, labels);
}

static bool is_one_of(struct json_object *values, const char *text)
{
    for (size_t i = 0; i < json_array_len(values); i++) {
        struct json_object *value = json_object_array_get_idx(values, i);

        if (json_object_is_type(value, json_type_string) &&
            !strcmp(json_object_get_string(value), text))
            return true;
    }
    return false;
}

static bool expression_matches(struct json_object *expr,
                               struct json_object *labels)
{
    const char *op = json_get_str(expr, "operator", "");
    const char *label =
        json_member_str(labels, json_get_str(expr, "key", ""), NULL);
    struct json_object *values = json_get_array(expr, "values");

    if (!strcmp(op, "In"))
        return label && is_one_of(values, label);
    if (!strcmp(op, "NotIn"))
        return !label || !is_one_of(values, label);
    if (!strcmp(op, "Exists"))
        return label != NULL;
    return !strcmp(op, "DoesNotExist") && !label;
}

bool label_selector_matches(struct json_object *selector,
                            struct json_object *labels)
{
    struct json_object *list = json_get_array(selector, "matchExpressions");

    if (!match_all(json_get(selector, "matchLabels"), labels))
        return false;
    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!expression_matches(json_object_array_get_idx(list, i), labels))
            return false;
    }
    return true;
}

/* ---- the query for the pods ---------------------------------------------- */

static void put_values(FILE *f, struct json_object *values)
{
    for (size_t i = 0; i < json_array_len(values); i++)
        fprintf(f, "%s%s", i ? "," : "",
                json_object_get_string(json_object_array_get_idx(values, i)));
}

static void put_expression(FILE *f, struct json_object *expr)
{
    const char *op = json_get_str(expr, "operator", "");
    const char *key = json_get_str(expr, "key", "");

    if (!strcmp(op, "Exists")) {
        fprintf(f, ",%s", key);
    } else if (!strcmp(op, "DoesNotExist")) {
        fprintf(f, ",!%s", key);
    } else {
        fprintf(f, ",%s %s (", key, !strcmp(op, "In") ? "in" : "notin");
        put_values(f, json_get_array(expr, "values"));
        fputc(')', f);
    }
}

/* "a=b,c in (d,e)" with a comma in front; owned. */
static char *selector_text(struct json_object *selector)
{
    struct json_object *labels = json_get(selector, "matchLabels");
    struct json_object *list = json_get_array(selector, "matchExpressions");
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    if (labels && json_object_is_type(labels, json_type_object)) {
        json_object_object_foreach(labels, key, value)
        {
            fprintf(f, ",%s=%s", key, json_object_get_string(value));
        }
    }
    for (size_t i = 0; i < json_array_len(list); i++)
        put_expression(f, json_object_array_get_idx(list, i));
    if (fclose(f) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

char *workload_pods_path(const char *ns, struct json_object *workload)
{
    cleanup_free char *text = NULL, *escaped = NULL;
    const char *query = "labelSelector";
    char *path = NULL;

    if (is_pod(workload)) {
        query = "fieldSelector";
        if (asprintf(&text, ",metadata.name=%s",
                     json_get_str(workload, "metadata.name", "")) < 0)
            text = NULL;
    } else {
        text = selector_text(json_get(workload, "spec.selector"));
    }
    if (!text || !*text)
        return NULL;
    escaped = percent_encode(text + 1);
    if (!escaped ||
        asprintf(&path, "/api/v1/namespaces/%s/pods?limit=500&%s=%s", ns, query,
                 escaped) < 0)
        return NULL;
    return path;
}

/* ---- pods ---------------------------------------------------------------- */

int64_t workload_replicas(struct json_object *workload)
{
    const char *kind = json_get_str(workload, "kind", "");

    if (!strcmp(kind, "DaemonSet"))
        return json_get_int(workload, "status.desiredNumberScheduled", 0);
    if (!strcmp(kind, "Job"))
        return json_get_int(workload, "status.active", 0);
    return is_pod(workload) ? 1 : json_get_int(workload, "spec.replicas", 1);
}

bool pod_is_alive(struct json_object *pod)
{
    const char *phase = json_get_str(pod, "status.phase", "");

    return !json_get(pod, "metadata.deletionTimestamp") &&
           strcmp(phase, "Failed") != 0 && strcmp(phase, "Succeeded") != 0;
}

bool pod_is_ready(struct json_object *pod)
{
    struct json_object *list = json_get_array(pod, "status.conditions");

    if (json_get(pod, "metadata.deletionTimestamp") ||
        strcmp(json_get_str(pod, "status.phase", ""), "Running") != 0)
        return false;
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "type", ""), "Ready"))
            return !strcmp(json_get_str(item, "status", ""), "True");
    }
    return false;
}

bool pod_has_agent(struct json_object *pod)
{
    return template_container(pod, AGENT_CONTAINER) ||
           find_named(json_get_array(pod, "spec.initContainers"),
                      AGENT_CONTAINER);
}
