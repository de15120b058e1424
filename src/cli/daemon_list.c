/* daemon_list.c - which containers there are: daemons, and who joined them */
#include "cli/daemon.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/former.h"

/* The container's name without the slash. */
static const char *list_name(struct json_object *item)
{
    struct json_object *names = json_get_array(item, "Names");
    const char *name =
        json_array_len(names)
            ? json_object_get_string(json_object_array_get_idx(names, 0))
            : "";

    return *name == '/' ? name + 1 : name;
}

static bool list_has_id(struct json_object *list, const char *id)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!strcmp(json_get_str(json_object_array_get_idx(list, i), "Id", ""),
                    id))
            return true;
    }
    return false;
}

/* True if the container started before the daemon's did: then it sits in the
 * network namespace of a former life. RFC 3339 in UTC sorts as text. */
static bool started_before(struct engine *e, const char *id,
                           const struct daemon *d)
{
    cleanup_json struct json_object *info = NULL;

    if (engine_container_inspect(e, id, &info, NULL) < 0)
        return false;
    return d->started_at &&
           strcmp(json_get_str(info, "State.StartedAt", ""), d->started_at) < 0;
}

static void add_joined(struct json_object *out, struct json_object *item,
                       bool dead, bool rejoins)
{
    struct json_object *entry = json_object_new_object();

    json_put_str(entry, "name", list_name(item));
    json_put_str(entry, "id", json_get_str(item, "Id", ""));
    json_object_object_add(entry, "dead", json_object_new_boolean(dead));
    if (dead)
        json_object_object_add(entry, "rejoins",
                               json_object_new_boolean(rejoins));
    json_object_array_add(out, entry);
}

/* One that runs, and whose network is another container's: adds it if that is
 * the daemon's, or with `lost` one of its former containers. */
static void look_at(struct json_object *out, struct engine *e,
                    const struct daemon *d, bool lost, struct json_object *all,
                    struct json_object *item)
{
    const char *mode = json_get_str(item, "HostConfig.NetworkMode", "");
    const char *id = json_get_str(item, "Id", "");
    bool running = d->state == DAEMON_RUNNING;

    if (strcmp(json_get_str(item, "State", ""), "running") != 0 ||
        strncmp(mode, "container:", 10) != 0)
        return;
    mode += 10;
    if (d->id && (!strcmp(mode, d->id) || !strcmp(mode, d->name)))
        add_joined(out, item, !running || started_before(e, id, d), running);
    else if (lost && !list_has_id(all, mode) && former_has(d->name, mode))
        add_joined(out, item, true, false);
}

int daemon_list_joined(struct engine *e, const struct daemon *d, bool lost,
                       struct json_object **out, struct tp_error *err)
{
    cleanup_json struct json_object *list = NULL;
    int rc = engine_container_list(e, NULL, true, &list, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    *out = json_object_new_array();
    for (size_t i = 0; i < json_array_len(list); i++)
        look_at(*out, e, d, lost, list, json_object_array_get_idx(list, i));
    return 0;
}

void daemon_warn_dead(const struct cli *cli, struct json_object *joined)
{
    for (size_t i = 0; i < json_array_len(joined); i++) {
        struct json_object *item = json_object_array_get_idx(joined, i);
        const char *name = json_get_str(item, "name", "");

        if (!json_get_bool(item, "dead", false))
            continue;
        if (json_get_bool(item, "rejoins", false))
            cli_warn(cli,
                     "the container '%s' is cut off: it joined before the "
                     "network's container was restarted; 'docker restart %s' "
                     "joins it again",
                     name, name);
        else
            cli_warn(cli,
                     "the container '%s' has lost its network (the one that it "
                     "joined is gone); remove it and run it anew",
                     name);
    }
}

int daemon_list_names(struct engine *e, struct json_object **out,
                      struct tp_error *err)
{
    cleanup_json struct json_object *list = NULL;
    int rc = engine_container_list(e, "{\"label\":[\"" DAEMON_LABEL "\"]}",
                                   true, &list, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    *out = json_object_new_array();
    for (size_t i = 0; i < json_array_len(list); i++)
        json_object_array_add(*out, json_object_new_string(list_name(
                                        json_object_array_get_idx(list, i))));
    return 0;
}
