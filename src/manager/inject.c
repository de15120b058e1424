#include "manager/inject.h"

#include "config.h"
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"

#define LOW_PORTS "net.ipv4.ip_unprivileged_port_start"

/* ---- which pods ------------------------------------------------------------
 */

static bool is_protected_namespace(const struct inject_settings *s,
                                   const char *ns)
{
    static const char *const names[] = {"", "kube-system", "kube-node-lease"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!strcmp(ns, names[i]))
            return true;
    }
    return s->own_ns && !strcmp(ns, s->own_ns);
}

static bool is_windows(struct json_object *pod)
{
    struct json_object *selector = json_get(pod, "spec.nodeSelector"), *os;

    if (!strcmp(json_get_str(pod, "spec.os.name", ""), "windows"))
        return true;
    return json_object_is_type(selector, json_type_object) &&
           json_object_object_get_ex(selector, "kubernetes.io/os", &os) &&
           json_object_is_type(os, json_type_string) &&
           !strcmp(json_object_get_string(os), "windows");
}

static bool has_agent(struct json_object *pod)
{
    struct json_object *lists[] = {inject_containers(pod),
                                   inject_init_containers(pod)};

    if (!inject_annotation(pod, ANNOTATION_DONE))
        return false;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < json_array_len(lists[i]); j++) {
            if (!strcmp(inject_container_name(
                            json_object_array_get_idx(lists[i], j)),
                        INJECT_AGENT))
                return true;
        }
    }
    return false;
}

/* Why the pod is none of ours, whatever it asks for; NULL: it may be. */
static const char *untouchable(const struct inject_settings *s, const char *ns,
                               struct json_object *pod)
{
    if (is_protected_namespace(s, ns))
        return "no pod of this namespace is touched";
    if (json_array_len(inject_containers(pod)) == 0)
        return "it has no containers";
    if (inject_annotation(pod, ANNOTATION_MIRROR))
        return "it is a static pod";
    if (is_windows(pod))
        return "it is for Windows";
    if (has_agent(pod))
        return "it has its agent";
    return NULL;
}

/* ---- operations on the pod -------------------------------------------------
 */

static bool has_pull_secret(struct json_object *pod, const char *name)
{
    struct json_object *list = json_get_array(pod, "spec.imagePullSecrets");

    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!strcmp(
                json_get_str(json_object_array_get_idx(list, i), "name", ""),
                name))
            return true;
    }
    return false;
}

/* Those that the namespace does not have are ignored by the kubelet. */
static void add_pull_secrets(const struct inject_settings *s,
                             struct json_object *pod, struct json_object *patch)
{
    struct inject_list list = {patch, "/spec/imagePullSecrets",
                               json_get_array(pod, "spec.imagePullSecrets")};

    for (size_t i = 0; i < json_array_len(s->pull_secrets); i++) {
        const char *name = json_object_get_string(
            json_object_array_get_idx(s->pull_secrets, i));
        struct json_object *entry;

        if (has_pull_secret(pod, name))
            continue;
        entry = json_object_new_object();
        json_put_str(entry, "name", name);
        inject_patch_append(&list, entry);
    }
}

static bool needs_low_ports(const struct inject_config *c)
{
    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].mode == INJECT_DIRECT && c->ports[i].port < 1024)
            return true;
    }
    return false;
}

/* The agent has no capability to listen on port 80 with; the pod's network can
 * be told that none is needed. */
static void add_low_ports(struct json_object *pod, struct json_object *patch)
{
    struct json_object *security = json_get(pod, "spec.securityContext");
    struct json_object *all = json_get_array(security, "sysctls");
    struct inject_list list = {patch, "/spec/securityContext/sysctls", all};
    struct json_object *entry;

    for (size_t i = 0; i < json_array_len(all); i++) {
        entry = json_object_array_get_idx(all, i);
        if (!strcmp(json_get_str(entry, "name", ""), LOW_PORTS))
            return;
    }
    if (!json_object_is_type(security, json_type_object))
        inject_patch_add(patch, "/spec/securityContext",
                         json_object_new_object());
    entry = json_object_new_object();
    json_put_str(entry, "name", LOW_PORTS);
    json_put_str(entry, "value", "0");
    inject_patch_append(&list, entry);
}

static void add_annotations(struct json_object *pod, struct json_object *patch)
{
    struct json_object *first =
        json_object_array_get_idx(inject_containers(pod), 0);

    if (!json_object_is_type(json_get(pod, "metadata.annotations"),
                             json_type_object))
        inject_patch_add(patch, "/metadata/annotations",
                         json_object_new_object());
    inject_patch_annotation(patch, ANNOTATION_DONE, VERSION);
    if (!inject_annotation(pod, ANNOTATION_DEFAULT))
        inject_patch_annotation(patch, ANNOTATION_DEFAULT,
                                inject_container_name(first));
}

/* Init containers come last, so that others' are as they were. */
static void add_containers(const struct inject_config *c,
                           const struct inject_settings *s,
                           struct json_object *pod, struct json_object *patch,
                           struct json_object *agent, struct json_object *env)
{
    struct inject_list init = {patch, "/spec/initContainers",
                               inject_init_containers(pod)};

    if (inject_has_mode(c, INJECT_REDIRECT))
        inject_patch_append(&init, inject_agent_init(s, env));
    if (inject_is_of_job(pod))
        inject_patch_append(&init, agent);
    else
        inject_patch_add(patch, "/spec/containers/0", agent);
}

/* Operations by index come first: the agent shifts the containers. */
static int build(struct inject_config *c, const struct inject_settings *s,
                 struct json_object *pod, struct json_object *patch,
                 struct tp_error *why)
{
    struct inject_list volumes = {patch, "/spec/volumes",
                                  json_get_array(pod, "spec.volumes")};
    struct json_object *env, *env_from;
    int rc = inject_probes_move(c, pod, patch, why);

    if (rc == 0)
        rc = inject_volumes_read(c, s, pod, why);
    if (rc == 0)
        rc = inject_env_build(c, s, pod, &env, &env_from, why);
    if (rc < 0)
        return rc;
    inject_agent_replace(c, s, pod, patch);
    add_containers(c, s, pod, patch,
                   inject_agent_container(c, s, pod, env, env_from), env);
    inject_patch_append(&volumes, inject_agent_volume());
    add_pull_secrets(s, pod, patch);
    if (needs_low_ports(c))
        add_low_ports(pod, patch);
    add_annotations(pod, patch);
    json_object_put(env);
    json_object_put(env_from);
    return 1;
}

int inject_pod(const struct inject_settings *s, const char *ns,
               struct json_object *pod, struct json_object **patch,
               struct tp_error *why)
{
    const char *reason = untouchable(s, ns, pod);
    struct inject_config config;
    int rc;

    *patch = NULL;
    if (reason) {
        tp_error_set(why, -EPERM, "%s", reason);
        return 0;
    }
    rc = inject_wish_read(&config, pod, why);
    if (rc <= 0)
        return rc;
    reason = inject_settings_missing(s);
    if (reason)
        return tp_error_set(why, -EAGAIN, "tp-manager cannot inject yet: %s",
                            reason);
    rc = inject_check(&config, s, pod, why);
    if (rc < 0)
        return rc;
    *patch = json_object_new_array();
    rc = build(&config, s, pod, *patch, why);
    json_object_put(config.mounts);
    if (rc < 0) {
        json_object_put(*patch);
        *patch = NULL;
    }
    return rc;
}
