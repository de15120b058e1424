/*
 * engage_links.c - the links of a session on this replica
 *
 * One that is drained holds neither its session nor its engagements here: it
 * may carry connections for a minute yet, and another replica is in charge.
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

static bool is_outgoing(const struct link *link)
{
    (void)link; /* there are no others yet */
    return true;
}

static bool is_of(const struct link *link, const char *session)
{
    return link->greeted && !strcmp(link->name, session);
}

static bool holds(const struct link *link, const char *session)
{
    return is_of(link, session) && !link->drained;
}

void engage_links_each(const struct links *links, engage_link_cb *cb, void *arg)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (link->greeted && !link->drained)
            cb(arg, link);
    }
}

bool engage_links_outgoing(const struct links *links, const char *session)
{
    const struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (holds(link, session) && is_outgoing(link))
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
        if (is_of(link, eng->session) && is_outgoing(link) &&
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
