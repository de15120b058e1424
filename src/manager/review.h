/*
 * review.h - may this user do that: SubjectAccessReview
 *
 * authorization.k8s.io/v1. The manager asks for every link itself, whatever
 * the API server has asked before (SECURITY 1, KUBERNETES 2).
 */
#ifndef TP_MANAGER_REVIEW_H
#define TP_MANAGER_REVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "manager/identity.h"

#define REVIEW_PATH "/apis/authorization.k8s.io/v1/subjectaccessreviews"

struct json_object;

/* What is asked for; verb create. Texts are borrowed; "" or NULL: none. */
struct right {
    const char *group, *resource, *subresource;
    const char *ns, *name;
};

/* "create engagements/intercept on deployments.web in namespace team-a (group
 * tp.internal)", for people. */
void right_format(const struct right *right, char *out, size_t size);

/* The object to POST: has id that right? NULL if out of memory. */
struct json_object *review_build_right(const struct identity *id,
                                       const struct right *right);

/* The same for a link: may id `create` `connections` in namespace ns? NULL if
 * out of memory. */
struct json_object *review_build(const struct identity *id, const char *ns);

/* The answer. 0 with *allowed set, or -EBADMSG if it is none. A denial that
 * the API server calls explicit counts as one whatever `allowed` says. */
int review_parse(struct json_object *answer, bool *allowed);

#endif
