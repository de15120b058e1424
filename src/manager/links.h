/*
 * links.h - the links that are open on this replica
 *
 * A link is one session. It is known by its name, belongs to the (user, uid)
 * that opened it, and leaves nothing behind when it ends.
 */
#ifndef TP_MANAGER_LINKS_H
#define TP_MANAGER_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream.h"

struct api;
struct identity;
struct info;
struct link;
struct links;
struct metrics;
struct parts;
struct policy;

/* What links need of the manager; all of it outlives them and may change its
 * content. */
struct links_env {
    uv_loop_t *loop;
    struct api *api;
    struct metrics *metrics;
    const struct policy *policy;
    const struct info *info;
    const struct parts *parts; /* who hears of links; NULL: nobody */
    uint64_t rate;             /* bytes a second of one link; 0: no limit */
    unsigned max_user;         /* links of one user; 0: no limit */
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
/* May `who` open a link of that name now? One of his own of that name does not
 * count, it will be replaced. */
enum links_verdict links_check(const struct links *links,
                               const struct identity *who, const char *name);

/* Starts a link on stream, which it owns from here on (also on failure), and
 * ends the owner's older one of that name. False if out of memory. */
bool links_open(struct links *links, const struct identity *who, const char *ns,
                const char *name, struct stream *stream);

/* True if a link of that name is open, in ns, and belongs to who. */
bool links_is_open(const struct links *links, const struct identity *who,
                   const char *ns, const char *name);

/* Tells all clients that info has changed. */
void links_announce_info(struct links *links);

/* Tells all clients to go elsewhere, takes no new streams or links. */
void links_drain(struct links *links);
size_t links_count(const struct links *links);

/* Adds what the running links have moved and hold now to *metrics. */
void links_add_stats(const struct links *links, struct metrics *metrics);

#endif
