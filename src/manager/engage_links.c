/*
 * engage_links.c - the links of a session on this replica
 *
 * One that is drained holds neither its session nor its engagements here: it
 * may carry connections for a minute yet, and another replica is in charge. The
 * same goes for one that is old (link_age.c) and whose client listens no more,
 * because it has another one, and for one that its client has retired. A direct
 * link holds nothing: it lies wherever the load balancer has led it.
 */
#include <string.h>

#include "manager/engage_internal.h"
#include "manager/link_internal.h"

const char *link_session(const struct link *link)
{
    return link->name;
}

const char *link_namespace(const struct link *link)
{
    return link->ns;
}

const struct identity *link_identity(const struct link *link)
{
    return &link->who;
}

static bool is_of(const struct link *link, const char *session)
{
    return link->greeted && link->direction != LINK_DIRECT &&
           !strcmp(link->name, session);
}

static bool is_left(const struct link *link)
{
    return link->drained || link_is_retired(link) ||
           (link->renewing && events_count(&link->events) == 0);
}

static bool holds(const struct link *link, const char *session)
{
    return is_of(link, session) && !is_left(link);
}

void engage_links_each(const struct links *links, engage_link_cb *cb, void *arg)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (holds(link, link->name))
            cb(arg, link);
    }
}

bool engage_links_outgoing(const struct links *links, const char *session)
{
    const struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (holds(link, session))
            return true;
    }
    return false;
}

bool engage_links_any(const struct links *links, const char *session)
{
    const struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (holds(link, session))
            return true;
    }
    return false;
}

void engage_links_send(const struct links *links, const struct engagement *eng,
                       const char *line)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (is_of(link, eng->session) &&
            identity_same_owner(&link->who, &eng->who))
            link_events_send(link, line);
    }
}

void engage_links_close(const struct links *links, const char *session,
                        const char *reason)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (!strcmp(link->name, session))
            link_close(link, reason);
    }
}
