/*
 * agent_review.h - asks the API server whose token an agent shows, and whether
 * its pod is still there
 */
#ifndef TP_MANAGER_AGENT_REVIEW_H
#define TP_MANAGER_AGENT_REVIEW_H

#include "manager/agent_pod.h"

/* 0: pod is the callee's to keep (it may take it over by clearing it); -EACCES:
 * no token of a live pod with an agent, err says why; another negative errno:
 * nobody could tell. */
typedef void agent_review_cb(void *arg, int status, struct agent_pod *pod,
                             const struct tp_error *err);

/* Who says it: the API server, or a test. Both return 0 or -ENOMEM; then cb
 * comes once, from the loop. */
struct agent_judge {
    /* Copies token and wipes the copy. */
    int (*identify)(void *judge, const char *token, agent_review_cb *cb,
                    void *arg);
    /* Is the pod still there, the same one, alive? */
    int (*recheck)(void *judge, const struct agent_token *pod,
                   agent_review_cb *cb, void *arg);
};

/* `judge` is a struct api. */
extern const struct agent_judge agent_api_judge;

#endif
