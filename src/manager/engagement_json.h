/*
 * engagement_json.h - engagements and sessions as custom resources, and as
 * clients see them
 *
 * What comes from the API server is read strictly all the same: an object that
 * nobody but a manager should have written is not believed for being there.
 */
#ifndef TP_MANAGER_ENGAGEMENT_JSON_H
#define TP_MANAGER_ENGAGEMENT_JSON_H

#include "manager/engage_spec.h"
#include "manager/workload_ports.h"

#define CR_GROUP_VERSION "tp.internal/v1"
#define LABEL_SESSION    "tp.internal/session"
#define LABEL_NAMESPACE  "tp.internal/namespace"

/* ---- Engagement ---- */

/* The custom resource of what `who` asks for in `session`, whose uid makes it
 * the owner. Owned; NULL if out of memory. */
struct json_object *engagement_build(const struct engage_spec *spec,
                                     const struct workload_kind *kind,
                                     const struct resolved *ports,
                                     const struct identity *who,
                                     const char *session,
                                     const char *session_uid);

/* Reads one. 0, -EBADMSG, or -ENOMEM. Release also after a failure. */
int engagement_parse(struct engagement *out, struct json_object *obj,
                     struct tp_error *err);
void engagement_release(struct engagement *eng);
/* Its ports with all that is known of them; obj was parsed before. */
void engagement_ports(struct resolved *out, struct json_object *obj);

/* Its claims were taken: it has a phase. Until then it counts for nothing. */
bool engagement_has_begun(struct json_object *obj);

const char *engagement_phase_name(enum engagement_phase phase);

/* ENGAGEMENT of doc/protocol.md, owned. message NULL: that of its status. */
struct json_object *engagement_to_client(struct json_object *obj,
                                         const struct engagement *eng,
                                         const char *message);

/* A merge patch of the status, owned. pods < 0: not known. */
struct json_object *engagement_status(const char *phase, const char *message,
                                      int64_t pods);

/* A merge patch that moves it to another session of its owner. */
struct json_object *engagement_move(const char *session,
                                    const char *session_uid);

/* ---- Session ---- */

struct session_cr {
    char name[64];
    char uid[64]; /* of the object */
    struct identity who;
    bool connected;
    char replica[254];
    int64_t since; /* of the phase, epoch; 0: not told */
};

struct json_object *session_build(const char *name, const char *ns,
                                  const struct identity *who);
int session_parse(struct session_cr *out, struct json_object *obj,
                  struct tp_error *err);
void session_release(struct session_cr *s);
struct json_object *session_status(bool connected, const char *replica,
                                   int64_t since);

/* resourceVersion as a number, 0 if it is none. They grow, in etcd. */
uint64_t object_version(struct json_object *obj);
/* metadata.creationTimestamp as epoch, or 0. */
int64_t object_created(struct json_object *obj);

#endif
