/*
 * engage_ask.h - a request that needs one of some rights
 *
 * Asks for them in order until one is granted; then go on. Else 403 that names
 * the first.
 */
#ifndef TP_MANAGER_ENGAGE_ASK_H
#define TP_MANAGER_ENGAGE_ASK_H

#include "manager/engage_internal.h"
#include "manager/engage_reply.h"

struct engage_ask {
    LIST_ENTRY(engage_ask) entry;
    struct engagements *e;
    struct reply *reply;
    struct identity who;
    struct workload_ref workload; /* kind and name "": the whole namespace */
    char id[ENGAGEMENT_ID_LEN + 1];
    char container[64];
    bool yes;                    /* engage_uninstall.c */
    char key[128];               /* files: of the user */
    bool read_only, credentials; /* files */
    const char *const *rights;   /* subresources, NULL at the end */
    unsigned right;
    void (*granted)(struct engage_ask *a); /* frees it */
};

/* What is zero in it is the caller's to fill. NULL if out of memory, or if
 * there are too many at once (reply is answered then). */
struct engage_ask *engage_ask_create(struct engagements *e, struct link *link,
                                     struct reply *reply);
void engage_ask_start(struct engage_ask *a);
void engage_ask_free(struct engage_ask *a);

extern const char *const engage_any_right[];
extern const char *const engage_environment_right[];
extern const char *const engage_volumes_right[];

/* What is asked for, see engage_requests.c. */
void engage_environment(struct engage_ask *a); /* engage_agents.c */
void engage_files(struct engage_ask *a);       /* engage_files.c */
void engage_logs(struct engage_ask *a);        /* engage_agents.c */
void engage_workloads(struct engage_ask *a);   /* engage_list.c */
void engage_limits(struct engage_ask *a);      /* engage_limits.c */

/* engage_files.c: takes the body of the request; false if it is malformed. */
bool engage_files_read(struct engage_ask *a, enum engagement_type type,
                       const char *body, size_t len);

#endif
