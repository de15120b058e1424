/*
 * links.h - the links that are open on this replica
 *
 * A session has an outgoing link, on which the client opens streams, and at
 * times an incoming one, on which the manager does; each on any replica. A link
 * is known by its session's name and its direction, belongs to the (user, uid)
 * that opened it, and leaves nothing behind when it ends.
 */
#ifndef TP_MANAGER_LINKS_H
#define TP_MANAGER_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream.h"
#include "tunnel/direction.h"

struct api;
struct direct;
struct identity;
struct info;
struct link;
struct links;
struct metrics;
struct parts;
struct policy;
struct scope;
struct tunnel;

/* What links need of the manager; all of it outlives them and may change its
 * content. */
struct links_env {
    uv_loop_t *loop;
    struct api *api;
    struct metrics *metrics;
    const struct policy *policy;
    const struct info *info;
    const struct parts *parts;   /* who hears of links; NULL: nobody */
    struct scope *scope;         /* NULL: links reach all namespaces */
    const struct direct *direct; /* NULL: no direct links */
    uint64_t rate;               /* bytes a second of one link; 0: no limit */
    uint64_t direct_rate;        /* of a direct one */
    unsigned lifetime; /* seconds until it is to be made anew; 0: for ever */
    unsigned max_user; /* links of one user and direction; 0: no limit */
};

struct links *links_create(const struct links_env *env);
/* Ends all links at once; no new ones are taken. */
void links_close(struct links *links);
/* After the loop has ended. NULL is fine. */
void links_destroy(struct links *links);

enum links_verdict {
    LINKS_OK,
    LINKS_FOREIGN, /* the name is another owner's */
    LINKS_TOO_MANY,
    LINKS_DRAINING,
};
/* May `who` open a link of that name now? One of his own of that name and
 * direction does not count, it will be replaced. */
enum links_verdict links_check(const struct links *links,
                               const struct identity *who, const char *name,
                               enum link_direction direction);

/* Starts a link on stream, which it owns from here on (also on failure). It
 * takes the place of the owner's older one of that name and direction: at once
 * (but one that was asked to make place keeps its streams, see link_age.c),
 * or, if it is incoming, as soon as its client has said hello, so that engaged
 * connections always have a way. False if out of memory. */
bool links_open(struct links *links, const struct identity *who, const char *ns,
                const char *name, enum link_direction direction,
                struct stream *stream);

/* True if a link of that name is open, in ns, and belongs to who. */
bool links_is_open(const struct links *links, const struct identity *who,
                   const char *ns, const char *name);

/* Tells all clients that info has changed. */
void links_announce_info(struct links *links);

/* The session's incoming link on this replica, for tunnel_open_*_name(); NULL
 * if there is none that takes streams, or it is not who's. Good until the loop
 * turns. */
struct tunnel *links_incoming_tunnel(const struct links *links,
                                     const struct identity *who,
                                     const char *session);

/* Tells all clients to go elsewhere, takes no new links, and no new streams of
 * clients. Incoming links go on until their clients have others. */
void links_drain(struct links *links);
/* No new streams on incoming links either. */
void links_drain_incoming(struct links *links);
/* Ends the links on which nothing runs but events: their clients have found no
 * other, or wait for this end. */
void links_close_idle(struct links *links);
size_t links_count(const struct links *links);

/* Adds what the running links have moved and hold now to *metrics. */
void links_add_stats(const struct links *links, struct metrics *metrics);

#endif
