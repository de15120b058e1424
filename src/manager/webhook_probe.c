#include "manager/webhook_probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/workload.h"

/* Nothing of it is ever run; Pod Security restricted lets it in. */
static const char probe_pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"generateName\":"
    "\"tp-probe-\",\"labels\":{\"" PROBE_LABEL "\":\"webhook\"}},\"spec\":{"
    "\"automountServiceAccountToken\":false,\"securityContext\":{"
    "\"runAsNonRoot\":true,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}},"
    "\"containers\":[{\"name\":\"probe\",\"image\":\"tp.invalid/none\","
    "\"resources\":{\"requests\":{\"cpu\":\"1m\",\"memory\":\"1Mi\"},"
    "\"limits\":{\"cpu\":\"1m\",\"memory\":\"1Mi\"}},\"securityContext\":{"
    "\"allowPrivilegeEscalation\":false,\"capabilities\":{\"drop\":[\"ALL\"]}}"
    "}]}}";

bool webhook_is_reached(struct kube_client *client, const char *manager_ns)
{
    cleanup_json struct json_object *pod =
        json_parse_text(probe_pod, strlen(probe_pod), NULL);
    cleanup_json struct json_object *answer = NULL;
    struct tp_error err = {0};
    char path[160];
    int rc;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/pods?dryRun=All",
             manager_ns);
    rc = kube_call(client, "POST", path, NULL, pod, &answer, &err);
    if (rc < 0) {
        log_debug("whether the webhook is reached: %s", err.text);
        return true;
    }
    return json_member(json_get(answer, "metadata.labels"), PROBE_REACHED);
}

int webhook_may_replace(const struct inject_settings *s,
                        struct kube_client *client, const char *ns,
                        struct json_object *tmpl, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    const char *out = NULL;
    char path[128];
    int rc;

    if (!s->webhook)
        return tp_error_set(err, -EACCES,
                            "the chart has switched the webhook off "
                            "(webhook.enabled)");
    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s", ns);
    rc = kube_get(client, path, &obj, err);
    if (rc < 0)
        return rc;
    if (s->namespace_selector &&
        !label_selector_matches(s->namespace_selector,
                                json_get(obj, "metadata.labels")))
        out = "webhook.namespaceSelector";
    else if (s->object_selector &&
             !label_selector_matches(s->object_selector,
                                     json_get(tmpl, "metadata.labels")))
        out = "webhook.objectSelector";
    return out ? tp_error_set(err, -EACCES, "the chart's %s leaves them out",
                              out)
               : 0;
}
