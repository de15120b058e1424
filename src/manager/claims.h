/*
 * claims.h - who alone may have a port of a workload (KUBERNETES 18)
 *
 * An unfiltered intercept or replace holds one Lease for each of its ports in
 * the manager's namespace. The lock is the Lease's *name*: the API server lets
 * one of any number of creations win. A replace also holds the workload's
 * "replace", because one container at most can stand still. Mirrors and ingests
 * hold nothing. Leases are owned by the Engagement, so Kubernetes takes them
 * away with it.
 */
#ifndef TP_MANAGER_CLAIMS_H
#define TP_MANAGER_CLAIMS_H

#include "manager/engagements.h"
#include "base/error.h"

#define CLAIM_NAME_MAX 48
#define CLAIMS_MAX     (ENGAGEMENT_PORTS_MAX + 1)

struct json_object;
struct kube_client;

struct claim {
    char name[CLAIM_NAME_MAX]; /* of the Lease */
    char what[32];             /* "8080/tcp", "replace" */
};

/* The claims of an engagement; how many. */
size_t claims_of(const struct engagement *eng, struct claim out[CLAIMS_MAX]);

/* The Lease of one, owned; owner_uid is the Engagement's. */
struct json_object *claim_build(const struct claim *claim, const char *ns,
                                const char *id, const char *owner_uid);

/* What stands in the way of a claim. */
struct claim_conflict {
    char what[32];
    struct json_object *holder; /* its Engagement; the caller puts it */
};

/* In a worker thread: takes all of them, in the namespace ns of the manager.
 * Leases whose holder is gone are swept. 0; -EBUSY with *conflict; or another
 * negative errno with err filled. What was taken stays: claims_drop(). */
int claims_take(struct kube_client *client, const char *ns,
                const struct engagement *eng, const char *owner_uid,
                struct claim_conflict *conflict, struct tp_error *err);
/* Gives back what is eng's. Failures do not matter: the owner goes too. */
void claims_drop(struct kube_client *client, const char *ns,
                 const struct engagement *eng);

/* "held by alice (intercept) since 14:02 UTC; ..." */
void claim_explain(const struct claim_conflict *conflict, char *out,
                   size_t size);

#endif
