/* cmd_detach.c - tp detach (leave): end engagements */
#include <errno.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"
#include "cli/engage_volumes.h"
#include "cli/mount_record.h"

#define ASK_MS 15000

/* {"detached": [NAME], "pending": [NAME]}: `pending` ones still are to end in
 * the cluster, or are just ending. */
static void say(struct cli *cli, const char *name, struct json_object *answer,
                struct json_object *out)
{
    bool restoring = json_get_bool(answer, "restoring", false);
    bool pending = restoring || json_get_bool(answer, "pending", false);

    json_object_array_add(json_get_array(out, "detached"),
                          json_object_new_string(name));
    if (!pending) {
        cli_print(cli, "Detached from %s\n", name);
        return;
    }
    json_object_array_add(json_get_array(out, "pending"),
                          json_object_new_string(name));
    cli_print(cli,
              restoring ? "Detached from %s: its pods are still rolled back, "
                          "and it is delivered until then\n"
                        : "Detached from %s here; the manager does not answer "
                          "now: it will be ended in the cluster when the link "
                          "is back\n",
              name);
}

static int detach_one(struct engage *g, const char *name,
                      struct json_object *out, struct tp_error *err)
{
    cleanup_json struct json_object *answer = NULL;
    int seconds = cli_has(g->cli, "no-wait") ? 0 : ENGAGE_END_S;
    int rc = mount_record_end(g->cli, g->daemon.id, name, -1, err);

    if (rc == 0)
        rc = engage_end(g, name, seconds, &answer, err);
    if (rc == 0)
        engage_volumes_remove(g->cli, g->engine, g->daemon.name, name);
    if (rc < 0)
        return tp_error_wrap(err, "%s", name);
    say(g->cli, name, answer, out);
    return 0;
}

static int detach_all(struct engage *g, struct json_object *out,
                      struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("engagements");
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int rc = engage_ask(g, request, ASK_MS, &answer, err);

    list = json_get_array(answer, "engagements");
    if (rc == 0 && json_array_len(list) == 0)
        cli_print(g->cli, "Nothing to detach from\n");
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++)
        rc = detach_one(
            g, json_get_str(json_object_array_get_idx(list, i), "name", ""),
            out, err);
    return rc;
}

static int detach_named(struct engage *g, struct json_object *out,
                        struct tp_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < cli_arg_count(g->cli); i++)
        rc = detach_one(g, cli_arg(g->cli, i), out, err);
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct engage g;
    int rc;

    json_object_object_add(out, "detached", json_object_new_array());
    json_object_object_add(out, "pending", json_object_new_array());
    if (cli_has(cli, "all") == (cli_arg_count(cli) > 0)) {
        tp_error_set(err, -EINVAL,
                     "name what to detach from (tp list shows it), or --all");
        return cli_fail(cli, "invalid", err);
    }
    rc = engage_open(&g, cli, err);
    if (rc == 0)
        rc = cli_has(cli, "all") ? detach_all(&g, out, err)
                                 : detach_named(&g, out, err);
    engage_release(&g);
    if (rc == 0)
        cli_print_json(cli, out);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "all", .help = "end all engagements of this session"},
    {.name = "no-wait",
     .help = "do not wait until a replaced container is there again"},
    {0},
};

const struct cli_command cmd_detach = {
    .name = "detach",
    .summary = "end an engagement; the cluster answers again",
    .usage = "NAME... | --all",
    .details =
        "New connections go to the cluster again at once; those that run end "
        "by themselves.\nThe end of a replace rolls the pods back; until they "
        "are ready, connections still come\nhere, and tp waits. Without a "
        "link to the cluster the end is remembered until there is\none. The "
        "agent stays in the pods for a while (tp uninstall). 'leave' is the "
        "same.\n",
    .example = "  tp detach web\n"
               "  tp detach --all\n",
    .options = options,
    .max_args = -1,
    .run = run,
};

const struct cli_command cmd_leave = {
    .name = "leave",
    .summary = "the same as detach",
    .usage = "NAME... | --all",
    .options = options,
    .max_args = -1,
    .hidden = true,
    .run = run,
};
