/*
 * engage_limits.h - --limits: what the engaged container may use at most
 */
#ifndef TP_CLI_ENGAGE_LIMITS_H
#define TP_CLI_ENGAGE_LIMITS_H

#include "cli/engage.h"
#include "cli/limits.h"

/* Asks for the limits of an engagement's container and fits them to what this
 * engine takes; says so where there are none, or where that changes them. */
int engage_limits_fetch(struct engage *g, const char *name, struct limits *out,
                        struct tp_error *err);

#endif
