/*
 * template_inject.h - the agent in the pod template itself
 *
 * For clusters whose API server does not reach the webhook (KUBERNETES 6): what
 * the webhook would add to each pod is written into the workload's template,
 * and taken out again from whatever the template has become meanwhile. What
 * cannot be told from the template (a probe's port, a replaced container's
 * program) is kept in an annotation of the workload. Pure functions.
 */
#ifndef TP_MANAGER_TEMPLATE_INJECT_H
#define TP_MANAGER_TEMPLATE_INJECT_H

#include "manager/inject.h"

#define ANNOTATION_UNDO "tp.internal/undo"

/* Is the agent in the template of the workload? */
bool template_is_injected(struct json_object *workload);

/* The template (changed in place) as its annotation tp.internal/agent wants it,
 * in namespace ns. *undo is for template_restore(); the caller puts it.
 * Negative with err filled: why it cannot be; the template is no good then. */
int template_inject(const struct inject_settings *s, const char *ns,
                    struct json_object *pod_template, struct json_object **undo,
                    struct tp_error *err);

/* Takes the agent out. What somebody else has changed since stays. undo may be
 * NULL, or anything: it stands in an annotation. */
void template_restore(struct json_object *pod_template,
                      struct json_object *undo);

#endif
