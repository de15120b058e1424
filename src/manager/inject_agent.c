/*
 * inject_agent.c - the containers that are added, and the one that is replaced
 *
 * They satisfy the level "restricted" of Pod Security, but for the init
 * container of redirection, which needs NET_ADMIN for a moment.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "manager/inject_internal.h"
#include "manager/service_switch.h"

static struct json_object *new_list(const char *first)
{
    struct json_object *list = json_object_new_array();

    json_object_array_add(list, json_object_new_string(first));
    return list;
}

/* ---- security -------------------------------------------------------------
 */

static struct json_object *new_security(void)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *caps = json_object_new_object();
    struct json_object *seccomp = json_object_new_object();

    json_put_bool(obj, "allowPrivilegeEscalation", false);
    json_put_bool(obj, "readOnlyRootFilesystem", true);
    json_object_object_add(caps, "drop", new_list("ALL"));
    json_object_object_add(obj, "capabilities", caps);
    json_put_str(seccomp, "type", "RuntimeDefault");
    json_object_object_add(obj, "seccompProfile", seccomp);
    return obj;
}

static void copy_member(struct json_object *to, struct json_object *from,
                        const char *key, enum json_type type)
{
    struct json_object *value = json_get(from, key);

    if (json_object_is_type(value, type))
        json_object_object_add(to, key, json_object_get(value));
}

/* As the user of a container, so that files are seen as it sees them and the
 * pod's tokens stay its alone. What the pod says holds for all anyway. */
static struct json_object *security_as(struct json_object *pod,
                                       struct json_object *container)
{
    struct json_object *its = json_get(container, "securityContext");
    struct json_object *obj = new_security();
    int64_t uid =
        json_get_int(its, "runAsUser",
                     json_get_int(pod, "spec.securityContext.runAsUser", -1));

    copy_member(obj, its, "runAsUser", json_type_int);
    copy_member(obj, its, "runAsGroup", json_type_int);
    copy_member(obj, its, "seLinuxOptions", json_type_object);
    json_put_bool(obj, "runAsNonRoot", uid != 0);
    return obj;
}

static struct json_object *security_of_init(void)
{
    struct json_object *obj = new_security();

    json_object_object_add(json_get(obj, "capabilities"), "add",
                           new_list("NET_ADMIN"));
    json_put_int(obj, "runAsUser", 0);
    json_put_int(obj, "runAsGroup", 0);
    json_put_bool(obj, "runAsNonRoot", false);
    return obj;
}

/* ---- ports ----------------------------------------------------------------
 */

static struct json_object *port_entry(const struct inject_port *p,
                                      const char *name)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "name", name);
    json_put_int(obj, "containerPort", p->listen);
    json_put_str(obj, "protocol", p->udp ? "UDP" : "TCP");
    return obj;
}

static bool is_named(const struct inject_config *c, const char *name)
{
    for (size_t i = 0; i < c->port_count; i++) {
        if (c->ports[i].mode == INJECT_NAMED && !strcmp(c->ports[i].name, name))
            return true;
    }
    return false;
}

/* A direct port is the replaced container's own, with hostPort and all. Its
 * name may be that of another container's port, which is the one that Services
 * mean; a container has each name once. */
static struct json_object *direct_entry(const struct inject_config *c,
                                        const struct inject_port *p,
                                        struct json_object *pod)
{
    struct json_object *own =
        inject_find_port(inject_find(pod, p->container), p->port, p->udp, NULL);
    struct json_object *entry = NULL;

    if (!own || json_object_deep_copy(own, &entry, NULL) < 0)
        return port_entry(p, NULL);
    if (is_named(c, json_get_str(entry, "name", "")))
        json_object_object_del(entry, "name");
    return entry;
}

/* The name that Services are switched to, and the app's own if it has one. */
static void add_service_entries(struct json_object *list,
                                const struct inject_port *p,
                                struct json_object *pod)
{
    char name[SWITCH_NAME_MAX];

    switch_port_name(p->port, p->udp, name);
    json_object_array_add(list, port_entry(p, name));
    if (*p->name && inject_find_port(inject_find(pod, p->container), p->port,
                                     p->udp, p->name))
        json_object_array_add(list, port_entry(p, p->name));
}

static struct json_object *agent_ports(const struct inject_config *c,
                                       struct json_object *pod)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < c->port_count; i++) {
        const struct inject_port *p = &c->ports[i];

        if (p->mode == INJECT_SERVICE)
            add_service_entries(list, p, pod);
        else if (p->mode == INJECT_NAMED)
            json_object_array_add(list, port_entry(p, p->name));
        else if (p->mode == INJECT_DIRECT)
            json_object_array_add(list, direct_entry(c, p, pod));
    }
    return list;
}

/* ---- containers ------------------------------------------------------------
 */

static struct json_object *mount(const char *path)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "name", INJECT_VOLUME);
    json_put_str(obj, "mountPath", path);
    json_put_bool(obj, "readOnly", true);
    return obj;
}

/* Where the service account's token would stand: the API server mounts it into
 * every container that mounts nothing there, when it looks at the patched pod
 * again. The agent has no use for it. */
#define ACCOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"

static struct json_object *new_container(const char *name, const char *argument,
                                         const struct inject_settings *s)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *command = new_list(INJECT_PROGRAM);
    struct json_object *mounts = json_object_new_array();

    if (argument)
        json_object_array_add(command, json_object_new_string(argument));
    json_put_str(obj, "name", name);
    json_put_str(obj, "image", s->image);
    json_put_str(obj, "imagePullPolicy", s->pull_policy);
    json_object_object_add(obj, "command", command);
    if (s->resources)
        json_object_object_add(obj, "resources", json_object_get(s->resources));
    json_object_array_add(mounts, mount(ACCOUNT_PATH));
    json_object_object_add(obj, "volumeMounts", mounts);
    return obj;
}

