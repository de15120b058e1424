/*
 * uninstall.h - no pod keeps an agent (`tp-manager remove-agents`)
 *
 * What the chart's pre-delete hook runs, with the manager's own rights. The
 * webhook goes first, so that no pod gets an agent any more, then what is
 * engaged, then the annotation of each pod template, which replaces its pods as
 * any rollout does. Pods that only their owner can replace (bare ones, those of
 * Jobs) keep their agent, which carries their traffic to the app for good.
 */
#ifndef TP_MANAGER_UNINSTALL_H
#define TP_MANAGER_UNINSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "manager/engagements.h"

struct json_object;
struct kube_client;

/* Returns when no pod has an agent, or after so many seconds. webhook: its
 * MutatingWebhookConfiguration, "": none. 0 even if some are left (they go with
 * their pods' next restart; the log names them), or a negative errno with err
 * filled if the API server does not answer or refuses. */
int uninstall_run(const char *ns, const char *webhook, unsigned seconds,
                  struct tp_error *err);

/* ---- uninstall_round.c ---- */

struct uninstall {
    struct kube_client *client;
    int64_t deadline;               /* of time(), s */
    struct json_object *namespaces; /* {name: true} where agents were found */
    struct json_object *restarted;  /* {"ns/kind/name": true} */
    struct json_object *owners;     /* {"ns/replicaset": "kind/name"} */
    bool everywhere;                /* this round */
    unsigned left;                  /* pods whose agents will go */
    unsigned kept;                  /* pods whose agents will not */
    struct tp_error *err;
};

/* Looks at all pods and does what can be done now. 0 or a negative errno. */
int uninstall_round(struct uninstall *u);
/* Takes the annotation off all pod templates, also those without pods. */
int uninstall_templates(struct uninstall *u);

/* What is to be done for a workload whose pods have agents. */
enum uninstall_step {
    UNINSTALL_WAIT,     /* its controller is at it */
    UNINSTALL_TEMPLATE, /* the annotation goes, which restarts the pods */
    UNINSTALL_RESTART,  /* they asked for an agent by themselves */
    UNINSTALL_EVICT,    /* one pod may go */
};
enum uninstall_step uninstall_judge(const struct workload_ref *ref,
                                    struct json_object *workload,
                                    bool restarted);

#endif
