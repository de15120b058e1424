#include "manager/config_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/template_inject.h"
#include "manager/webhook_probe.h"
#include "manager/workload.h"
#include "manager/workload_kind.h"

#define MERGE_PATCH "application/merge-patch+json"
#define JSON_PATCH  "application/json-patch+json"

int config_way_init(struct config_way *way, const struct engagements_env *env)
{
    static const struct inject_settings none;

    snprintf(way->manager_ns, sizeof(way->manager_ns), "%s", env->ns);
    return inject_settings_copy(&way->settings,
                                env->inject ? env->inject : &none);
}

void config_way_release(struct config_way *way)
{
    inject_settings_release(&way->settings);
}

/* ---- the annotation -------------------------------------------------------
 */

static struct json_object *wrap(const char *key, struct json_object *value)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, key, value);
    return obj;
}

/* A merge patch of the very version that was read. */
static struct json_object *patch_of(struct json_object *workload,
                                    struct json_object *config, bool restart)
{
    struct json_object *annotations = json_object_new_object(), *patch;
    struct json_object *version =
        json_get(workload, "metadata.resourceVersion");
    char now[32];

    json_object_object_add(annotations, ANNOTATION_AGENT,
                           config ? json_object_new_string(json_to_text(config))
                                  : NULL);
    snprintf(now, sizeof(now), "%" PRId64, (int64_t)time(NULL));
    if (restart)
        json_put_str(annotations, ANNOTATION_RESTARTED, now);
    else if (!config)
        json_object_object_add(annotations, ANNOTATION_RESTARTED, NULL);
    patch =
        wrap("spec", wrap("template",
                          wrap("metadata", wrap("annotations", annotations))));
    json_object_object_add(patch, "metadata",
                           wrap("resourceVersion", json_object_get(version)));
    return patch;
}

/* ---- the template ---------------------------------------------------------
 */

static struct json_object *copy_of(struct json_object *obj)
{
    struct json_object *copy = NULL;

    if (obj)
        json_object_deep_copy(obj, &copy, NULL);
    return copy ? copy : json_object_new_object();
}

static void add_op(struct json_object *patch, const char *op, const char *path,
                   struct json_object *value)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "op", op);
    json_put_str(obj, "path", path);
    json_object_object_add(obj, "value", value);
    json_object_array_add(patch, obj);
}

static struct json_object *undo_of(struct json_object *workload)
{
    const char *text = json_member_str(
        json_get(workload, "metadata.annotations"), ANNOTATION_UNDO, NULL);

    return text ? json_parse_text(text, strlen(text), NULL) : NULL;
}

static void annotate(struct json_object *tmpl, struct json_object *config,
                     bool restart)
{
    struct json_object *metadata = json_get(tmpl, "metadata");
    struct json_object *annotations = json_get(metadata, "annotations");
    char now[32];

    if (!annotations) {
        annotations = json_object_new_object();
        json_object_object_add(metadata, "annotations", annotations);
    }
    json_object_object_del(annotations, ANNOTATION_AGENT);
    if (config)
        json_put_str(annotations, ANNOTATION_AGENT, json_to_text(config));
    snprintf(now, sizeof(now), "%" PRId64, (int64_t)time(NULL));
    if (restart)
        json_put_str(annotations, ANNOTATION_RESTARTED, now);
    else if (!config)
        json_object_object_del(annotations, ANNOTATION_RESTARTED);
}

/* As merge patches do it: of the very version that was read. */
static struct json_object *template_patch(struct json_object *workload,
                                          struct json_object *tmpl,
                                          struct json_object *undo)
{
    struct json_object *patch = json_object_new_array();
    struct json_object *annotations =
        copy_of(json_get(workload, "metadata.annotations"));

    json_object_object_del(annotations, ANNOTATION_UNDO);
    if (undo)
        json_put_str(annotations, ANNOTATION_UNDO, json_to_text(undo));
    add_op(patch, "replace", "/metadata/resourceVersion",
           json_object_get(json_get(workload, "metadata.resourceVersion")));
    add_op(patch, "add", "/metadata/annotations", annotations);
    add_op(patch, "replace", "/spec/template", json_object_get(tmpl));
    return patch;
}

/* The agent goes out as it came in, and in again if it is still wanted. */
static int rewrite(const struct config_way *way, const char *ns,
                   struct json_object *workload, struct json_object *config,
                   struct json_object **patch, struct tp_error *err)
{
    cleanup_json struct json_object *tmpl =
        copy_of(workload_template(workload));
    cleanup_json struct json_object *old = undo_of(workload), *undo = NULL;
    int rc = 0;

    template_restore(tmpl, old);
    annotate(tmpl, config, way->restart);
    if (config)
        rc = template_inject(&way->settings, ns, tmpl, &undo, err);
    if (rc == 0)
        *patch = template_patch(workload, tmpl, undo);
    return rc;
}

static bool by_template(struct kube_client *client,
                        const struct config_way *way,
                        const struct workload_ref *ref,
                        struct json_object *config,
                        struct json_object *workload)
{
    struct tp_error err = {0};

    if (template_is_injected(workload))
        return true;
    return config && way->settings.image && way->settings.webhook &&
           !webhook_is_reached(client, way->manager_ns) &&
           webhook_may_replace(&way->settings, client, ref->ns,
                               workload_template(workload), &err) == 0;
}

int config_write(struct kube_client *client, const struct config_way *way,
                 const struct workload_ref *ref, struct json_object *config,
                 struct json_object **workload, struct tp_error *err)
{
    const struct workload_kind *kind = workload_kind_find(ref->kind);
    bool whole = by_template(client, way, ref, config, *workload);
    cleanup_json struct json_object *patch = NULL;
    struct json_object *fresh = NULL;
    char path[WORKLOAD_PATH_MAX];
    int rc = 0;

    if (whole)
        rc = rewrite(way, ref->ns, *workload, config, &patch, err);
    else
        patch = patch_of(*workload, config, way->restart);
    workload_path(kind, ref->ns, ref->name, path);
    if (rc == 0)
        rc = kube_call(client, "PATCH", path, whole ? JSON_PATCH : MERGE_PATCH,
                       patch, &fresh, err);
    if (rc == 0) {
        if (whole)
            log_info("%s %s in %s: its pod template %s", ref->kind, ref->name,
                     ref->ns,
                     config ? "has an agent" : "has no agent any more");
        json_object_put(*workload);
        *workload = fresh;
    }
    return rc;
}
