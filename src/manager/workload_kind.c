#include "manager/workload_kind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct workload_kind kinds[] = {
    {"Deployment",
     "deployments",
     "/apis/apps/v1",
     "apps/v1",
     true,
     {"deployment", "deployments", "deploy"}},
    {"StatefulSet",
     "statefulsets",
     "/apis/apps/v1",
     "apps/v1",
     true,
     {"statefulset", "statefulsets", "sts"}},
    {"DaemonSet",
     "daemonsets",
     "/apis/apps/v1",
     "apps/v1",
     true,
     {"daemonset", "daemonsets", "ds"}},
    {"ReplicaSet",
     "replicasets",
     "/apis/apps/v1",
     "apps/v1",
     true,
     {"replicaset", "replicasets", "rs"}},
    {"Pod", "pods", "/api/v1", "v1", true, {"pod", "pods", "po"}},
    {"Job", "jobs", "/apis/batch/v1", "batch/v1", false, {"job", "jobs"}},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

const struct workload_kind *workload_kind_at(size_t i)
{
    return i < KINDS ? &kinds[i] : NULL;
}

const struct workload_kind *workload_kind_find(const char *kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (!strcmp(kinds[i].kind, kind))
            return &kinds[i];
    }
    return NULL;
}

static const struct workload_kind *find_alias(const char *text, size_t len)
{
    for (size_t i = 0; i < KINDS; i++) {
        for (size_t j = 0; j < 4 && kinds[i].aliases[j]; j++) {
            const char *alias = kinds[i].aliases[j];

            if (strlen(alias) == len && !memcmp(alias, text, len))
                return &kinds[i];
        }
    }
    return NULL;
}

bool is_dns_name(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len == 0 || len > max || strstr(text, "..") || *text == '-' ||
        *text == '.' || text[len - 1] == '-' || text[len - 1] == '.')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

bool is_dns_label(const char *text)
{
    return is_dns_name(text, 63) && !strchr(text, '.');
}

int workload_parse(const char *text, const struct workload_kind **kind,
                   char name[WORKLOAD_NAME_MAX + 1], struct tp_error *err)
{
    const char *slash = strchr(text, '/');

    *kind = NULL;
    if (slash) {
        *kind = find_alias(text, (size_t)(slash - text));
        if (!*kind)
            return tp_error_set(err, -EINVAL,
                                "%.*s: no kind that can be engaged (deploy, "
                                "sts, ds, rs, pod, job)",
                                (int)(slash - text > 60 ? 60 : slash - text),
                                text);
        text = slash + 1;
    }
    if (!is_dns_name(text, WORKLOAD_NAME_MAX))
        return tp_error_set(err, -EINVAL, "%.100s: no workload's name", text);
    memcpy(name, text, strlen(text) + 1);
    return 0;
}

void workload_path(const struct workload_kind *kind, const char *ns,
                   const char *name, char out[WORKLOAD_PATH_MAX])
{
    snprintf(out, WORKLOAD_PATH_MAX, "%s/namespaces/%s/%s%s%s", kind->base, ns,
             kind->resource, *name ? "/" : "", name);
}
