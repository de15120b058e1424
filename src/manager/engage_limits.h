/*
 * engage_limits.h - what a pod's container may use at most
 */
#ifndef TP_MANAGER_ENGAGE_LIMITS_H
#define TP_MANAGER_ENGAGE_LIMITS_H

struct json_object;

/* resources.limits of that container: of a pod of the list if there is one (a
 * LimitRange or an autoscaler may have changed them), else of the template. As
 * quantities: {"cpu": "500m", "memory": "128Mi"}, owned, {} for no limits. */
struct json_object *limits_of(struct json_object *pods,
                              struct json_object *pod_template,
                              const char *container);

#endif
