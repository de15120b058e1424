/*
 * route.h - policy routing of captured packets back to the namespace
 *
 * `ip rule fwmark CAPTURE lookup T` and `local default dev lo table T`, for
 * each family. Idempotent: what a predecessor left is the same and is kept.
 */
#ifndef TP_DAEMON_ROUTE_H
#define TP_DAEMON_ROUTE_H

#include "base/error.h"

/* family: AF_INET, AF_INET6. */
int route_install(int family, struct tp_error *err);
/* 0 also if there was nothing. */
int route_remove(int family, struct tp_error *err);

#endif
