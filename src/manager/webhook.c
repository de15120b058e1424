#include "manager/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"
#include "manager/inject_internal.h"
#include "manager/webhook_probe.h"

#define API_VERSION "admission.k8s.io/v1"
#define KIND        "AdmissionReview"
#define UID_MAX     128
/* API servers cut warnings at 256. */
#define WARNING_MAX 250

/* ---- the request -----------------------------------------------------------
 */

static int check_review(struct json_object *review, struct tp_error *err)
{
    const char *uid = json_get_str(review, "request.uid", "");

    if (strcmp(json_get_str(review, "apiVersion", ""), API_VERSION) != 0 ||
        strcmp(json_get_str(review, "kind", ""), KIND) != 0)
        return tp_error_set(err, -EPROTO, "not an %s of %s", KIND, API_VERSION);
    if (!*uid || strlen(uid) > UID_MAX)
        return tp_error_set(err, -EPROTO, "the request has no uid");
    return 0;
}

/* NULL if it is not a pod that is being created. */
static struct json_object *created_pod(struct json_object *request)
{
    struct json_object *pod = json_get(request, "object");

    if (strcmp(json_get_str(request, "operation", ""), "CREATE") != 0 ||
        *json_get_str(request, "kind.group", "") ||
        strcmp(json_get_str(request, "kind.version", ""), "v1") != 0 ||
        strcmp(json_get_str(request, "kind.kind", ""), "Pod") != 0 ||
        *json_get_str(request, "subResource", ""))
        return NULL;
    return json_object_is_type(pod, json_type_object) ? pod : NULL;
}

/* ---- the answer ------------------------------------------------------------
 */

static void put_patch(struct json_object *response, struct json_object *patch)
{
    const char *text = json_to_text(patch);
    cleanup_free char *encoded = base64_encode(text, strlen(text));

    if (!encoded)
        return; /* without an agent, then */
    json_put_str(response, "patchType", "JSONPatch");
    json_put_str(response, "patch", encoded);
}

static void put_warning(struct json_object *response, const char *why)
{
    struct json_object *list = json_object_new_array();
    char text[WARNING_MAX + 1];

    snprintf(text, sizeof(text), "tp: the pod gets no agent: %.200s", why);
    json_object_array_add(list, json_object_new_string(text));
    json_object_object_add(response, "warnings", list);
}

static char *finish(struct json_object *response)
{
    cleanup_json struct json_object *review = json_object_new_object();

    json_put_str(review, "apiVersion", API_VERSION);
    json_put_str(review, "kind", KIND);
    json_object_object_add(review, "response", json_object_get(response));
    return strdup(json_to_text(review));
}

/* ---- between them ----------------------------------------------------------
 */

static void describe(struct tp_error *note, enum webhook_result result,
                     struct json_object *request, struct json_object *pod,
                     const char *why)
{
    const char *name = json_get_str(pod, "metadata.name", "");

    if (!*name)
        name = json_get_str(pod, "metadata.generateName", "");
    tp_error_set(note, 0, "pod %.63s/%.253s%s: %s%s",
                 json_get_str(request, "namespace", ""), name,
                 json_get_bool(request, "dryRun", false) ? " (dry run)" : "",
                 result == WEBHOOK_PATCHED ? "gets an agent" : "no agent: ",
                 result == WEBHOOK_PATCHED ? "" : why);
}

/* A dry run in the managers' own namespace asks whether the API server comes
 * here at all, see webhook_probe.h. */
static struct json_object *answer_probe(const struct inject_settings *s,
                                        struct json_object *request,
                                        struct json_object *pod)
{
    struct json_object *labels = json_get(pod, "metadata.labels"), *patch;

    if (!s->own_ns || !json_get_bool(request, "dryRun", false) ||
        strcmp(json_get_str(request, "namespace", ""), s->own_ns) != 0 ||
        !json_member(labels, PROBE_LABEL))
        return NULL;
    patch = json_object_new_array();
    inject_patch_add(patch, "/metadata/labels/" PROBE_REACHED,
                     json_object_new_string("true"));
    return patch;
}

static enum webhook_result decide(const struct inject_settings *s,
                                  struct json_object *request,
                                  struct json_object *response,
                                  struct tp_error *note)
{
    cleanup_json struct json_object *patch = NULL;
    struct json_object *pod = created_pod(request);
    enum webhook_result result = WEBHOOK_NOTHING;
    struct tp_error why = {.text = "not a pod that is created"};
    int rc;

    patch = pod ? answer_probe(s, request, pod) : NULL;
    if (patch) {
        put_patch(response, patch);
        tp_error_set(note, 0, "the API server reaches the webhook");
        return WEBHOOK_NOTHING;
    }
    rc = pod ? inject_pod(s, json_get_str(request, "namespace", ""), pod,
                          &patch, &why)
             : 0;

    if (rc > 0) {
        put_patch(response, patch);
        result = WEBHOOK_PATCHED;
    } else if (rc < 0) {
        put_warning(response, why.text);
        result = WEBHOOK_WARNED;
    }
    describe(note, result, request, pod, why.text);
    return result;
}

enum webhook_result webhook_answer(const struct inject_settings *s,
                                   const char *body, size_t len, char **answer,
                                   struct tp_error *note)
{
    cleanup_json struct json_object *review = json_parse_text(body, len, note);
    cleanup_json struct json_object *response = NULL;
    enum webhook_result result;

    if (!review || check_review(review, note) < 0) {
        *answer = strdup(note->text);
        return WEBHOOK_BAD;
    }
    response = json_object_new_object();
    json_put_str(response, "uid", json_get_str(review, "request.uid", ""));
    json_object_object_add(response, "allowed", json_object_new_boolean(true));
    result = decide(s, json_get(review, "request"), response, note);
    *answer = finish(response);
    return result;
}
