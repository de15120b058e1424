/*
 * janitor_clean.h - what the janitor does to one workload, in a worker thread
 */
#ifndef TP_MANAGER_JANITOR_CLEAN_H
#define TP_MANAGER_JANITOR_CLEAN_H

#include "manager/config_write.h"
#include "manager/engage_internal.h"

#define NEEDS_MAX 32

struct cleaning {
    struct engage_job job;
    struct workload_ref ref;
    bool remove;   /* the annotation as a whole; else the replacing ends */
    bool given_up; /* the same, if no agent ever came */
    struct resolved needs[NEEDS_MAX]; /* of those that still engage it */
    size_t need_count;
    bool acted; /* something was done */
    struct config_way way;
    bool more; /* pods are left that have to go */
};

/* engage_janitor.c: what is to be left for those who engage it. */
void janitor_prepare(struct engagements *e, struct cleaning *c,
                     const struct workload_ref *w);
/* An engage_job's work. */
void janitor_clean(struct engage_job *job, struct kube_client *client);

#endif
