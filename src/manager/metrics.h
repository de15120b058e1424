/*
 * metrics.h - counters of the process and their Prometheus text
 *
 * No user names, no addresses: whoever reaches the port may read them.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef TP_MANAGER_METRICS_H
#define TP_MANAGER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "manager/policy.h"

enum dial_outcome {
    DIAL_OK,
    DIAL_REFUSED,
    DIAL_UNREACHABLE,
    DIAL_TIMEOUT,
    DIAL_DENIED,
    DIAL_LIMIT,
    DIAL_ERROR,
};
#define DIAL_OUTCOMES (DIAL_ERROR + 1)

enum review_result { REVIEW_ALLOWED, REVIEW_DENIED, REVIEW_ERROR };
#define REVIEW_RESULTS (REVIEW_ERROR + 1)

struct metrics {
    uint64_t links;          /* now, both directions */
    uint64_t links_incoming; /* of these */
    uint64_t links_total;
    uint64_t streams; /* now */
    uint64_t dials[DIAL_OUTCOMES];
    uint64_t denied[POLICY_VERDICTS];
    uint64_t reviews[REVIEW_RESULTS];
    uint64_t bytes_in;  /* of links that have ended: from clients */
    uint64_t bytes_out; /* to clients */
    uint64_t refused;   /* requests on the API port without a right to it */
    uint64_t agents;    /* pods that are connected now */
    uint64_t agents_refused;                /* requests on their port */
    uint64_t agent_reviews[REVIEW_RESULTS]; /* of agents' tokens */
    uint64_t engaged[DIAL_OUTCOMES];        /* streams of agents */
    uint64_t to_pod[DIAL_OUTCOMES];         /* streams to pods' localhost */
    uint64_t engagements[4];                /* now, by enum engagement_type */
};

enum dial_outcome metrics_dial_outcome(int error);
/* 0: allowed, -EACCES: denied. */
enum review_result metrics_review_result(int status);

/* The page; the caller frees it. NULL if out of memory. */
char *metrics_format(const struct metrics *m);

#endif
