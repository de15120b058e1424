/*
 * drive_step.h - the jobs of engage_drive.c
 */
#ifndef TP_MANAGER_DRIVE_STEP_H
#define TP_MANAGER_DRIVE_STEP_H

#include "manager/config_write.h"
#include "manager/agent_origin.h"
#include "manager/engage_internal.h"
#include "manager/rollout.h"
#include "manager/service_switch.h"

/* Reads workload and pods; writes CONFIG into the template if it has to. */
struct drive_step {
    struct engage_job job;
    char id[ENGAGEMENT_ID_LEN + 1];
    struct workload_ref ref;
    struct resolved ports;
    struct config_need need;
    struct agent_origin origin;
    struct json_object *connected; /* {"UID": true}: agents that are here */
    bool may_patch, may_restart;
    struct config_way way;

    struct rollout_plan plan;
    struct json_object *workload, *pods;
    bool wanted_patch, patched, restarted;
    bool services_led;          /* to the agents, or there are none to lead */
    char services[SWITCH_TEXT]; /* why not */
};

/* The caller fills need and job.done. NULL if out of memory. */
struct drive_step *drive_step_create(const struct engagements_env *env,
                                     const char *id,
                                     const struct workload_ref *ref);
void drive_step_free(struct drive_step *s);

/* What there is of CONFIG: the annotation's, else that of a pod that was
 * injected without one. Owned, NULL if there is none. */
struct json_object *config_existing(struct json_object *workload,
                                    struct json_object *pods);
/* In a worker thread: asks a pod to go. -EAGAIN: a PodDisruptionBudget says no.
 */
int pod_evict(struct kube_client *client, const char *ns, const char *name,
              struct tp_error *err);

/* Writes an engagement's status; evicts a pod first if there is one to go. */
struct status_write {
    struct engage_job job;
    char id[ENGAGEMENT_ID_LEN + 1];
    char manager_ns[64];
    char ns[64], evict[WORKLOAD_NAME_MAX + 1];
    enum engagement_phase phase;
    char message[ENGAGE_TEXT * 2 + 4];
    size_t pods;
    struct json_object *event; /* a Kubernetes Event, or NULL */
    struct json_object *out;
};

void status_write_run(struct engagements *e, struct eng *eng,
                      enum engagement_phase phase, const char *message,
                      size_t pods, const char *evict,
                      void (*done)(struct engage_job *));
void status_write_free(struct status_write *w);

#endif
