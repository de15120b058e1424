/*
 * rollout.h - how the pods of a workload get their agent (KUBERNETES 11)
 *
 * Pure functions on the API server's JSON: the way by kind and strategy, and
 * what there is to say while it is under way.
 */
#ifndef TP_MANAGER_ROLLOUT_H
#define TP_MANAGER_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "manager/workload_config.h"
#include "manager/workload_kind.h"

#define ROLLOUT_TEXT 300

enum rollout_method {
    ROLLOUT_TEMPLATE, /* another template is a restart by itself */
    ROLLOUT_EVICT,    /* another template, then its pods are evicted */
    ROLLOUT_NEVER,    /* pods get an agent when they are made, or never */
};

struct rollout_plan {
    enum rollout_method method;
    bool interrupts;           /* clients of the workload will notice */
    char reason[ROLLOUT_TEXT]; /* NEVER: what to do instead; else why it does */
};

void rollout_plan(struct rollout_plan *plan, const struct workload_kind *kind,
                  struct json_object *workload);

/* Has the controller done all it was told? */
bool rollout_is_complete(struct json_object *workload);
/* Why it will not get on by itself, "" if there is no sign of that. */
void rollout_trouble(struct json_object *workload, char out[ROLLOUT_TEXT]);

/* What the pods look like. */
struct pods_view {
    size_t alive;               /* neither ended nor ending */
    size_t able;                /* of these: with an agent that can do it */
    size_t ready;               /* and not ending */
    size_t fit;                 /* ready, with an agent that can do it */
    size_t connected;           /* of these: the agent is there */
    size_t without_agent;       /* ready, with none at all */
    size_t strangers;           /* ready, but the agent is another tp's */
    char unfit[254];            /* a ready pod that has to go, or "" */
    char trouble[ROLLOUT_TEXT]; /* of a pod that does not start, or "" */
};

/* Is the agent of the pod with that uid connected? */
typedef bool pods_connected_cb(void *arg, const char *uid);
void pods_look(struct pods_view *view, struct json_object *pod_list,
               const struct config_need *need, pods_connected_cb *cb,
               void *arg);

/* Where an engagement is. */
struct rollout_state {
    bool ready;
    bool evict; /* view->unfit may go now */
    char message[ROLLOUT_TEXT];
};
void rollout_judge(struct rollout_state *state, const struct rollout_plan *plan,
                   struct json_object *workload, const struct pods_view *view);

#endif
