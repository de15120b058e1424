/*
 * config_write.h - CONFIG into a workload's pod template, and out of it
 *
 * An annotation for the webhook; where the API server does not reach that, or
 * where it has been so, the agent itself (template_inject.h).
 */
#ifndef TP_MANAGER_CONFIG_WRITE_H
#define TP_MANAGER_CONFIG_WRITE_H

#include "manager/engagements.h"
#include "manager/inject.h"

struct json_object;
struct kube_client;

struct config_way {
    struct inject_settings settings; /* a copy; released with the job */
    char manager_ns[64];
    bool restart; /* also where nothing changes */
};

/* On the loop. 0 or -ENOMEM; release also after a failure. */
int config_way_init(struct config_way *way, const struct engagements_env *env);
void config_way_release(struct config_way *way);

/* In a worker thread: puts CONFIG (NULL: takes it away) into the template of
 * *workload, in the version that was read; *workload is what it is then.
 * -EEXIST: somebody was faster. */
int config_write(struct kube_client *client, const struct config_way *way,
                 const struct workload_ref *ref, struct json_object *config,
                 struct json_object **workload, struct tp_error *err);

#endif
