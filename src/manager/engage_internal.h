/*
 * engage_internal.h - engagements of this replica, from the inside
 *
 *   engage.c           life, the timer, what others may ask
 *   engage_store.c     what the watches have brought; who is told of a change
 *   engage_requests.c  requests of clients; engage_reply.c answers them
 *   engage_create.c    POST, first half: look-up, rights, decisions
 *   engage_bring.c     second half: dry run, objects, claims
 *   engage_drive.c     pods get their agents
 *   engage_destinations.c  what leads back to its client
 *   engage_end.c       the end of one
 *   engage_restore.c   a replace ends when the container is there again
 *   engage_review.c    is the right still there?
 *   engage_files.c     volumes: keys for agents, streams to them
 *   engage_sessions.c  sessions come, are lost, and go
 *   engage_replicas.c  the Leases of replicas, who is the janitor
 *   engage_janitor.c   agents that nobody needs, containers that were replaced
 *   janitor_survey.c   workloads with the annotation, agents or not
 *   engage_links.c     the links of a session
 *   engage_services.c  Services that lead to agents while they are engaged
 *
 * All is the loop's. Work for the API server is a *job*: it runs in a worker
 * thread with what it was given, shares nothing, and comes back to the loop,
 * where it looks up again what it was about, which may be gone.
 */
#ifndef TP_MANAGER_ENGAGE_INTERNAL_H
#define TP_MANAGER_ENGAGE_INTERNAL_H

#include <sys/queue.h>

#include "manager/engagement_json.h"
#include "manager/engagements.h"
#include "manager/parts.h"
#include "manager/review.h"

struct authorization;
struct creation;
struct engage_ask;
struct file_stream;
struct kube_client;
struct link;
struct links;
struct reply;
struct watch;

#define ENGAGE_TEXT       300
#define ENGAGE_PATH       512
#define ENGAGE_BUCKETS    256
#define REPLICA_NAME      254
#define JANITOR_KEY_MAX   360
#define PER_SESSION_MAX   64 /* engagements */
#define CREATIONS_MAX     64 /* under way on this replica */
#define CREATIONS_OF_USER 16
#define ASKS_MAX          64 /* other requests that wait for the API server */
#define ASKS_OF_USER      8

/* All times of sessions and replicas (doc/architecture.md). */
#define TICK_MS           1000
#define POKE_MS           20
#define REPLICA_RENEW_MS  10000
#define REPLICA_LEASE_S   30
#define REPLICA_FORGET_MS 3600000 /* then its Lease is taken away */
#define SESSION_TICK_MS   2000
#define SESSION_BLOCK_S   30    /* lost: its claims may be taken */
#define SESSION_KEEP_S    900   /* lost: it ends */
#define ORPHAN_MS         60000 /* an engagement without session */
#define JANITOR_MS        15000
#define JANITOR_SOON_MS   3000
#define JANITOR_GRACE_MS  20000  /* clients of a new installation come back */
#define SURVEY_MS         600000 /* workloads with the annotation */
#define SURVEY_FAIL_MS    30000
#define REVIEW_EACH_MS    45000
#define REVIEW_SPREAD_MS  10000
#define REVIEW_FAIL_MS    300000

struct eng {
    LIST_ENTRY(eng) hash;
    TAILQ_ENTRY(eng) entry;
    struct engagement pub;
    struct json_object *object; /* the custom resource */
    uint64_t version;
    bool seen;       /* in the list that is under way */
    bool ending;     /* engage_end() is at it */
    bool gone;       /* it has ended, only the watch has not said so yet */
    bool was_ready;  /* at some time */
    uint64_t orphan; /* uv_now() since it has no session; 0: it has one */
    char note[ENGAGE_TEXT]; /* what was left out, "" */

    /* driven here: this replica brings it about */
    bool driven, busy, again;
    uint64_t due;     /* uv_now() of the next step; 0: none */
    uint64_t started; /* when it was first driven here */
    unsigned patches; /* of the pod template */
    bool restarted;
    uint64_t restoring; /* engage_restore.c: uv_now() of its begin; 0: not */
    uint64_t leaving;   /* the same, since only pods that go are left */
    bool announced;     /* by a Kubernetes Event */

    struct authorization *review;
    uint64_t review_due, failing_since;

    /* engage_destinations.c */
    struct json_object *services, *told; /* arrays of destinations */
    struct json_object *pods;            /* {uid: such an array} */
    uint64_t read_at, read_due;
    bool reading;
    uint64_t files_due;     /* engage_files.c: rights are asked again */
    bool files_credentials; /* the last key was let see tokens */
};

