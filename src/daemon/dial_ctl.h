/*
 * dial_ctl.h - `tp-daemon dial HOST PORT`: one connection into the cluster
 *
 * The first line of output is {} or {"error", "code"}; what follows, and the
 * input, is the connection's (doc/control.md).
 */
#ifndef TP_DAEMON_DIAL_CTL_H
#define TP_DAEMON_DIAL_CTL_H

#include <stdbool.h>

#include "base/error.h"

/* path: the proxy's unix socket. only_check: the connection is closed as soon
 * as it is there. 0 or a negative errno with err filled, in the line, too. */
int dial_ctl_run(const char *path, const char *host, const char *port,
                 bool only_check, int in, int out, struct tp_error *err);

#endif
