/*
 * workload.h - what the objects of a workload say: template, pods, selectors
 *
 * Pure functions on the API server's JSON; everything returned is borrowed.
 */
#ifndef TP_MANAGER_WORKLOAD_H
#define TP_MANAGER_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_CONTAINER      "tp-agent"
#define ANNOTATION_AGENT     "tp.internal/agent"
#define ANNOTATION_INJECT    "tp.internal/inject"
#define ANNOTATION_RESTARTED "tp.internal/restarted-at"

struct json_object;

/* The pod template; a Pod is its own. NULL if there is none. */
struct json_object *workload_template(struct json_object *workload);
/* An annotation of the template, or NULL. */
const char *workload_annotation(struct json_object *workload, const char *key);
/* The owner that is the controller, or NULL. */
struct json_object *workload_controller(struct json_object *obj);

/* A container of a template or pod by name, or NULL. */
struct json_object *template_container(struct json_object *pod_template,
                                       const char *name);
/* Its containers, the agent left out: calls cb for each. */
typedef void container_cb(void *arg, struct json_object *container);
void template_each_container(struct json_object *pod_template, container_cb *cb,
                             void *arg);
/* The only one, or that of kubectl's annotation; NULL: it is not clear. */
const char *template_default_container(struct json_object *pod_template);

/* Does a Service's or policy's map of labels match? An empty one: no. */
bool labels_match(struct json_object *wanted, struct json_object *labels);
/* Does a LabelSelector (matchLabels, matchExpressions)? An empty one matches
 * all. */
bool label_selector_matches(struct json_object *selector,
                            struct json_object *labels);

/* The path that lists a workload's pods; of a Pod: itself, as a list of one
 * by its name. Owned by the caller, NULL if out of memory or without selector.
 */
char *workload_pods_path(const char *ns, struct json_object *workload);

/* How many pods there should be now. */
int64_t workload_replicas(struct json_object *workload);

bool pod_is_alive(struct json_object *pod); /* neither ended nor ending */
bool pod_is_ready(struct json_object *pod); /* and stays */
bool pod_has_agent(struct json_object *pod);

#endif
