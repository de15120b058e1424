/*
 * cluster_info_internal.h - the parts of cluster_info_build()
 *
 *   cluster_info.c    what the manager says of its cluster
 *   cluster_capture.c which of its subnets are captured, and as what
 *   cluster_config.c  client configuration, the manager's and the user's
 */
#ifndef TP_DAEMON_CLUSTER_INFO_INTERNAL_H
#define TP_DAEMON_CLUSTER_INFO_INTERNAL_H

#include <json-c/json.h>

#include "daemon/cluster_info.h"

/* What a subnet is to the cluster; bits of `translate`. */
enum subnet_class {
    SUBNET_SERVICE = 1,
    SUBNET_POD = 2,
    SUBNET_ALSO = 4,
};

struct wish;

/* What one call of cluster_info_build() works with. */
struct build {
    struct cluster_info *ci;
    struct route_policy *policy;
    const struct vnat *former; /* what virtual subnets there were, or NULL */
    struct json_object *rejected;
    struct json_object *config; /* of SESSION: what the user set, or NULL */
    const char *domain;         /* what the manager says it is */
    bool central;               /* the manager speaks, not the user */

    bool vnat_off;                 /* overlapping subnets are refused */
    unsigned translate;            /* these classes in any case, */
    struct subnet_list translated; /* and these subnets */
    struct subnet_list pool;       /* of virtual subnets */
    struct wish *wishes;           /* what is to have virtual subnets */
    size_t n_wishes;
};

/* Notes what was refused and why. */
void cluster_reject(struct build *b, const char *what, const char *reason);
/* The text at i of an array, "" if it is none. */
const char *cluster_text_at(struct json_object *array, size_t i);
/* A member that is an empty array; borrowed. */
struct json_object *cluster_put_array(struct json_object *obj, const char *key);

/* cluster_capture.c */
/* Takes the session's `vnat` and `virtualSubnets`; policy is filled. */
void cluster_capture_begin(struct build *b, struct json_object *session);
/* Adds an array of subnets to list, without judging them. */
void cluster_add_plain(struct build *b, struct subnet_list *list,
                       struct json_object *array);
/* Judges an array of subnets; the good ones go to capture and to `shown`. */
void cluster_add_captured(struct build *b, struct json_object *array,
                          enum subnet_class class, struct json_object *shown);
/* When all are there, and all that is never captured. */
void cluster_capture_end(struct build *b);

/* cluster_config.c */
void cluster_take_client_config(struct build *b, struct json_object *config);
/* The user's own settings. His subnets are members of SESSION itself, and how
 * long to wait is the CLI's business. */
void cluster_take_user_config(struct build *b);

#endif
