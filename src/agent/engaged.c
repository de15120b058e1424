#include "agent/engaged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define ID_LEN 26

static bool is_id(const char *text)
{
    return strlen(text) == ID_LEN &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ID_LEN;
}

static int parse_type(const char *text)
{
    static const char *const names[] = {
        [AGENT_INTERCEPT] = "intercept",
        [AGENT_REPLACE] = "replace",
        [AGENT_MIRROR] = "mirror",
        [AGENT_INGEST] = "ingest",
    };

    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (!strcmp(names[i], text))
            return i;
    }
    return -1;
}

/* A port that is not understood is left out: its traffic goes to the app. */
static void parse_ports(struct agent_engagement *e, struct json_object *array)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        struct json_object *obj = json_object_array_get_idx(array, i);
        int64_t port = json_get_int(obj, "port", 0);
        const char *protocol = json_get_str(obj, "protocol", "tcp");
        bool udp = !strcmp(protocol, "udp");

        if (e->n_ports == AGENT_PORTS_MAX || port < 1 || port > 65535 ||
            (!udp && strcmp(protocol, "tcp") != 0))
            continue;
        e->ports[e->n_ports].port = (uint16_t)port;
        e->ports[e->n_ports].udp = udp;
        e->n_ports++;
    }
}

static struct engaged_entry *find(struct engaged_entry *entries, size_t n,
                                  const char *id)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(entries[i].engagement.id, id))
            return &entries[i];
    }
    return NULL;
}

/* False if it is none. */
static bool parse_entry(struct engaged_entry *entry, struct json_object *obj,
                        struct tunnel *tunnel)
{
    struct agent_engagement *e = &entry->engagement;
    const char *id = json_get_str(obj, "id", "");
    int type = parse_type(json_get_str(obj, "type", ""));

    if (!is_id(id) || type < 0)
        return false;
    memset(entry, 0, sizeof(*entry));
    memcpy(e->id, id, ID_LEN + 1);
    e->type = (enum agent_engagement_type)type;
    e->tunnel = tunnel;
    parse_ports(e, json_get_array(obj, "ports"));
    return true;
}

int engaged_update(struct engaged *list, struct json_object *array,
                   struct tunnel *tunnel, uint64_t *clock)
{
    size_t len = json_array_len(array), n = 0;
    struct engaged_entry *entries;

    if (len > ENGAGED_MAX)
        len = ENGAGED_MAX;
    entries = calloc(len ? len : 1, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < len; i++) {
        struct engaged_entry *entry = &entries[n], *old;

        if (!parse_entry(entry, json_object_array_get_idx(array, i), tunnel) ||
            find(entries, n, entry->engagement.id))
            continue;
        old = find(list->entries, list->n, entry->engagement.id);
        entry->since = old ? old->since : ++*clock;
        n++;
    }
    engaged_clear(list);
    list->entries = entries;
    list->n = n;
    return 0;
}

void engaged_clear(struct engaged *list)
{
    free(list->entries);
    list->entries = NULL;
    list->n = 0;
}

size_t engaged_merge(const struct engaged *list, struct engaged_entry *out,
                     size_t n)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct engaged_entry *entry = &list->entries[i];
        struct engaged_entry *other = find(out, n, entry->engagement.id);

        if (!other && n < ENGAGED_MAX)
            out[n++] = *entry;
        else if (other && other->since < entry->since)
            *other = *entry;
    }
    return n;
}