struct sess {
    LIST_ENTRY(sess) entry;
    struct session_cr cr;
    uint64_t version;
    bool seen, busy;
    int64_t noticed; /* wall clock, s, since its replica is dead; 0: it lives */
};

struct engagements {
    struct engagements_env env;
    uv_timer_t timer;
    bool closing, poked;
    char replica[REPLICA_NAME]; /* this one */

    TAILQ_HEAD(, eng) list;
    LIST_HEAD(, eng) buckets[ENGAGE_BUCKETS];
    size_t count;
    LIST_HEAD(, sess) sessions;
    struct json_object *making; /* {"name": true}: sessions under way */
    struct watch *watches[2];
    bool listed[2];            /* engagements, sessions: known as a whole */
    char trouble[ENGAGE_TEXT]; /* why they are not known, "" */
    unsigned troubles;         /* in a row */
    uint64_t watched[2];       /* the newest version that the watch has said */
    TAILQ_HEAD(, creation) creations;
    size_t creation_count;
    LIST_HEAD(, engage_ask) asks;
    size_t ask_count;
    LIST_HEAD(, file_stream) file_streams;

    struct json_object *replicas; /* {"name": true}: alive */
    bool replicas_known, renewing, janitor;
    uint64_t renew_due, sessions_due, janitor_due;
    struct json_object *idle; /* janitor: "ns/kind/name" -> uv_now() */
    struct json_object *left; /* janitor: "ns/kind/name" of given up ones */
    unsigned cleaning;        /* jobs of the janitor */
    unsigned readings;        /* jobs of engage_destinations.c */

    bool switching, switched; /* a job is under way; Services are switched */
    uint64_t switch_due, switches_since;
    struct switching *switch_last;                /* the last round */
    struct json_object *switches, *switches_held; /* "NS/NAME" -> times, true */
    /* janitor_survey.c: "ns/kind/name" -> uv_now() of the first time it was
     * seen, of workloads whose template asks for agents, or for a replaced
     * container */
    struct json_object *annotated, *replaced;
    bool surveying;
    uint64_t survey_due;
};

/* ---- jobs ---- */

struct engage_job {
    struct engagements *e;
    void (*work)(struct engage_job *job, struct kube_client *client);
    void (*done)(struct engage_job *job); /* frees it */
    int status;                           /* of the work */
    struct tp_error err;
};

/* done comes in any case, once; if the work could not be begun, before this
 * returns. */
void engage_run(struct engagements *e, struct engage_job *job);

/* The path of an object of tp.internal in the manager's namespace. */
void engage_path(const char *ns, const char *resource, const char *name,
                 char out[ENGAGE_PATH]);
#define MERGE_PATCH "application/merge-patch+json"

/* ---- engage.c ---- */
/* The timer comes in ms at the latest. */
void engage_wake(struct engagements *e, unsigned ms);
void engage_audit(const struct engagement *eng, const char *verb, bool allowed,
                  const char *reason);

/* ---- engage_store.c ---- */
struct eng *store_find(const struct engagements *e, const char *id);
struct sess *store_session(const struct engagements *e, const char *name);
size_t store_count_session(const struct engagements *e, const char *session);
/* Takes an object (borrowed) that the API server has sent. */
void store_put(struct engagements *e, struct json_object *obj);
void store_put_session(struct engagements *e, struct json_object *obj);
/* It is over: its client and the agents are told. The entry goes when the watch
 * says so too; what is older must not bring it back. */
void store_end(struct engagements *e, struct eng *eng, const char *message);
int store_start(struct engagements *e, struct tp_error *err);
void store_stop(struct engagements *e);
void store_release(struct engagements *e);

/* ---- engage_create.c, engage_bring.c ---- */
void engage_create(struct engagements *e, struct link *link,
                   struct reply *reply, const char *body, size_t len);
void engage_creations_tick(struct engagements *e);
bool engage_creation_cancel(struct engagements *e, const struct identity *who,
                            const char *id);
bool engage_is_creating(const struct engagements *e, const char *id);

/* ---- engage_drive.c ---- */
/* The agents of a workload that are here: {"UID of the pod": true}. Owned. */
struct json_object *engage_connected(const struct engagements *e,
                                     const struct workload_ref *workload);
void engage_drive(struct engagements *e, struct eng *eng);
void engage_drive_tick(struct engagements *e);

/* ---- engage_destinations.c ---- */
void engage_destinations_tick(struct engagements *e);
void engage_destinations_free(struct eng *eng);

