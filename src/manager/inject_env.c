/*
 * inject_env.c - the agent's environment
 *
 * A container's variables are copied into the agent under a prefix, so that the
 * kubelet resolves Secrets, ConfigMaps and fields and the manager needs no
 * right on them. `$` is doubled: the kubelet halves it again, and the agent
 * expands $(NAME) itself, in the container's order (KUBERNETES 9).
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/inject_internal.h"

/* The kernel takes 128 KiB for one variable; etcd 1.5 MB for an object, which
 * holds the container's own copy, too. */
#define VARIABLE_MAX (120 * 1024)
#define COPIES_MAX   (256 * 1024)
#define NAMES_MAX    4096

struct env {
    const struct inject_settings *s;
    struct json_object *env, *env_from;
    size_t bytes, names;
};

static struct json_object *variable(const char *name)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "name", name);
    return obj;
}

/* For the kubelet, which takes "$$" for "$". NULL if out of memory. */
static char *double_dollars(const char *text)
{
    char *out = malloc(2 * strlen(text) + 1), *p = out;

    for (; out && *text; text++) {
        if (*text == '$')
            *p++ = '$';
        *p++ = *text;
    }
    if (out)
        *p = '\0';
    return out;
}

static void put_value(struct json_object *env, const char *name,
                      const char *value)
{
    struct json_object *obj = variable(name);
    cleanup_free char *doubled = double_dollars(value);

    json_put_str(obj, "value", doubled ? doubled : "");
    json_object_array_add(env, obj);
}

static void put_field(struct json_object *env, const char *name,
                      const char *path)
{
    struct json_object *obj = variable(name), *ref = json_object_new_object();
    struct json_object *from = json_object_new_object();

    json_put_str(ref, "fieldPath", path);
    json_object_object_add(from, "fieldRef", ref);
    json_object_object_add(obj, "valueFrom", from);
    json_object_array_add(env, obj);
}

/* ---- copies ----------------------------------------------------------------
 */

static bool is_excluded(const struct inject_settings *s, const char *name)
{
    for (size_t i = 0; i < json_array_len(s->exclude); i++) {
        struct json_object *glob = json_object_array_get_idx(s->exclude, i);

        if (fnmatch(json_object_get_string(glob), name, 0) == 0)
            return true;
    }
    return false;
}

static int deep_copy(struct json_object *from, struct json_object **to)
{
    *to = NULL;
    return json_object_deep_copy(from, to, NULL) < 0 ? -ENOMEM : 0;
}

/* A quantity is that of the container which it names, by default its own. */
static void name_container(struct json_object *source, const char *container)
{
    struct json_object *ref = json_get(source, "resourceFieldRef");

    if (json_object_is_type(ref, json_type_object) &&
        !*json_get_str(ref, "containerName", ""))
        json_put_str(ref, "containerName", container);
}

static int copy_variable(struct env *e, struct json_object *entry,
                         const char *prefix, const char *container)
{
    const char *name = json_get_str(entry, "name", "");
    struct json_object *source = json_get(entry, "valueFrom"), *copy, *obj;
    char prefixed[INJECT_NAME_MAX + 32];

    if (!*name || strlen(name) > INJECT_NAME_MAX || is_excluded(e->s, name))
        return 0;
    snprintf(prefixed, sizeof(prefixed), "%s%s", prefix, name);
    if (!source) {
        put_value(e->env, prefixed, json_get_str(entry, "value", ""));
        return 0;
    }
    if (deep_copy(source, &copy) < 0)
        return -ENOMEM;
    name_container(copy, container);
    obj = variable(prefixed);
    json_object_object_add(obj, "valueFrom", copy);
    json_object_array_add(e->env, obj);
    return 0;
}

static int copy_source(struct env *e, struct json_object *entry,
                       const char *prefix)
{
    cleanup_free char *full = NULL;
    struct json_object *copy;

    if (!json_object_is_type(entry, json_type_object))
        return 0;
    if (asprintf(&full, "%s%s", prefix, json_get_str(entry, "prefix", "")) <
        0) {
        full = NULL;
        return -ENOMEM;
    }
    if (deep_copy(entry, &copy) < 0)
        return -ENOMEM;
    json_put_str(copy, "prefix", full);
    json_object_array_add(e->env_from, copy);
    return 0;
}