/* exec `tp-agent ready`: its listeners are there. */
static struct json_object *ready_probe(int period, int failures)
{
    struct json_object *probe = json_object_new_object();
    struct json_object *exec = json_object_new_object();
    struct json_object *command = new_list(INJECT_PROGRAM);

    json_object_array_add(command, json_object_new_string("ready"));
    json_object_object_add(exec, "command", command);
    json_object_object_add(probe, "exec", exec);
    json_put_int(probe, "periodSeconds", period);
    json_put_int(probe, "timeoutSeconds", 5);
    json_put_int(probe, "failureThreshold", failures);
    return probe;
}

/* Asked often until it is up, so that the pod loses no time (and a Job's app
 * finds it there), and seldom from then on, as each time is a process. */
static void put_probes(struct json_object *container)
{
    json_object_object_add(container, "startupProbe", ready_probe(1, 60));
    json_object_object_add(container, "readinessProbe", ready_probe(10, 3));
}

/* Whose user the agent is. */
static struct json_object *main_container(const struct inject_config *c,
                                          struct json_object *pod)
{
    if (c->container_count > 0)
        return inject_find(pod, c->containers[0]);
    if (c->port_count > 0)
        return inject_find(pod, c->ports[0].container);
    return json_object_array_get_idx(inject_containers(pod), 0);
}

struct json_object *inject_agent_container(const struct inject_config *c,
                                           const struct inject_settings *s,
                                           struct json_object *pod,
                                           struct json_object *env,
                                           struct json_object *env_from)
{
    struct json_object *obj = new_container(INJECT_AGENT, NULL, s);
    struct json_object *ports = agent_ports(c, pod);

    json_object_array_add(json_get(obj, "volumeMounts"),
                          mount("/run/tp/token"));
    inject_volumes_mount(c, json_get(obj, "volumeMounts"));
    if (json_array_len(ports) > 0)
        json_object_object_add(obj, "ports", ports);
    else
        json_object_put(ports);
    json_object_object_add(obj, "env", json_object_get(env));
    if (json_array_len(env_from) > 0)
        json_object_object_add(obj, "envFrom", json_object_get(env_from));
    put_probes(obj);
    json_object_object_add(obj, "securityContext",
                           security_as(pod, main_container(c, pod)));
    if (inject_is_of_job(pod))
        json_put_str(obj, "restartPolicy", "Always");
    return obj;
}

struct json_object *inject_agent_init(const struct inject_settings *s,
                                      struct json_object *env)
{
    struct json_object *obj = new_container(INJECT_INIT, "init", s);

    json_object_object_add(obj, "env", inject_env_of_init(env));
    json_object_object_add(obj, "securityContext", security_of_init());
    return obj;
}

struct json_object *inject_agent_volume(void)
{
    struct json_object *volume = json_object_new_object();
    struct json_object *projected = json_object_new_object();
    struct json_object *sources = json_object_new_array();
    struct json_object *source = json_object_new_object();
    struct json_object *token = json_object_new_object();

    json_put_str(token, "audience", INJECT_AUDIENCE);
    json_put_int(token, "expirationSeconds", 3600);
    json_put_str(token, "path", "token");
    json_object_object_add(source, "serviceAccountToken", token);
    json_object_array_add(sources, source);
    json_object_object_add(projected, "sources", sources);
    json_put_str(volume, "name", INJECT_VOLUME);
    json_object_object_add(volume, "projected", projected);
    return volume;
}

/* ---- replace ---------------------------------------------------------------
 */

static void set_member(struct json_object *patch, const char *where,
                       const char *key, struct json_object *value)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", where, key);
    inject_patch_add(patch, path, value);
}

/* The app's volumes, variables and resources stay: they are the developer's to
 * see. Its program, and all that speaks to it, goes. */
static void make_idle(const struct inject_settings *s, struct json_object *pod,
                      struct json_object *container, struct json_object *patch,
                      const char *where)
{
    static const char *const gone[] = {
        "args",         "ports",     "livenessProbe", "readinessProbe",
        "startupProbe", "lifecycle", "workingDir"};
    struct json_object *command = new_list(INJECT_PROGRAM);
    char path[128];

    json_object_array_add(command, json_object_new_string("idle"));
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
        snprintf(path, sizeof(path), "%s/%s", where, gone[i]);
        if (json_object_object_get_ex(container, gone[i], NULL))
            inject_patch_remove(patch, path);
    }
    set_member(patch, where, "image", json_object_new_string(s->image));
    if (s->pull_policy)
        set_member(patch, where, "imagePullPolicy",
                   json_object_new_string(s->pull_policy));
    set_member(patch, where, "command", command);
    set_member(patch, where, "securityContext", security_as(pod, container));
}

void inject_agent_replace(const struct inject_config *c,
                          const struct inject_settings *s,
                          struct json_object *pod, struct json_object *patch)
{
    struct json_object *all = inject_containers(pod);

    for (size_t i = 0; *c->replace && i < json_array_len(all); i++) {
        struct json_object *container = json_object_array_get_idx(all, i);
        char where[64];

        if (strcmp(inject_container_name(container), c->replace) != 0)
            continue;
        snprintf(where, sizeof(where), "/spec/containers/%zu", i);
        make_idle(s, pod, container, patch, where);
        return;
    }
}
