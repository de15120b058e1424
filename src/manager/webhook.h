/*
 * webhook.h - AdmissionReview (admission.k8s.io/v1): pods get their agent
 *
 * A pod is never refused: what cannot be done is a warning in the answer. The
 * answer depends on the request and the chart's settings alone and holds no
 * secret, so it does not matter who asks (SECURITY 22); a dry run is the same.
 */
#ifndef TP_MANAGER_WEBHOOK_H
#define TP_MANAGER_WEBHOOK_H

#include <stddef.h>

#include "base/error.h"
#include "manager/inject.h"

#define WEBHOOK_PATH "/inject"
/* Of a request's body. Larger pods get no agent. */
#define WEBHOOK_BODY_MAX (1024 * 1024)

enum webhook_result {
    WEBHOOK_BAD,     /* no AdmissionReview of v1: HTTP 400 */
    WEBHOOK_PATCHED, /* the pod gets an agent */
    WEBHOOK_NOTHING, /* it gets none, as it should be */
    WEBHOOK_WARNED,  /* it asks for one and gets none */
};

/* Answers the review in body, len bytes. *answer is a text that the caller
 * frees: JSON, or for WEBHOOK_BAD the reason; NULL when out of memory. `note`
 * has one line for the log. */
enum webhook_result webhook_answer(const struct inject_settings *s,
                                   const char *body, size_t len, char **answer,
                                   struct tp_error *note);

#endif