/* ---- engage_end.c ---- */
/* Ends it: the object and its claims go. `verb` and `message` for the audit log
 * and its client. reply may be NULL; it is answered when it is done. */
void engage_end(struct engagements *e, struct eng *eng, const char *verb,
                const char *message, struct reply *reply);
/* In a worker thread: the same for an object. */
int engage_end_object(struct kube_client *client, const char *ns,
                      const struct engagement *eng, const char *message,
                      struct tp_error *err);

/* ---- engage_restore.c ---- */
/* Is there something to be restored before it ends? */
bool engage_restores(const struct eng *eng);
/* Answers 202; the end comes by itself. */
void engage_restore(struct engagements *e, struct eng *eng,
                    struct reply *reply);
void engage_restore_step(struct engagements *e, struct eng *eng);
/* Pure: pods that answer by themselves, those that do not, and of these the
 * ones that are told to go. */
struct restore_view {
    int64_t wanted, restored, replaced, leaving;
};
void restore_look(struct restore_view *view, struct json_object *workload,
                  struct json_object *pods);
/* leaving_ms: for so long only `leaving` ones were left. */
bool restore_is_done(const struct restore_view *view, uint64_t leaving_ms);

/* ---- engage_review.c ---- */
void engage_review_tick(struct engagements *e);
void engage_right(const struct engagement *eng, const char *subresource,
                  struct right *right, char name[320]);

/* ---- engage_files.c ---- */
void engage_files_tick(struct engagements *e);

/* ---- engage_sessions.c ---- */
void engage_sessions_tick(struct engagements *e);
/* In a worker thread: the Session of that name, made if need be. *out owned.
 * -EPERM if it is another owner's. */
int engage_session_ensure(struct kube_client *client, const char *manager_ns,
                          const char *name, const char *ns,
                          const struct identity *who, struct json_object **out,
                          struct tp_error *err);
/* Has it been lost for so long? A session that is not there has. */
bool engage_session_lost(const struct engagements *e, const char *name,
                         int64_t seconds);
/* Is this replica the one that looks after it? */
bool engage_session_is_ours(const struct engagements *e, const char *name);

/* ---- engage_replicas.c ---- */
void engage_replicas_tick(struct engagements *e);
bool engage_replica_is_alive(const struct engagements *e, const char *name);

/* ---- engage_services.c ---- */
struct resolved;
struct switch_want;
struct switching;
void engage_services_tick(struct engagements *e);
void engage_services_release(struct engagements *e);
/* Has it ports that are reached by switched Services? */
bool engage_has_services(const struct eng *eng);
/* Those ports, for the pods of that workload (NULL: none); out has room for
 * ENGAGEMENT_PORTS_MAX. The labels are borrowed from it. */
size_t switch_wants_of(const struct workload_ref *ref,
                       const struct resolved *ports,
                       struct json_object *workload, struct switch_want *out);

/* ---- engage_janitor.c ---- */
/* It ends before its agents were there: they may never come. */
void engage_janitor_given_up(struct engagements *e, const struct eng *eng);
void engage_janitor_tick(struct engagements *e);

/* ---- janitor_survey.c ---- */
void janitor_survey_tick(struct engagements *e);
/* An engagement of that workload has ended: it is looked after, whether its
 * agents are connected or not. */
void janitor_survey_note(struct engagements *e, const struct engagement *eng);
/* Nothing is left to do there. */
void janitor_survey_forget(struct engagements *e, const struct workload_ref *w);
/* Workloads that may need the janitor though no agent of theirs is connected.
 * since: uv_now() when that was first known. */
typedef void janitor_survey_cb(void *arg, const struct workload_ref *w,
                               bool replaced, uint64_t since);
void janitor_survey_each(const struct engagements *e, janitor_survey_cb *cb,
                         void *arg);
void janitor_key(const struct workload_ref *w, char key[JANITOR_KEY_MAX]);

/* ---- engage_links.c ---- */
const char *link_session(const struct link *link);
const char *link_namespace(const struct link *link);
const struct identity *link_identity(const struct link *link);
/* Links that have said hello and are not drained; cb must not end them. */
typedef void engage_link_cb(void *arg, struct link *link);
void engage_links_each(const struct links *links, engage_link_cb *cb,
                       void *arg);
bool engage_links_outgoing(const struct links *links, const char *session);
bool engage_links_any(const struct links *links, const char *session);
/* To the owner of the engagement only. */
void engage_links_send(const struct links *links, const struct engagement *eng,
                       const char *line);
void engage_links_close(const struct links *links, const char *session,
                        const char *reason);

#endif
