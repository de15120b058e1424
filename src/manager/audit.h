/*
 * audit.h - one JSON line for each decision (SECURITY 25)
 *
 * Who, uid, verb, namespace, destination, allow or deny, why. Never tokens,
 * keys or header values beyond the user's name and uid.
 */
#ifndef TP_MANAGER_AUDIT_H
#define TP_MANAGER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "manager/identity.h"

struct audit_event {
    const char *event;          /* "link", "dial", "request" */
    const struct identity *who; /* NULL: not known */
    const char *verb;           /* "open", "close", "tcp", "udp", "GET" */
    const char *ns;             /* or NULL */
    const char *name;           /* of the session, or NULL */
    const char *destination;    /* or NULL */
    bool allowed;
    const char *reason;  /* or NULL */
    uint64_t suppressed; /* lines left out before this one */
};

void audit_write(const struct audit_event *event);

#endif
