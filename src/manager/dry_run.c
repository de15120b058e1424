/*
 * dry_run.c - asks the API server whether it would take the pod
 *
 * Pod Security, quotas and other admission say no to the pod, not to the
 * template: so a pod of the patched template is "created" with dryRun=All,
 * which also goes through the webhook (KUBERNETES 5). Nothing is kept.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/creation.h"
#include "manager/template_inject.h"
#include "manager/webhook_probe.h"
#include "manager/workload.h"

static struct json_object *copy_of(struct json_object *obj)
{
    struct json_object *copy = NULL;

    if (obj)
        json_object_deep_copy(obj, &copy, NULL);
    return copy ? copy : json_object_new_object();
}

/* A StatefulSet's controller adds these to each pod. */
static void add_claimed_volumes(struct json_object *spec,
                                struct json_object *workload)
{
    struct json_object *claims =
        json_get_array(workload, "spec.volumeClaimTemplates");
    struct json_object *volumes = json_get_array(spec, "volumes");

    if (json_array_len(claims) > 0 && !volumes) {
        volumes = json_object_new_array();
        json_object_object_add(spec, "volumes", volumes);
    }
    for (size_t i = 0; i < json_array_len(claims); i++) {
        const char *name = json_get_str(json_object_array_get_idx(claims, i),
                                        "metadata.name", "");
        struct json_object *volume = json_object_new_object();
        struct json_object *claim = json_object_new_object();

        json_put_str(volume, "name", name);
        json_put_str(claim, "claimName", name);
        json_object_object_add(volume, "persistentVolumeClaim", claim);
        json_object_array_add(volumes, volume);
    }
}

/* Without an agent that stands in it; owned. */
static struct json_object *plain_template(struct json_object *workload)
{
    struct json_object *tmpl = copy_of(workload_template(workload));
    const char *text = json_member_str(
        json_get(workload, "metadata.annotations"), ANNOTATION_UNDO, NULL);
    cleanup_json struct json_object *undo =
        text ? json_parse_text(text, strlen(text), NULL) : NULL;

    if (template_is_injected(workload))
        template_restore(tmpl, undo);
    return tmpl;
}

static struct json_object *build_pod(const char *ns,
                                     struct json_object *workload,
                                     struct json_object *config)
{
    cleanup_json struct json_object *tmpl = plain_template(workload);
    struct json_object *pod = json_object_new_object();
    struct json_object *metadata = json_object_new_object();
    struct json_object *annotations =
        copy_of(json_get(tmpl, "metadata.annotations"));

    json_put_str(annotations, ANNOTATION_AGENT, json_to_text(config));
    json_put_str(metadata, "generateName", "tp-dry-run-");
    json_put_str(metadata, "namespace", ns);
    json_object_object_add(metadata, "labels",
                           copy_of(json_get(tmpl, "metadata.labels")));
    json_object_object_add(metadata, "annotations", annotations);
    json_put_str(pod, "apiVersion", "v1");
    json_put_str(pod, "kind", "Pod");
    json_object_object_add(pod, "metadata", metadata);
    json_object_object_add(pod, "spec", copy_of(json_get(tmpl, "spec")));
    add_claimed_volumes(json_get(pod, "spec"), workload);
    return pod;
}

/* ---- without the right to do that --------------------------------------- */

static bool has_redirect(struct json_object *config)
{
    struct json_object *ports = json_get_array(config, "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        if (!strcmp(
                json_get_str(json_object_array_get_idx(ports, i), "mode", ""),
                "redirect"))
            return true;
    }
    return false;
}

const char *namespace_forbids(struct json_object *ns,
                              struct json_object *config)
{
    const char *level =
        json_member_str(json_get(ns, "metadata.labels"),
                        "pod-security.kubernetes.io/enforce", "privileged");

    return strcmp(level, "privileged") != 0 && has_redirect(config) ? level
                                                                    : NULL;
}

static int guess(struct kube_client *client, const char *ns,
                 struct json_object *config, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    const char *level;
    char path[128];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s", ns);
    if (kube_get(client, path, &obj, NULL) < 0)
        return 0;
    level = namespace_forbids(obj, config);
    return level ? tp_error_set(err, -EACCES,
                                "the namespace enforces Pod Security %s, which "
                                "forbids the redirection of ports",
                                level)
                 : 0;
}

/* ---- the verdict --------------------------------------------------------- */

/* What is no verdict on the pod. A quota that is used up now may be free when
 * the pod comes; if not, the rollout says so. */
static bool is_no_verdict(int rc, const char *text)
{
    return (rc != -EACCES && rc != -EINVAL) ||
           strstr(text, "cannot create resource") ||
           strstr(text, "exceeded quota");
}

static int ask(struct kube_client *client, const char *ns,
               struct json_object *pod, struct json_object **answer,
               struct tp_error *why)
{
    char path[160];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods?dryRun=All", ns);
    return kube_call(client, "POST", path, NULL, pod, answer, why);
}

/* 0, -EACCES with the verdict, or -EAGAIN: there is none. */
static int judge(struct kube_client *client, const char *ns,
                 struct json_object *pod, struct json_object **answer,
                 struct tp_error *err)
{
    struct tp_error why = {0};
    int rc = ask(client, ns, pod, answer, &why);

    if (rc == 0)
        return 0;
    if (is_no_verdict(rc, why.text)) {
        log_warn("dry run: %s", why.text);
        return -EAGAIN;
    }
    return tp_error_set(err, -EACCES,
                        "the cluster would refuse the pods with their agent: "
                        "%s",
                        why.text);
}

static int no_agent(const char *why, struct tp_error *err)
{
    return tp_error_set(err, -EACCES,
                        "the pods would come without an agent: %.400s", why);
}

/* The webhook has not touched the pod. */
static int try_template(struct kube_client *client,
                        const struct config_way *way, const char *ns,
                        struct json_object *pod, struct tp_error *err)
{
    cleanup_json struct json_object *undo = NULL, *answer = NULL;
    struct tp_error why = {0};
    int rc;

    if (webhook_is_reached(client, way->manager_ns))
        return no_agent("tp's webhook does not touch them; the chart's "
                        "webhook.namespaceSelector and objectSelector say "
                        "which it does",
                        err);
    rc = webhook_may_replace(&way->settings, client, ns, pod, &why);
    if (rc == 0)
        rc = template_inject(&way->settings, ns, pod, &undo, &why);
    if (rc < 0)
        return no_agent(why.text, err);
    rc = judge(client, ns, pod, &answer, err);
    return rc == -EAGAIN ? 0 : rc;
}

int dry_run_pod(struct kube_client *client, const struct config_way *way,
                const char *ns, struct json_object *workload,
                struct json_object *config, bool *by_template,
                struct tp_error *err)
{
    cleanup_json struct json_object *pod = build_pod(ns, workload, config);
    cleanup_json struct json_object *answer = NULL;
    int rc;

    *by_template = false;
    rc = judge(client, ns, pod, &answer, err);
    if (rc == -EAGAIN)
        return guess(client, ns, config, err);
    if (rc < 0 || pod_has_agent(answer))
        return rc;
    rc = try_template(client, way, ns, pod, err);
    *by_template = rc == 0;
    return rc;
}
