/*
 * engage_uninstall.h - a user takes the agents of one workload away
 */
#ifndef TP_MANAGER_ENGAGE_UNINSTALL_H
#define TP_MANAGER_ENGAGE_UNINSTALL_H

#include "manager/engage_ask.h"

/* What POST /tp/v1/uninstall asks for (doc/protocol.md); foreign bytes. */
struct uninstall_spec {
    struct workload_ref workload;
    bool yes; /* an interruption is fine */
};
int uninstall_spec_parse(struct uninstall_spec *out, const char *body,
                         size_t len, struct tp_error *err);

/* Answers, now or later. */
void engage_uninstall(struct engagements *e, struct link *link,
                      struct reply *reply, const char *body, size_t len);

#endif
