/*
 * limits.h - a container's limits in the cluster, as docker run takes them
 *
 * Quantities as in
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
#ifndef TP_CLI_LIMITS_H
#define TP_CLI_LIMITS_H

#include <stdint.h>

#include "base/error.h"

struct json_object;

/* 0: no limit. */
struct limits {
    int64_t millicpus;
    int64_t memory; /* bytes */
};

/* "1.5", "500m", "128Mi", "1e9", times `scale`, rounded up. 0, or -EINVAL for
 * what is no quantity, is negative, or does not fit. */
int limits_parse_quantity(const char *text, int64_t scale, int64_t *out);

/* {"cpu": "500m", "memory": "128Mi"}; absent members are no limit. */
int limits_parse(struct limits *out, struct json_object *obj,
                 struct tp_error *err);

/* What docker takes, at least: 0.01 CPUs and 6 MiB. */
void limits_raise(struct limits *l);

#endif
