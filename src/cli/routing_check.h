/* routing_check.h - settings of subnets that contradict each other */
#ifndef TP_CLI_ROUTING_CHECK_H
#define TP_CLI_ROUTING_CHECK_H

#include "cli/client_config.h"

/* 0, or -EINVAL with err naming both settings and what is in both. */
int routing_check(const struct client_config *c, struct tp_error *err);

#endif
