/*
 * ready.h - `tp-agent ready`: are the agent's listeners there?
 *
 * The readiness probe, an exec in the agent's container. It looks for listening
 * sockets in /proc/net: that needs no file system of its own, no right of any
 * UID, no port more, and does not make a connection that the app would see.
 *
 * The manager has no part in it: a pod must be ready while tp is away.
 */
#ifndef TP_AGENT_READY_H
#define TP_AGENT_READY_H

#include "agent/path.h"
#include "base/error.h"

/* 0, or -EAGAIN with the port that is missing. */
int ready_check(const struct agent_path_config *config, struct tp_error *err);

#endif
