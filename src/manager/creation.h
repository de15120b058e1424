/*
 * creation.h - one POST /tp/v1/engagements on its way
 *
 *   LOOK     worker: the workload, Services, policies, pods
 *   RIGHTS   SubjectAccessReviews, one after the other
 *   decide   ports, CONFIG, the way of the rollout; all pure
 *   BRING    worker: dry run of the pod, Session, Engagement, claims
 *   OUST     worker: the holder of a claim loses it
 *   DROP     worker: what was made is taken away again
 *   WAIT     a claim's holder is just going: BRING again soon
 *
 * engage_create.c goes as far as decide, engage_bring.c does the rest. Each way
 * ends in one answer.
 */
#ifndef TP_MANAGER_CREATION_H
#define TP_MANAGER_CREATION_H

#include "manager/claims.h"
#include "manager/config_write.h"
#include "manager/engage_internal.h"
#include "manager/engage_reply.h"
#include "manager/network_view.h"
#include "manager/rollout.h"

#define FOUND_MAX  6
#define ROUNDS_MAX 25

struct creation {
    struct engage_job job;
    TAILQ_ENTRY(creation) entry;
    struct reply *reply;
    struct engage_spec spec;
    struct identity who;
    char session[64], link_ns[64], manager_ns[64];

    /* LOOK */
    const struct workload_kind *kinds[FOUND_MAX];
    struct json_object *found[FOUND_MAX];
    size_t found_count;
    struct json_object *services, *policies, *pods;
    struct network_view network;

    /* RIGHTS */
    unsigned right; /* which is asked for */
    struct authorization *review;
    bool topod_refused;

    /* decide */
    const struct workload_kind *kind;
    struct resolved ports;
    struct config_need need;
    struct rollout_plan plan;
    struct json_object *config; /* for the pods; NULL: they have it */
    char note[ENGAGE_TEXT];

    /* BRING */
    struct json_object *session_object, *object;
    struct claim_conflict conflict;
    struct engagement holder; /* OUST */
    char ousted[ENGAGE_TEXT];
    bool tested; /* the dry run is done */
    bool made;   /* the object is this creation's */
    struct config_way way;
    bool switches; /* Services are switched, as redirection is refused */
    char refusal[ENGAGE_TEXT]; /* of the dry run before that */
    bool cancelled;            /* its client has ended it already */
    unsigned rounds;
    uint64_t due;    /* WAIT; 0: not waiting */
    int drop_status; /* DROP: the answer */
    char drop_code[24], drop_text[700];
};

void creation_free(struct creation *c);
/* The answer, then it is freed. */
void creation_refuse(struct creation *c, int status, const char *code,
                     const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void creation_decide(struct creation *c); /* engage_decide.c */
void creation_bring(struct creation *c);  /* engage_bring.c */
/* Once more, without redirection: true if that may help (engage_decide.c); c
 * is refused, or on its way, then. */
bool creation_switch(struct creation *c);
bool creation_redirects(const struct creation *c);

/* dry_run.c: the level of Pod Security that a namespace enforces and that does
 * not let redirection in; NULL: none. */
const char *namespace_forbids(struct json_object *ns,
                              struct json_object *config);
/* Would the API server take a pod of this template with CONFIG, and
 * would it have an agent? In a worker thread. 0, -EACCES with the reason, or
 * 0 with a warning in the log if nobody can tell. *by_template: the webhook is
 * not reached, the agent must be in the template. */
int dry_run_pod(struct kube_client *client, const struct config_way *way,
                const char *ns, struct json_object *workload,
                struct json_object *config, bool *by_template,
                struct tp_error *err);

#endif
