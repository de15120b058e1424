/*
 * link_internal.h - one link: what links.c, link.c, link_age.c,
 * link_incoming.c, link_dial.c and link_to_pod.c share
 */
#ifndef TP_MANAGER_LINK_INTERNAL_H
#define TP_MANAGER_LINK_INTERNAL_H

#include <sys/queue.h>

#include "base/bucket.h"
#include "base/sockaddr.h"
#include "manager/dial_turns.h"
#include "manager/events.h"
#include "manager/identity.h"
#include "manager/links.h"
#include "tunnel/tunnel.h"

struct authorization;

#define LINK_NS_MAX   63
#define LINK_NAME_MAX 63

struct links {
    struct links_env env;
    TAILQ_HEAD(, link) list;
    size_t count;
    struct dial_turns turns;
    bool draining;
    bool closing;
};

struct link {
    TAILQ_ENTRY(link) entry;
    struct links *links;
    struct identity who;
    char ns[LINK_NS_MAX + 1];
    char name[LINK_NAME_MAX + 1];
    enum link_direction direction;
    uint64_t id; /* of no other link of this process */
    struct tunnel *tunnel;
    uv_timer_t timer; /* hello is late; then: time to authorize again */
    uv_timer_t age;   /* link_age.c */
    unsigned handles; /* timers that are not closed yet */
    struct authorization *review;
    uint64_t failing_since; /* uv_now() of the first failed review; 0: none */
    bool greeted;
    bool renewing; /* its client was asked for another one */
    bool drained;  /* no new streams */
    bool closing;
    struct dial_share share;
    struct bucket dials;
    struct bucket denials; /* lines of the audit log */
    uint64_t suppressed;
    struct events events; /* outgoing */
};

/* NULL if out of memory; owns stream in any case. */
struct link *link_create(struct links *links, const struct identity *who,
                         const char *ns, const char *name,
                         enum link_direction direction, struct stream *stream);
/* Ends it now: all streams are reset. `reason` goes to the audit log. */
void link_close(struct link *link, const char *reason);
/* The hello is done: the right is asked for again from now on. */
void link_greeted(struct link *link);
/* links.c: the older incoming link of its session can go. */
void links_greeted(struct link *link);
/* No new streams. */
void link_drain(struct link *link);
/* The client wants none: it has another link, or no use for one. */
bool link_is_retired(const struct link *link);

/* link_age.c: from here on it becomes old. */
void link_age_start(struct link *link);

/* link_incoming.c: says hello to the client. 0 or a negative errno. */
int link_incoming_start(struct link *link);
/* Asks the client for an incoming link elsewhere, see there. */
void link_incoming_leave(struct link *link);

/* link_dial.c: 0 or why the stream is refused. */
int link_dial(struct link *link, struct tunnel_stream *s,
              const struct tunnel_open *open);

/* link_to_pod.c: a stream that names an engagement. As link_dial(). */
int link_to_pod(struct link *link, struct tunnel_stream *s,
                const struct tunnel_open *open);

/* The events of an outgoing link. */
static inline int link_events_open(struct link *link, struct tunnel_stream *s)
{
    return events_open(&link->events, s);
}

static inline void link_events_send(struct link *link, const char *line)
{
    events_send(&link->events, line);
}

#endif
