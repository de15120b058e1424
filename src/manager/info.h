/*
 * info.h - what clients are told of the cluster (doc/protocol.md 3), and the
 * negotiation of protocol versions
 */
#ifndef TP_MANAGER_INFO_H
#define TP_MANAGER_INFO_H

#include <stddef.h>

#include "manager/cluster.h"

struct json_object;
struct identity;

struct info {
    char cluster_uid[64];
    struct subnets service, pod, also;
    struct cluster_dns dns;
    bool direct; /* links that do not pass the API server are to be had */
    struct json_object *client;  /* an object, or NULL */
    char apiserver[SUBNET_TEXT]; /* address, or "" */
};

void info_release(struct info *info);

/* The `info` object for a session of `who` in ns; the caller owns it. */
struct json_object *info_to_json(const struct info *info, const char *ns,
                                 const struct identity *who);

/* Reads the body of a hello and builds the answer, which the caller frees.
 * Returns the HTTP status: 200, 400 or 409. */
int info_answer_hello(const struct info *info, const char *ns,
                      const struct identity *who, const char *body, size_t len,
                      char **answer);

#endif
