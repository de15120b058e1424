/* cmd_quit.c - tp quit: end the session and remove its container */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/daemon.h"
#include "cli/engage.h"
#include "cli/engage_volumes.h"
#include "cli/mount_record.h"
#include "cli/volume_plugin.h"
#include "engine/plugin.h"

#define ASK_MS    6000
#define STOP_SECS 5

static void warn_left(struct cli *cli, struct json_object *answer)
{
    if (json_get_bool(answer, "pending", false))
        cli_warn(cli, "the manager does not answer now: engagements end in the "
                      "cluster when it has missed the session for 15 minutes");
    else if (json_get_bool(answer, "restoring", false))
        cli_warn(cli, "pods that were replaced are still rolled back");
}

/* The end of engagements may take minutes, which only a daemon that answers is
 * given. */
static bool has_engagements(struct engine *e, const struct daemon *d)
{
    cleanup_json struct json_object *request = daemon_request("engagements");
    cleanup_json struct json_object *answer = NULL;
    struct tp_error err = {0};

    if (daemon_ask(e, d->id, request, ASK_MS, &answer, NULL, &err) < 0)
        return false;
    return json_array_len(json_get(answer, "engagements")) > 0 ||
           json_array_len(json_get(answer, "ending")) > 0;
}

/* Asks the daemon to say goodbye to the manager; a daemon that does not answer
 * is removed all the same. */
static void disconnect(struct cli *cli, struct engine *e,
                       const struct daemon *d)
{
    cleanup_json struct json_object *request = daemon_request("disconnect");
    cleanup_json struct json_object *answer = NULL, *ended = NULL;
    struct engage g = {.cli = cli, .engine = e, .daemon = *d, .signals = -1};
    struct tp_error err = {0};

    if (has_engagements(e, d) &&
        engage_end(&g, NULL, ENGAGE_END_S, &ended, &err) == 0)
        warn_left(cli, ended);
    memset(&err, 0, sizeof(err));
    daemon_ask(e, d->id, request, ASK_MS, &answer, NULL, &err);
}

static void warn_joined(struct cli *cli, struct json_object *joined)
{
    for (size_t i = 0; i < json_array_len(joined); i++)
        cli_warn(
            cli, "the container '%s' loses its network",
            json_get_str(json_object_array_get_idx(joined, i), "name", ""));
}

/* Not from under anybody: Docker refuses that, and then it stays. */
static void remove_control_volume(struct engine *e, const struct daemon *d)
{
    cleanup_free char *volume = volume_control_name(d->name);
    struct tp_error ignored = {0};

    if (d->has_volumes && volume)
        engine_volume_remove(e, volume, &ignored);
}

static int remove_daemon(struct cli *cli, struct engine *e,
                         const struct daemon *d, struct json_object *entry,
                         struct tp_error *err)
{
    struct json_object *joined = NULL;
    int rc = daemon_list_joined(e, d, false, &joined, err);

    if (rc < 0)
        return rc;
    json_object_object_add(entry, "cutOff", joined);
    rc = mount_record_end(cli, d->id, NULL, -1, err);
    if (rc < 0)
        return rc;
    if (d->state == DAEMON_RUNNING) {
        warn_joined(cli, joined);
        cli_progress(cli, "Ending the session of %s ...", d->name);
        disconnect(cli, e, d);
    }
    engage_volumes_remove(cli, e, d->name, NULL);
    rc = engine_container_remove(e, d->id, err);
    if (rc == 0)
        remove_control_volume(e, d);
    if (rc == 0)
        cli_print(cli, "Quit: the container %s is removed\n", d->name);
    return rc;
}

static int quit_one(struct cli *cli, struct engine *e, const char *name,
                    struct json_object *list, struct tp_error *err)
{
    struct json_object *entry = json_object_new_object();
    struct daemon d;
    int rc = daemon_find(&d, e, name, err);

    json_object_array_add(list, entry);
    json_put_str(entry, "name", name);
    json_object_object_add(entry, "removed",
                           json_object_new_boolean(d.state != DAEMON_ABSENT));
    if (rc == 0 && d.state == DAEMON_ABSENT) {
        mount_record_sweep(cli);
        cli_print(cli, "Nothing to quit: there is no container %s\n", name);
    } else if (rc == 0 && d.state == DAEMON_FOREIGN) {
        tp_error_set(err, -EEXIST, "the container '%s' is not tp's", name);
        rc = cli_fail(cli, "name-taken", err);
    } else if (rc == 0) {
        rc = remove_daemon(cli, e, &d, entry, err);
    }
    daemon_release(&d);
    return rc;
}

static int quit_all(struct cli *cli, struct engine *e, struct json_object *list,
                    struct tp_error *err)
{
    cleanup_json struct json_object *names = NULL;
    int rc = daemon_list_names(e, &names, err);

    if (rc == 0 && json_array_len(names) == 0)
        cli_print(cli, "Nothing to quit\n");
    for (size_t i = 0; rc == 0 && i < json_array_len(names); i++)
        rc = quit_one(
            cli, e, json_object_get_string(json_object_array_get_idx(names, i)),
            list, err);
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct json_object *list = json_object_new_array();
    const char *name = common_name(cli, err);
    struct engine *e;
    int rc;

    json_object_object_add(out, "quit", list);
    if (!name)
        return -EINVAL;
    e = engine_open(err);
    if (!e)
        return cli_fail(cli, "no-docker", err);
    rc = cli_has(cli, "all") ? quit_all(cli, e, list, err)
                             : quit_one(cli, e, name, list, err);
    engine_close(e);
    if (rc == 0)
        cli_print_json(cli, out);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "all", .help = "quit all sessions of this engine"},
    {0},
};

const struct cli_command cmd_quit = {
    .name = "quit",
    .summary = "end the session and remove its container",
    .usage = "[flags]",
    .details = "Containers that joined the session's network lose it; they are "
               "named. Where\nnothing runs, that is said, and it is no "
               "error.\n",
    .options = options,
    .run = run,
};
