/*
 * agent.h - the running agent: ports of the pod, links to the replicas
 */
#ifndef TP_AGENT_AGENT_H
#define TP_AGENT_AGENT_H

#include "agent/settings.h"
#include "base/error.h"

/* Runs until SIGTERM and until what it carries has ended. 0, or why it could
 * not start. Reads what the links need into settings. */
int agent_run(struct settings *settings, struct tp_error *err);

#endif
