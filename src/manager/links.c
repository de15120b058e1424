#include "manager/links.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents.h"
#include "manager/engagements.h"
#include "manager/info.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/parts.h"

/* As many former links as a client keeps (SESSION_FORMER_MAX). */
#define RENEWING_MAX 8

struct links *links_create(const struct links_env *env)
{
    struct links *links = calloc(1, sizeof(*links));

    if (!links)
        return NULL;
    links->env = *env;
    TAILQ_INIT(&links->list);
    dial_turns_init(&links->turns, env->loop);
    return links;
}

static struct link *find(const struct links *links, const char *name,
                         enum link_direction direction)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (link->direction == direction && !strcmp(link->name, name))
            return link;
    }
    return NULL;
}

void links_close(struct links *links)
{
    struct link *link;

    links->closing = true;
    while ((link = TAILQ_FIRST(&links->list)))
        link_close(link, "the manager ends");
    dial_turns_close(&links->turns);
}

void links_destroy(struct links *links)
{
    free(links);
}

struct owner_search {
    const struct identity *who;
    const char *session;
    bool foreign;
};

static void owner_cb(void *arg, const struct engagement *eng)
{
    struct owner_search *search = arg;

    if (!strcmp(eng->session, search->session) &&
        !identity_same_owner(&eng->who, search->who))
        search->foreign = true;
}

/* Its links may all be on other replicas; its engagements are known here. */
static bool is_foreign_session(const struct links *links,
                               const struct identity *who, const char *name)
{
    const struct parts *parts = links->env.parts;
    struct owner_search search = {.who = who, .session = name};

    if (parts && parts->engagements)
        engagements_each(parts->engagements, NULL, owner_cb, &search);
    return search.foreign;
}

enum links_verdict links_check(const struct links *links,
                               const struct identity *who, const char *name,
                               enum link_direction direction)
{
    const struct link *link;
    unsigned own = 0;

    if (links->draining || links->closing)
        return LINKS_DRAINING;
    TAILQ_FOREACH(link, &links->list, entry)
    {
        bool same = identity_same_owner(&link->who, who);

        if (!strcmp(link->name, name)) {
            if (!same)
                return LINKS_FOREIGN;
        } else if (same && link->direction == direction) {
            own++;
        }
    }
    if (is_foreign_session(links, who, name))
        return LINKS_FOREIGN;
    if (links->env.max_user && own >= links->env.max_user)
        return LINKS_TOO_MANY;
    return LINKS_OK;
}

static void replace(struct link *link)
{
    link_close(link, "replaced by a new link of the same name");
}

/* The link that a new one of that name need not wait for, or NULL. */
static struct link *find_replaceable(const struct links *links,
                                     const char *name,
                                     enum link_direction direction)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (link->direction == direction && !strcmp(link->name, name) &&
            (direction != LINK_INCOMING || !link->greeted) && !link->renewing)
            return link;
    }
    return NULL;
}

/* The oldest of those that make place, if there are too many: a client that
 * makes links without end is to have no more of them than one that does not. */
static struct link *find_surplus(const struct links *links, const char *name,
                                 enum link_direction direction)
{
    struct link *link, *oldest = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (link->direction == direction && !strcmp(link->name, name) &&
            (link->renewing || link_is_retired(link))) {
            count++;
            if (!oldest)
                oldest = link;
        }
    }
    return count > RENEWING_MAX ? oldest : NULL;
}

bool links_open(struct links *links, const struct identity *who, const char *ns,
                const char *name, enum link_direction direction,
                struct stream *stream)
{
    struct link *old;

    /* Another owner may have been faster since the check. */
    if (links_check(links, who, name, direction) == LINKS_FOREIGN) {
        stream_close(stream, NULL, NULL);
        return false;
    }
    while ((old = find_replaceable(links, name, direction)))
        replace(old);
    while ((old = find_surplus(links, name, direction)))
        replace(old);
    return link_create(links, who, ns, name, direction, stream) != NULL;
}

/* The oldest one that is not to be there beside `link`. */
static struct link *find_replaced(const struct link *link)
{
    struct link *old;

    TAILQ_FOREACH(old, &link->links->list, entry)
    {
        if (old == link)
            break;
        if (old->direction == LINK_INCOMING && !strcmp(old->name, link->name) &&
            !link_is_retired(old))
            return old;
    }
    return NULL;
}

void links_greeted(struct link *link)
{
    struct link *old;

    if (link->direction != LINK_INCOMING)
        return;
    while ((old = find_replaced(link)))
        replace(old);
}

static bool is_open(const struct link *link, const struct identity *who,
                    const char *ns)
{
    return link && !strcmp(link->ns, ns) &&
           identity_same_owner(&link->who, who);
}

bool links_is_open(const struct links *links, const struct identity *who,
                   const char *ns, const char *name)
{
    return is_open(find(links, name, LINK_OUTGOING), who, ns) ||
           is_open(find(links, name, LINK_INCOMING), who, ns);
}

static struct link *find_incoming(const struct links *links, const char *name)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (link->direction == LINK_INCOMING && link->greeted &&
            !link->drained && !link_is_retired(link) &&
            !strcmp(link->name, name))
            return link;
    }
    return NULL;
}

bool links_has_incoming(const struct links *links, const char *session)
{
    return find_incoming(links, session) != NULL;
}

struct tunnel *links_incoming_tunnel(const struct links *links,
                                     const struct identity *who,
                                     const char *session)
{
    struct link *link = find_incoming(links, session);

    return link && identity_same_owner(&link->who, who) ? link->tunnel : NULL;
}

static void announce_info(struct link *link)
{
    cleanup_json struct json_object *event = json_object_new_object();

    json_put_str(event, "type", "info");
    json_object_object_add(
        event, "info",
        info_to_json(link->links->env.info, link->ns, &link->who));
    link_events_send(link, json_to_text(event));
}

void links_announce_info(struct links *links)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (link->direction == LINK_OUTGOING)
            announce_info(link);
    }
}

static void drain(struct link *link)
{
    if (link->direction == LINK_INCOMING) {
        link_incoming_leave(link);
        return;
    }
    link_events_send(link, "{\"type\":\"drain\"}");
    link_drain(link);
}

void links_drain(struct links *links)
{
    struct link *link, *next;

    links->draining = true;
    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        drain(link);
    }
}

void links_drain_incoming(struct links *links)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (link->direction == LINK_INCOMING)
            link_drain(link);
    }
}

static bool is_idle(const struct link *link)
{
    struct tunnel_stats stats;

    tunnel_get_stats(link->tunnel, &stats);
    return stats.streams <= events_count(&link->events);
}

void links_close_idle(struct links *links)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        if (is_idle(link))
            link_close(link, "the manager ends");
    }
}

size_t links_count(const struct links *links)
{
    return links->count;
}

void links_add_stats(const struct links *links, struct metrics *metrics)
{
    const struct link *link;

    metrics->links = links->count;
    TAILQ_FOREACH(link, &links->list, entry)
    {
        struct tunnel_stats stats;

        tunnel_get_stats(link->tunnel, &stats);
        metrics->links_incoming += link->direction == LINK_INCOMING;
        metrics->streams += stats.streams;
        metrics->bytes_in += stats.bytes_in;
        metrics->bytes_out += stats.bytes_out;
    }
}
