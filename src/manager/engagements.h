/*
 * engagements.h - who does what to which workload, as this replica knows it
 *
 * The truth is in etcd (custom resources sessions and engagements of
 * tp.internal/v1 in the manager's namespace, Leases for exclusive claims); this
 * is what a watch of them has brought, plus the engagements that this replica
 * is bringing about. doc/protocol.md says what clients see.
 */
#ifndef TP_MANAGER_ENGAGEMENTS_H
#define TP_MANAGER_ENGAGEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "manager/identity.h"

#define ENGAGEMENT_ID_LEN    26
#define ENGAGEMENT_PORTS_MAX 64

struct api;
struct engagements;
struct inject_settings;
struct json_object;
struct kube_endpoint;
struct metrics;
struct parts;

enum engagement_type {
    ENGAGEMENT_INTERCEPT,
    ENGAGEMENT_REPLACE,
    ENGAGEMENT_MIRROR,
    ENGAGEMENT_INGEST,
};

enum engagement_phase {
    ENGAGEMENT_PENDING,   /* claims are held, nothing is done yet */
    ENGAGEMENT_INJECTING, /* pods get their agent */
    ENGAGEMENT_READY,     /* agents are told of it */
    ENGAGEMENT_RESTORING, /* the same, while a replaced container comes back */
    ENGAGEMENT_ENDED,     /* only in what clients are told */
};

struct engagement_port {
    uint16_t port; /* of the container */
    bool udp;
};

/* A workload: kind is "Deployment", ... */
struct workload_ref {
    char ns[64];
    char kind[32];
    char name[254];
};

/* What routing needs. Borrowed, good until the loop turns. */
struct engagement {
    char id[ENGAGEMENT_ID_LEN + 1];
    char session[64];
    enum engagement_type type;
    enum engagement_phase phase;
    struct workload_ref workload;
    char container[64];
    struct engagement_port ports[ENGAGEMENT_PORTS_MAX];
    size_t port_count;
    struct engagement_port to_pod[ENGAGEMENT_PORTS_MAX];
    size_t to_pod_count;
    struct identity who;
};

/* What engagements need of the manager; all of it outlives them. */
struct engagements_env {
    uv_loop_t *loop;
    const struct kube_endpoint *endpoint;
    struct api *api;
    struct metrics *metrics;
    const struct parts *parts;
    const char *ns; /* the manager's: there the objects are */
    /* Then agents without engagement go; 0: never. Read each time: the chart's
     * settings may change. NULL: never. */
    const unsigned *idle_seconds;
    bool switch_services; /* where pods may not redirect (agent.redirect) */
    const struct inject_settings *inject; /* of agents, as they are now */
};

/* Starts to follow the objects. NULL with err filled. */
struct engagements *engagements_create(const struct engagements_env *env,
                                       struct tp_error *err);
/* Nothing is begun any more; what is under way ends. NULL is fine. */
void engagements_close(struct engagements *e);
/* After the loop has ended. NULL is fine. */
void engagements_destroy(struct engagements *e);

/* Services are switched no more: the managers' namespace is going away. NULL is
 * fine. */
void engagements_leave_services(struct engagements *e);

/* How many there are of each type. */
void engagements_count(const struct engagements *e,
                       uint64_t by_type[ENGAGEMENT_INGEST + 1]);

/* NULL if there is none of that id. */
const struct engagement *engagements_find(const struct engagements *e,
                                          const char *id);
/* Calls cb for each engagement of a workload (NULL: of all). */
typedef void engagements_each_cb(void *arg, const struct engagement *eng);
void engagements_each(const struct engagements *e,
                      const struct workload_ref *workload,
                      engagements_each_cb *cb, void *arg);

/* Agents or links have changed: pods in phase injecting are counted again,
 * sessions that came or went are written. Cheap; may be called at any time. */
void engagements_poke(struct engagements *e);

/* link.c hands requests of doc/protocol.md "Engagements" over: true if path is
 * one of them; s is then answered, now or later. */
struct link;
struct tunnel_stream;
struct tunnel_open;
struct tunnel_stream;
/* Joins a stream to the file server of an agent of its workload, until the
 * engagement ends. As link_to_pod(). */
int engagements_open_files(struct engagements *e, const struct engagement *eng,
                           struct tunnel_stream *s,
                           const struct tunnel_open *open);
bool engagements_request(struct engagements *e, struct link *link,
                         struct tunnel_stream *s,
                         const struct tunnel_open *open);

#endif