/* How much an entry adds to the pod. */
static int count(struct env *e, struct json_object *entry)
{
    size_t len = 0;

    json_object_to_json_string_length(entry, JSON_C_TO_STRING_PLAIN, &len);
    e->bytes += len;
    e->names++;
    return e->bytes > COPIES_MAX || len > VARIABLE_MAX || e->names > NAMES_MAX
               ? -EMSGSIZE
               : 0;
}

static int copy_container(struct env *e, size_t index,
                          struct json_object *container)
{
    struct json_object *env = json_get_array(container, "env");
    struct json_object *from = json_get_array(container, "envFrom");
    char prefix[32];
    int rc = 0;

    snprintf(prefix, sizeof(prefix), "TPENV_%zu_", index);
    for (size_t i = 0; rc == 0 && i < json_array_len(env); i++) {
        struct json_object *entry = json_object_array_get_idx(env, i);

        rc = count(e, entry);
        if (rc == 0)
            rc = copy_variable(e, entry, prefix,
                               inject_container_name(container));
    }
    for (size_t i = 0; rc == 0 && i < json_array_len(from); i++) {
        struct json_object *entry = json_object_array_get_idx(from, i);

        rc = count(e, entry);
        if (rc == 0)
            rc = copy_source(e, entry, prefix);
    }
    return rc;
}

/* ---- the whole --------------------------------------------------------------
 */

static int put_own(struct env *e, const struct inject_config *c,
                   struct json_object *pod)
{
    cleanup_json struct json_object *config =
        inject_config_to_json(c, pod, e->s->exclude);
    const char *text = json_to_text(config);

    if (!text || strlen(text) > VARIABLE_MAX)
        return -EMSGSIZE;
    put_value(e->env, "TP_AGENT_CONFIG", text);
    put_value(e->env, "TP_AGENT_MANAGER", e->s->manager);
    put_value(e->env, "TP_AGENT_SERVER_NAME", e->s->server_name);
    put_value(e->env, "TP_AGENT_CA", e->s->ca);
    put_field(e->env, "TP_AGENT_POD_IP", "status.podIP");
    put_field(e->env, "TP_AGENT_POD_IPS", "status.podIPs");
    put_value(e->env, "TP_AGENT_LOG_LEVEL", e->s->log_level);
    return 0;
}

int inject_env_build(const struct inject_config *c,
                     const struct inject_settings *s, struct json_object *pod,
                     struct json_object **env, struct json_object **env_from,
                     struct tp_error *why)
{
    struct env e = {
        .s = s,
        .env = json_object_new_array(),
        .env_from = json_object_new_array(),
    };
    int rc = put_own(&e, c, pod);

    for (size_t i = 0; rc == 0 && i < c->container_count; i++)
        rc = copy_container(&e, i, inject_find(pod, c->containers[i]));
    if (rc == 0) {
        *env = e.env;
        *env_from = e.env_from;
        return 0;
    }
    json_object_put(e.env);
    json_object_put(e.env_from);
    return rc == -EMSGSIZE
               ? tp_error_set(why, rc, "the environment is too large to copy")
               : tp_error_errno(why, rc, "environment");
}

struct json_object *inject_env_of_init(struct json_object *env)
{
    static const char *const wanted[] = {"TP_AGENT_CONFIG", "TP_AGENT_POD_IP",
                                         "TP_AGENT_POD_IPS",
                                         "TP_AGENT_LOG_LEVEL"};
    struct json_object *out = json_object_new_array();

    for (size_t i = 0; i < json_array_len(env); i++) {
        struct json_object *entry = json_object_array_get_idx(env, i);

        for (size_t j = 0; j < sizeof(wanted) / sizeof(*wanted); j++) {
            if (!strcmp(json_get_str(entry, "name", ""), wanted[j]))
                json_object_array_add(out, json_object_get(entry));
        }
    }
    return out;
}
