/*
 * service_switch_run.h - looks at Services, and changes them if it may
 *
 * In a worker thread. service_switch.h decides; a Service is changed in the
 * version that was read, so what somebody else does meanwhile wins and is
 * looked at again.
 */
#ifndef TP_MANAGER_SERVICE_SWITCH_RUN_H
#define TP_MANAGER_SERVICE_SWITCH_RUN_H

#include "base/error.h"
#include "manager/service_switch.h"

struct kube_client;

struct switch_run {
    struct kube_client *client;
    const struct switch_want *wants;
    size_t count;
    struct switch_rules rules;
    bool look_only;
    struct json_object *held; /* {"NS/NAME": true}: not switched; or NULL */

    /* what was found */
    bool all;                    /* see struct switch_verdict */
    char reason[SWITCH_TEXT];    /* of the first that is not */
    size_t labelled;             /* Services that are switched */
    struct json_object *changed; /* ["NS/NAME"]: switched just now; owned */
};

/* The Services of a namespace. */
int switch_run_namespace(struct switch_run *r, const char *ns,
                         struct tp_error *err);
/* Those with the label, in all namespaces. */
int switch_run_labelled(struct switch_run *r, struct tp_error *err);

/* All go back: nobody wants anything. For the end of tp; -EAGAIN if some are
 * still switched. */
int switch_restore_all(struct kube_client *client, struct tp_error *err);

/* `tp-manager restore-services`, what helm runs before it removes tp: sessions
 * and engagements end, then every Service is put back. Up to so many seconds.
 */
int switch_farewell(const char *ns, unsigned seconds, struct tp_error *err);

#endif
