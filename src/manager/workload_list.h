/*
 * workload_list.h - WORKLOAD of doc/protocol.md, from the API server's objects
 */
#ifndef TP_MANAGER_WORKLOAD_LIST_H
#define TP_MANAGER_WORKLOAD_LIST_H

#include "manager/engagements.h"
#include "manager/workload_kind.h"

/* An entry of "engagements"; cr is its custom resource. Owned. */
struct json_object *workload_list_engagement(const struct engagement *eng,
                                             struct json_object *cr);

/* Takes engagements (an array). agents: how many are connected. Owned. */
struct json_object *workload_list_build(const struct workload_kind *kind,
                                        struct json_object *workload,
                                        size_t agents,
                                        struct json_object *engagements);

#endif
