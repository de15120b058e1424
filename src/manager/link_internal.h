/*
 * link_internal.h - one link: what links.c, link.c, link_dial.c and
 * link_events.c share
 */
#ifndef TP_MANAGER_LINK_INTERNAL_H
#define TP_MANAGER_LINK_INTERNAL_H

#include <sys/queue.h>

#include "base/sockaddr.h"
#include "manager/bucket.h"
#include "manager/identity.h"
#include "manager/links.h"
#include "tunnel/tunnel.h"

struct authorization;
struct event_stream;

#define LINK_NS_MAX   63
#define LINK_NAME_MAX 63

struct links {
    struct links_env env;
    TAILQ_HEAD(, link) list;
    size_t count;
    bool draining;
    bool closing;
};

struct link {
    TAILQ_ENTRY(link) entry;
    struct links *links;
    struct identity who;
    char ns[LINK_NS_MAX + 1];
    char name[LINK_NAME_MAX + 1];
    struct tunnel *tunnel;
    uv_timer_t timer; /* hello is late; then: time to authorize again */
    struct authorization *review;
    uint64_t failing_since; /* uv_now() of the first failed review; 0: none */
    bool greeted;
    bool closing;
    struct bucket dials;
    struct bucket denials; /* lines of the audit log */
    uint64_t suppressed;
    LIST_HEAD(, event_stream) events;
};

/* NULL if out of memory; owns stream in any case. */
struct link *link_create(struct links *links, const struct identity *who,
                         const char *ns, const char *name,
                         struct stream *stream);
/* Ends it now: all streams are reset. `reason` goes to the audit log. */
void link_close(struct link *link, const char *reason);

/* link_dial.c: 0 or why the stream is refused. */
int link_dial(struct link *link, struct tunnel_stream *s,
              const struct tunnel_open *open);

/* link_events.c: answers s with the long list of events. */
int link_events_open(struct link *link, struct tunnel_stream *s);
/* One JSON line to all who listen. */
void link_events_send(struct link *link, const char *line);

#endif
