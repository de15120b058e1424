/*
 * session_former.c - links that were replaced and still have conversations
 *
 * A manager that is drained lets them run until its --drain-timeout; a rollout
 * drains one replica after the other, and each may have been the session's. A
 * link goes by itself after its last conversation (link_retire()).
 */
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/datapath.h"
#include "daemon/session_internal.h"

/* What the data path does not see: it asks the outgoing link in use only. */
static void count_bytes(struct session_link *sl, bool tell)
{
    struct datapath *dp =
        sl->direction == LINK_INCOMING ? NULL : sl->s->env.datapath;
    struct tunnel_stats stats;

    tunnel_get_stats(link_tunnel(sl->link), &stats);
    if (tell && dp)
        datapath_add_bytes(dp, stats.bytes_in - sl->bytes_in,
                           stats.bytes_out - sl->bytes_out);
    sl->bytes_in = stats.bytes_in;
    sl->bytes_out = stats.bytes_out;
}

static void drop_at(struct session_former *f, size_t i)
{
    struct session_link *sl = f->links[i];

    f->count--;
    memmove(&f->links[i], &f->links[i + 1], (f->count - i) * sizeof(*f->links));
    session_link_drop(&sl); /* its streams' callbacks find it gone */
}

void session_former_add(struct session_former *f, struct session_link *sl)
{
    if (f->count == SESSION_FORMER_MAX) {
        log_warn("there are %d former links already: the oldest one ends with "
                 "its connections",
                 SESSION_FORMER_MAX);
        session_former_count(f);
        drop_at(f, 0);
    }
    sl->retired = (int64_t)time(NULL);
    count_bytes(sl, false);
    f->links[f->count++] = sl;
}

bool session_former_ended(struct session_former *f, struct session_link *sl)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->links[i] == sl) {
            session_former_count(f);
            drop_at(f, i);
            return true;
        }
    }
    return false;
}

void session_former_drop(struct session_former *f)
{
    session_former_count(f);
    while (f->count > 0)
        drop_at(f, f->count - 1);
}

void session_former_count(const struct session_former *f)
{
    for (size_t i = 0; i < f->count; i++)
        count_bytes(f->links[i], true);
}

void session_former_list(const struct session_former *f,
                         struct json_object *array)
{
    for (size_t i = 0; i < f->count; i++) {
        struct json_object *item = json_object_new_object();
        struct tunnel_stats stats;

        tunnel_get_stats(link_tunnel(f->links[i]->link), &stats);
        json_put_str(item, "direction",
                     f->links[i]->direction == LINK_INCOMING ? "incoming"
                                                             : "outgoing");
        json_put_bool(item, "direct", f->links[i]->direction == LINK_DIRECT);
        json_put_int(item, "since", f->links[i]->retired);
        json_put_int(item, "streams", stats.streams);
        json_object_array_add(array, item);
    }
}
