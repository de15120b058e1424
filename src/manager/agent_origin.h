/*
 * agent_origin.h - which installation of tp an agent belongs to
 *
 * An agent trusts the authority, and dials the address, that it was told when
 * its pod was made. After the chart was installed anew, or its authority was
 * renewed, such an agent never comes back: only a new pod does. The pod says
 * what its agent was told, so this is true of agents of every version.
 */
#ifndef TP_MANAGER_AGENT_ORIGIN_H
#define TP_MANAGER_AGENT_ORIGIN_H

#include <stdbool.h>

struct inject_settings;
struct json_object;

struct agent_origin {
    char hash[33]; /* "": not known */
};

/* Of the agents that would be injected now. */
void agent_origin_now(struct agent_origin *o,
                      const struct inject_settings *settings);
/* Of the agent of a pod; "" if it has none. */
void agent_origin_of_pod(struct agent_origin *o, struct json_object *pod);
/* Is it known of both, and another one? */
bool agent_origin_differs(const struct agent_origin *a,
                          const struct agent_origin *b);

#endif
