#include "manager/agent_pod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define SERVICE_ACCOUNT "system:serviceaccount:"
#define EXTRA_POD       "authentication.kubernetes.io/pod-name"
#define EXTRA_UID       "authentication.kubernetes.io/pod-uid"
#define INJECTED        "tp.internal/injected"
#define AGENT           "tp.internal/agent"
#define CONTAINER       "tp-agent"
#define VARIABLE        "TP_AGENT_CONFIG"

/* ---- small things -------------------------------------------------------- */

/* A member whose key may hold dots. Borrowed. */
static struct json_object *member(struct json_object *obj, const char *key)
{
    struct json_object *value = NULL;

    if (obj && json_object_is_type(obj, json_type_object))
        json_object_object_get_ex(obj, key, &value);
    return value;
}

static const char *text_of(struct json_object *value)
{
    return value && json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : NULL;
}

/* Names go into paths of requests: RFC 1123 subdomains, nothing else. */
static bool is_name(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len == 0 || len > max || *text == '-' || *text == '.' ||
        strstr(text, ".."))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

/* False if it does not fit: nothing is ever cut. */
static bool copy(char *out, size_t size, const char *text)
{
    return (size_t)snprintf(out, size, "%s", text) < size;
}

/* ---- TokenReview --------------------------------------------------------- */

struct json_object *agent_token_review(const char *token)
{
    struct json_object *review = json_object_new_object();
    struct json_object *spec = json_object_new_object();
    struct json_object *audiences = json_object_new_array();

    if (!review || !spec || !audiences) {
        json_object_put(review);
        json_object_put(spec);
        json_object_put(audiences);
        return NULL;
    }
    json_object_array_add(audiences, json_object_new_string(AGENT_AUDIENCE));
    json_put_str(spec, "token", token);
    json_object_object_add(spec, "audiences", audiences);
    json_put_str(review, "apiVersion", "authentication.k8s.io/v1");
    json_put_str(review, "kind", "TokenReview");
    json_object_object_add(review, "spec", spec);
    return review;
}

static bool is_for_us(struct json_object *status)
{
    struct json_object *audiences = json_get_array(status, "audiences");

    for (size_t i = 0; i < json_array_len(audiences); i++) {
        const char *audience = text_of(json_object_array_get_idx(audiences, i));

        if (audience && !strcmp(audience, AGENT_AUDIENCE))
            return true;
    }
    return false;
}

/* The only value of an extra field, or NULL. */
static const char *extra(struct json_object *user, const char *key)
{
    struct json_object *values = member(json_get(user, "extra"), key);

    if (!values || !json_object_is_type(values, json_type_array) ||
        json_object_array_length(values) != 1)
        return NULL;
    return text_of(json_object_array_get_idx(values, 0));
}

/* system:serviceaccount:NS:NAME */
static bool take_namespace(struct agent_token *out, const char *user)
{
    size_t len;

    if (strncmp(user, SERVICE_ACCOUNT, strlen(SERVICE_ACCOUNT)) != 0)
        return false;
    user += strlen(SERVICE_ACCOUNT);
    len = strcspn(user, ":");
    if (user[len] != ':' || len >= sizeof(out->ns))
        return false;
    memcpy(out->ns, user, len);
    out->ns[len] = '\0';
    return is_name(out->ns, 63) && !strchr(out->ns, '.');
}

int agent_token_parse(struct agent_token *out, struct json_object *answer,
                      struct tp_error *err)
{
    struct json_object *status = json_get(answer, "status");
    struct json_object *user = json_get(status, "user");
    const char *pod = extra(user, EXTRA_POD), *uid = extra(user, EXTRA_UID);

    memset(out, 0, sizeof(*out));
    if (!status)
        return tp_error_set(err, -EBADMSG, "no TokenReview in the answer");
    if (!json_get_bool(status, "authenticated", false))
        return tp_error_set(err, -EACCES, "the token is not valid");
    if (!is_for_us(status))
        return tp_error_set(err, -EACCES, "the token is for another audience");
    if (!take_namespace(out, json_get_str(user, "username", "")))
        return tp_error_set(err, -EACCES, "no service account's token");
    if (!pod || !uid || !*uid || !is_name(pod, sizeof(out->pod) - 1) ||
        !copy(out->pod, sizeof(out->pod), pod) ||
        !copy(out->uid, sizeof(out->uid), uid))
        return tp_error_set(err, -EACCES, "the token is not bound to a pod");
    return 0;
}

void agent_pod_path(const struct agent_token *token, char out[AGENT_PATH_MAX])
{
    snprintf(out, AGENT_PATH_MAX, "/api/v1/namespaces/%s/pods/%s", token->ns,
             token->pod);
}

/* ---- Pod ----------------------------------------------------------------- */

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

/* What the agent itself is told, which nobody can change after the pod's
 * creation; else the annotation. */
static const char *config_text(struct json_object *pod)
{
    struct json_object *agent =
        find_named(json_get_array(pod, "spec.containers"), CONTAINER);
    const char *text;

    if (!agent)
        agent =
            find_named(json_get_array(pod, "spec.initContainers"), CONTAINER);
    text = text_of(
        member(find_named(json_get_array(agent, "env"), VARIABLE), "value"));
    return text ? text
                : text_of(member(json_get(pod, "metadata.annotations"), AGENT));
}

