/*
 * inject_policy.c - which volumes leave the pod
 *
 *   {"default": POLICY, "rules": [{"volume": NAME | "path": PREFIX,
 *                                  "policy": POLICY}]}
 *
 * in the chart (agent.volumes) and in the pod's annotation tp.internal/volumes,
 * whose rules are asked first. The first rule that fits decides. A prefix ends
 * at the border of a directory: /tmp is not /tmpfs.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/inject_internal.h"

#define RULES_MAX       128
#define RULE_TEXT_MAX   512
#define ANNOTATION_SIZE (16 * 1024)

static const char *const policy_names[] = {
    [INJECT_VOLUME_REMOTE] = "remote",
    [INJECT_VOLUME_READ_ONLY] = "remoteReadOnly",
    [INJECT_VOLUME_LOCAL] = "local",
    [INJECT_VOLUME_IGNORE] = "ignore",
};

const char *inject_policy_name(enum inject_volume_policy policy)
{
    return policy_names[policy];
}

/* -1: none of them. */
static int find_policy(struct json_object *value)
{
    const char *text = json_object_is_type(value, json_type_string)
                           ? json_object_get_string(value)
                           : "";

    for (size_t i = 0; i < sizeof(policy_names) / sizeof(*policy_names); i++) {
        if (!strcmp(text, policy_names[i]))
            return (int)i;
    }
    return -1;
}

/* ---- reading ---------------------------------------------------------------
 */

static int check_policy(struct json_object *value, const char *key,
                        struct tp_error *err)
{
    return find_policy(value) >= 0
               ? 0
               : tp_error_set(err, -EINVAL,
                              "\"%s\" is not remote, remoteReadOnly, local or "
                              "ignore",
                              key);
}

static int check_text(struct json_object *value, const char *key,
                      struct tp_error *err)
{
    if (!json_object_is_type(value, json_type_string) ||
        json_object_get_string_len(value) < 1 ||
        json_object_get_string_len(value) > RULE_TEXT_MAX)
        return tp_error_set(err, -EINVAL, "\"%s\" is no text of 1 to %d bytes",
                            key, RULE_TEXT_MAX);
    if (!strcmp(key, "path") && *json_object_get_string(value) != '/')
        return tp_error_set(err, -EINVAL, "\"path\" does not begin with /");
    return 0;
}

static int check_rule(struct json_object *rule, struct tp_error *err)
{
    struct json_object *policy = NULL;
    int subjects = 0, rc = 0;

    if (!json_object_is_type(rule, json_type_object))
        return tp_error_set(err, -EINVAL, "it is no object");
    json_object_object_foreach(rule, key, value)
    {
        if (!strcmp(key, "policy")) {
            policy = value;
        } else if (!strcmp(key, "volume") || !strcmp(key, "path")) {
            subjects++;
            rc = check_text(value, key, err);
        } else {
            rc = tp_error_set(err, -EINVAL, "\"%.64s\" is not known", key);
        }
        if (rc < 0)
            return rc;
    }
    if (subjects != 1)
        return tp_error_set(err, -EINVAL,
                            "it needs one of \"volume\" and \"path\"");
    return check_policy(policy, "policy", err);
}

static int check_rules(struct json_object *rules, struct tp_error *err)
{
    if (!json_object_is_type(rules, json_type_array) ||
        json_array_len(rules) > RULES_MAX)
        return tp_error_set(err, -EINVAL, "\"rules\" is no list of at most %d",
                            RULES_MAX);
    for (size_t i = 0; i < json_array_len(rules); i++) {
        int rc = check_rule(json_object_array_get_idx(rules, i), err);

        if (rc < 0)
            return tp_error_wrap(err, "rule %zu", i + 1);
    }
    return 0;
}

int inject_policy_check(struct json_object *obj, struct tp_error *err)
{
    int rc = 0;

    if (!json_object_is_type(obj, json_type_object))
        return tp_error_set(err, -EINVAL, "it is no object");
    json_object_object_foreach(obj, key, value)
    {
        if (!strcmp(key, "default"))
            rc = check_policy(value, key, err);
        else if (!strcmp(key, "rules"))
            rc = check_rules(value, err);
        else
            rc = tp_error_set(err, -EINVAL, "\"%.64s\" is not known", key);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int inject_policy_of_pod(struct json_object *pod, struct json_object **out,
                         struct tp_error *why)
{
    const char *text = inject_annotation(pod, ANNOTATION_VOLUMES);
    cleanup_json struct json_object *obj = NULL;
    int rc;

    *out = NULL;
    if (!text)
        return 0;
    if (strlen(text) > ANNOTATION_SIZE)
        return tp_error_set(why, -EMSGSIZE, ANNOTATION_VOLUMES ": too long");
    obj = json_parse_text(text, strlen(text), why);
    rc = obj ? inject_policy_check(obj, why) : -EINVAL;
    if (rc < 0)
        return tp_error_wrap(why, ANNOTATION_VOLUMES);
    *out = json_object_get(obj);
    return 0;
}

/* ---- deciding --------------------------------------------------------------
 */

static bool is_below(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    while (len > 0 && prefix[len - 1] == '/')
        len--;
    return strncmp(path, prefix, len) == 0 &&
           (path[len] == '/' || path[len] == '\0' || len == 0);
}

/* The policy, or -1. */
static int ask(struct json_object *policy, const char *volume, const char *path)
{
    struct json_object *rules = json_get_array(policy, "rules");

    for (size_t i = 0; i < json_array_len(rules); i++) {
        struct json_object *rule = json_object_array_get_idx(rules, i);
        const char *name = json_get_str(rule, "volume", NULL);
        const char *prefix = json_get_str(rule, "path", NULL);

        if ((name && !strcmp(name, volume)) ||
            (prefix && is_below(path, prefix)))
            return find_policy(json_get(rule, "policy"));
    }
    return -1;
}

enum inject_volume_policy inject_policy_decide(struct json_object *of_pod,
                                               struct json_object *of_chart,
                                               const char *volume,
                                               const char *path, bool in_memory)
{
    int policy = ask(of_pod, volume, path);
    bool by_rule = policy >= 0;

    if (policy < 0)
        policy = find_policy(json_get(of_pod, "default"));
    if (policy < 0) {
        policy = ask(of_chart, volume, path);
        by_rule = policy >= 0;
    }
    if (policy < 0)
        policy = find_policy(json_get(of_chart, "default"));
    if (policy < 0)
        policy = INJECT_VOLUME_REMOTE;
    if (in_memory && !by_rule && policy == INJECT_VOLUME_REMOTE)
        policy = INJECT_VOLUME_READ_ONLY;
    return (enum inject_volume_policy)policy;
}
