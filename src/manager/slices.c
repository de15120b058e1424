#include "manager/slices.h"

#include <string.h>

#include "base/json.h"

static void keep(struct json_object **map, struct json_object *slice)
{
    const char *name = json_get_str(slice, "metadata.name", "");

    if (!*map)
        *map = json_object_new_object();
    if (*name)
        json_object_object_add(*map, name, json_object_get(slice));
}

static void forget(struct json_object *map, struct json_object *slice)
{
    if (map)
        json_object_object_del(map, json_get_str(slice, "metadata.name", ""));
}

static void start_list(struct slices *s)
{
    json_object_put(s->list);
    s->list = json_object_new_object();
}

static void end_list(struct slices *s)
{
    json_object_put(s->known);
    s->known = s->list;
    s->list = NULL;
    s->complete = true;
}

bool slices_take(struct slices *s, enum watch_event event,
                 struct json_object *obj)
{
    switch (event) {
    case WATCH_LIST:
        start_list(s);
        return false;
    case WATCH_PUT:
        keep(&s->known, obj);
        if (s->list)
            keep(&s->list, obj);
        break;
    case WATCH_DELETED:
        forget(s->known, obj);
        break;
    case WATCH_LISTED:
        end_list(s);
        break;
    case WATCH_TROUBLE:
        return false;
    }
    return s->complete;
}

struct json_object *slices_items(const struct slices *s)
{
    struct json_object *out = json_object_new_object();
    struct json_object *items = json_object_new_array();

    json_object_object_add(out, "items", items);
    if (s->known) {
        json_object_object_foreach(s->known, name, slice)
        {
            (void)name;
            json_object_array_add(items, json_object_get(slice));
        }
    }
    return out;
}

void slices_release(struct slices *s)
{
    json_object_put(s->known);
    json_object_put(s->list);
    memset(s, 0, sizeof(*s));
}
