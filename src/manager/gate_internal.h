/*
 * gate_internal.h - what gate.c, gate_open.c and direct_listener.c share
 */
#ifndef TP_MANAGER_GATE_INTERNAL_H
#define TP_MANAGER_GATE_INTERNAL_H

#include "manager/gate.h"
#include "manager/identity.h"

#define GATE_JSON "application/json"

enum gate_port {
    GATE_AGGREGATED, /* by the API server, which said who it is */
    GATE_DIRECT,     /* by a ticket */
};

/* gate_open.c: a Status object of Kubernetes. */
void gate_respond_status(struct server_request *req, int code,
                         const char *reason, const char *message);
/* Asks for the right, and makes the link or refuses; takes who over. */
void gate_open(struct gate *g, struct server_request *req, struct identity *who,
               const struct gate_path *path, enum gate_port port);

/* gate.c: somebody without a right to the port; the audit log bounds them. */
void gate_refuse_caller(struct gate *g, struct server_request *req, int code,
                        const char *reason, const char *message);

#endif
