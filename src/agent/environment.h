/*
 * environment.h - the environment of a container of the pod
 *
 * The webhook copies a container's variables into the agent's own environment
 * under the prefix TPENV_<i>_, so that the kubelet resolves Secrets, ConfigMaps
 * and fields for it; here they become again what the container sees, by the
 * kubelet's rules (makeEnvironmentVariables() in pkg/kubelet/kubelet_pods.go):
 *
 *   1. envFrom: what has the prefix and is not in the list of names
 *   2. env in the order of the list, `$(NAME)` expanded from what came before,
 *      from 1 and from the service links
 *   3. HOSTNAME, and the service links that nothing above hides
 *
 * A name that matches an exclusion does not exist: it is neither handed out nor
 * put into another's value, which keeps its `$(NAME)`.
 */
#ifndef TP_AGENT_ENVIRONMENT_H
#define TP_AGENT_ENVIRONMENT_H

#include <stddef.h>

#include "base/error.h"

struct json_object;

/* Of all names and values of one container. */
#define ENVIRONMENT_MAX (1 << 20)

struct environment_source {
    char *const *environ; /* of the agent, NULL-terminated */
    size_t index;         /* of the container in CONFIG's "containers" */
    /* Names of the spec's env in order; "=NAME" for one whose value must not be
     * expanded (valueFrom). An array or NULL. */
    struct json_object *names;
    struct json_object *exclude; /* globs; an array or NULL */
    const char *hostname;        /* where the agent has no HOSTNAME */
};

/* {"environment": {"NAME": "VALUE"}, "excluded": N}. Owned by the caller
 * (json_object_put). What is not UTF-8 is left out. NULL with err: -EMSGSIZE,
 * -ENOMEM. */
struct json_object *environment_build(const struct environment_source *source,
                                      struct tp_error *err);

#endif