static int take_config(struct agent_pod *out, struct json_object *pod,
                       struct tp_error *err)
{
    const char *text = config_text(pod);
    struct tp_error why;

    if (!text)
        return tp_error_set(err, -EACCES, "the pod has no agent");
    out->config = json_parse_text(text, strlen(text), &why);
    if (!out->config || !json_object_is_type(out->config, json_type_object))
        return tp_error_set(err, -EACCES,
                            "the agent's configuration is no JSON object");
    return 0;
}

/* The owner that is the controller, or NULL. */
static struct json_object *controller(struct json_object *obj)
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

static int set_workload(struct workload_ref *out, const char *kind,
                        const char *name, struct tp_error *err)
{
    if (!*kind || !is_name(name, sizeof(out->name) - 1) ||
        !copy(out->kind, sizeof(out->kind), kind) ||
        !copy(out->name, sizeof(out->name), name))
        return tp_error_set(err, -EACCES, "the owner is not named well");
    return 0;
}

/* A Node owns the mirror pods of static ones: nobody's workload. */
static int take_workload(struct agent_pod *out, struct json_object *pod,
                         struct tp_error *err)
{
    struct json_object *owner = controller(pod);

    memcpy(out->workload.ns, out->token.ns, sizeof(out->workload.ns));
    if (!owner || !strcmp(json_get_str(owner, "kind", ""), "Node"))
        return set_workload(&out->workload, "Pod", out->token.pod, err);
    if (!copy(out->owner_uid, sizeof(out->owner_uid),
              json_get_str(owner, "uid", "")))
        return tp_error_set(err, -EACCES, "the owner's uid is too long");
    return set_workload(&out->workload, json_get_str(owner, "kind", ""),
                        json_get_str(owner, "name", ""), err);
}

static int check_alive(const struct agent_token *token, struct json_object *pod,
                       struct tp_error *err)
{
    const char *phase = json_get_str(pod, "status.phase", "");

    if (strcmp(json_get_str(pod, "kind", ""), "Pod") != 0)
        return tp_error_set(err, -EBADMSG, "no Pod in the answer");
    if (strcmp(json_get_str(pod, "metadata.uid", ""), token->uid) != 0)
        return tp_error_set(err, -EACCES, "the token's pod is gone");
    if (!strcmp(phase, "Succeeded") || !strcmp(phase, "Failed"))
        return tp_error_set(err, -EACCES, "the pod has ended");
    return 0;
}

int agent_pod_parse(struct agent_pod *out, const struct agent_token *token,
                    struct json_object *pod, struct tp_error *err)
{
    const char *injected;
    int rc;

    memset(out, 0, sizeof(*out));
    out->token = *token;
    rc = check_alive(token, pod, err);
    if (rc < 0)
        return rc;
    injected = text_of(member(json_get(pod, "metadata.annotations"), INJECTED));
    if (!injected || !*injected)
        return tp_error_set(err, -EACCES, "the pod was not injected");
    if (!copy(out->ip, sizeof(out->ip), json_get_str(pod, "status.podIP", "")))
        return tp_error_set(err, -EBADMSG, "the pod's address is too long");
    rc = take_workload(out, pod, err);
    return rc < 0 ? rc : take_config(out, pod, err);
}

void agent_pod_release(struct agent_pod *pod)
{
    json_object_put(pod->config);
    memset(pod, 0, sizeof(*pod));
}

/* ---- ReplicaSet ---------------------------------------------------------- */

bool agent_pod_has_replicaset(const struct agent_pod *pod,
                              char out[AGENT_PATH_MAX])
{
    if (strcmp(pod->workload.kind, "ReplicaSet") != 0)
        return false;
    snprintf(out, AGENT_PATH_MAX, "/apis/apps/v1/namespaces/%s/replicasets/%s",
             pod->workload.ns, pod->workload.name);
    return true;
}

int agent_pod_set_replicaset(struct agent_pod *pod, struct json_object *set,
                             struct tp_error *err)
{
    struct json_object *owner = controller(set);

    if (strcmp(json_get_str(set, "metadata.uid", ""), pod->owner_uid) != 0)
        return tp_error_set(err, -EACCES, "the pod's owner is gone");
    if (!owner)
        return 0;
    return set_workload(&pod->workload, json_get_str(owner, "kind", ""),
                        json_get_str(owner, "name", ""), err);
}

/* ---- CONFIG -------------------------------------------------------------- */

bool agent_pod_has_port(const struct agent_pod *pod, const char *container,
                        const struct engagement_port *port)
{
    struct json_object *ports = json_get_array(pod->config, "ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *p = json_object_array_get_idx(ports, i);
        bool udp = !strcmp(json_get_str(p, "protocol", "tcp"), "udp");

        if (json_get_int(p, "port", 0) == port->port && udp == port->udp &&
            (!*container ||
             !strcmp(json_get_str(p, "container", ""), container)))
            return true;
    }
    return false;
}
