/*
 * agent_pod.h - whose token is that: TokenReview, Pod and ReplicaSet
 *
 * Pure parsing of what the API server says (SECURITY 21); agent_review.c asks
 * it. The manager believes nothing else about an agent.
 */
#ifndef TP_MANAGER_AGENT_POD_H
#define TP_MANAGER_AGENT_POD_H

#include <stdbool.h>

#include "base/error.h"
#include "manager/engagements.h"

#define AGENT_AUDIENCE         "tp-manager.tp.internal"
#define AGENT_TOKENREVIEW_PATH "/apis/authentication.k8s.io/v1/tokenreviews"
#define AGENT_PATH_MAX         512

struct json_object;

/* The pod that a token is bound to. */
struct agent_token {
    char ns[64];
    char pod[254];
    char uid[64];
};

/* The object to POST. NULL if out of memory. */
struct json_object *agent_token_review(const char *token);
/* The answer. 0; -EACCES if it is no token of a pod for us; -EBADMSG if it is
 * no TokenReview. The reason never holds anything of the token. */
int agent_token_parse(struct agent_token *out, struct json_object *answer,
                      struct tp_error *err);
void agent_pod_path(const struct agent_token *token, char out[AGENT_PATH_MAX]);

/* A live pod with an agent. */
struct agent_pod {
    struct agent_token token; /* namespace, name and uid of the pod */
    struct workload_ref workload;
    char ip[64];                /* "" as long as it has none */
    struct json_object *config; /* CONFIG, an object */
    char owner_uid[64];         /* of the pod's owner, "" without one */
};

/* The pod that `token` speaks of, with its own controller as workload. 0;
 * -EACCES if it is another one, at its end, or without an agent; -EBADMSG.
 * Release also after a failure. */
int agent_pod_parse(struct agent_pod *out, const struct agent_token *token,
                    struct json_object *pod, struct tp_error *err);
void agent_pod_release(struct agent_pod *pod);

/* True if the workload is a ReplicaSet, which may have an owner of its own:
 * writes the path where to read it. */
bool agent_pod_has_replicaset(const struct agent_pod *pod,
                              char out[AGENT_PATH_MAX]);
/* The ReplicaSet: its controller, if it has one, is the workload. 0, or -EACCES
 * if it is not the pod's owner. */
int agent_pod_set_replicaset(struct agent_pod *pod, struct json_object *set,
                             struct tp_error *err);

/* True if the agent of the pod takes connections to that port of a container
 * ("": of any). */
bool agent_pod_has_port(const struct agent_pod *pod, const char *container,
                        const struct engagement_port *port);

#endif
