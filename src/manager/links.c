#include "manager/links.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/info.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"

struct links *links_create(const struct links_env *env)
{
    struct links *links = calloc(1, sizeof(*links));

    if (!links)
        return NULL;
    links->env = *env;
    TAILQ_INIT(&links->list);
    return links;
}

static struct link *find(const struct links *links, const char *name)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->list, entry)
    {
        if (!strcmp(link->name, name))
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
}

void links_destroy(struct links *links)
{
    free(links);
}

enum links_verdict links_check(const struct links *links,
                               const struct identity *who, const char *name)
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
        } else if (same) {
            own++;
        }
    }
    if (links->env.max_user && own >= links->env.max_user)
        return LINKS_TOO_MANY;
    return LINKS_OK;
}

bool links_open(struct links *links, const struct identity *who, const char *ns,
                const char *name, struct stream *stream)
{
    struct link *old = find(links, name);

    if (old)
        link_close(old, "replaced by a new link of the same name");
    return link_create(links, who, ns, name, stream) != NULL;
}

bool links_is_open(const struct links *links, const struct identity *who,
                   const char *ns, const char *name)
{
    const struct link *link = find(links, name);

    return link && !strcmp(link->ns, ns) &&
           identity_same_owner(&link->who, who);
}

static void announce_info(struct link *link)
{
    cleanup_json struct json_object *event = json_object_new_object();

    json_put_str(event, "type", "info");
    json_object_object_add(
        event, "info",
        info_to_json(link->links->env.info, link->ns, &link->who));
    link_events_send(link, json_object_to_json_string_ext(
                               event, JSON_C_TO_STRING_PLAIN |
                                          JSON_C_TO_STRING_NOSLASHESCAPE));
}

void links_announce_info(struct links *links)
{
    struct link *link, *next;

    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        announce_info(link);
    }
}

void links_drain(struct links *links)
{
    struct link *link, *next;

    links->draining = true;
    for (link = TAILQ_FIRST(&links->list); link; link = next) {
        next = TAILQ_NEXT(link, entry);
        link_events_send(link, "{\"type\":\"drain\"}");
        tunnel_drain(link->tunnel);
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
        metrics->streams += stats.streams;
        metrics->bytes_in += stats.bytes_in;
        metrics->bytes_out += stats.bytes_out;
    }
}
