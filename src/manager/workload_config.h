/*
 * workload_config.h - CONFIG: what the agents of a workload are to do
 *
 * The annotation tp.internal/agent of the pod template (doc/architecture.md).
 * It only grows while somebody engages the workload: ports that others use
 * stay.
 */
#ifndef TP_MANAGER_WORKLOAD_CONFIG_H
#define TP_MANAGER_WORKLOAD_CONFIG_H

#include "manager/workload_ports.h"

#define AGENT_LISTEN_FIRST 9900

struct agent_origin;

/* What one engagement needs of the agents. */
struct config_need {
    const struct resolved *ports;
    bool replace; /* the container stands still, the agent is in its place */
    const struct agent_origin *origin; /* of agents that can connect; or NULL */
};

/* The object, owned; NULL if the text is none (or NULL). */
struct json_object *config_parse(const char *text);
/* What the agent of a pod was told: CONFIG, owned; NULL without agent. */
struct json_object *config_of_pod(struct json_object *pod);
/* A variable of the pod's agent, or NULL. Borrowed. */
const char *agent_variable(struct json_object *pod, const char *name);

/* Can agents with this CONFIG (NULL: none) do it? */
bool config_covers(struct json_object *config, const struct config_need *need);

/* The union of both, as a new object. -EBUSY if another container is replaced,
 * -EINVAL if there is no listening port left, -ENOMEM; err filled. config may
 * be NULL; pod_template says which ports are taken. */
int config_merge(struct json_object **out, struct json_object *config,
                 struct json_object *pod_template,
                 const struct config_need *need, struct tp_error *err);

/* Without replacing: the container's own ports are free again. A new object, or
 * NULL if out of memory. */
struct json_object *config_restore(struct json_object *config);

#endif
