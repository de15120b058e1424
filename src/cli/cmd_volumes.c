/* cmd_volumes.c - tp volumes: what engaged containers mount */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"

#define ASK_MS 40000

static void print_mount(struct cli *cli, const char *name,
                        struct json_object *mount)
{
    const char *mode = json_get_bool(mount, "unreadable", false) ? "unreadable"
                       : json_get_bool(mount, "readOnly", false) ? "ro"
                                                                 : "rw";

    cli_print(cli, "%-20s %-24s %-40s %s\n", name,
              json_get_str(mount, "volume", ""),
              json_get_str(mount, "path", ""), mode);
}

static void print_left_out(struct cli *cli, const char *name,
                           struct json_object *mount)
{
    cli_print(cli, "%-20s %-24s %-40s not served: %s\n", name,
              json_get_str(mount, "volume", ""),
              json_get_str(mount, "path", ""),
              json_get_str(mount, "reason", ""));
}

static void print_one(struct cli *cli, struct json_object *item)
{
    struct json_object *mounts = json_get_array(item, "mounts");
    struct json_object *others = json_get_array(item, "left_out");
    const char *name = json_get_str(item, "engagement", "");

    for (size_t i = 0; i < json_array_len(mounts); i++)
        print_mount(cli, name, json_object_array_get_idx(mounts, i));
    for (size_t i = 0; i < json_array_len(others); i++)
        print_left_out(cli, name, json_object_array_get_idx(others, i));
    if (json_get(item, "error"))
        cli_print(cli, "%-20s %s\n", name, json_get_str(item, "error", ""));
    else if (json_array_len(mounts) + json_array_len(others) == 0)
        cli_print(cli, "%-20s no volumes\n", name);
}

/* {"engagement", "mounts", "left_out"} or {"engagement", "error"}; owned. */
static struct json_object *ask_one(struct engage *g, const char *name)
{
    cleanup_json struct json_object *request = engage_named("files", name);
    cleanup_json struct json_object *answer = NULL;
    struct json_object *item = json_object_new_object();
    struct tp_error err = {0};
    static const char *const keys[] = {"mounts", "left_out", "socket"};

    json_put_str(item, "engagement", name);
    if (engage_ask(g, request, ASK_MS, &answer, &err) < 0) {
        json_put_str(item, "error", err.text);
        return item;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct json_object *value = json_get(answer, keys[i]);

        if (value)
            json_object_object_add(item, keys[i], json_object_get(value));
    }
    return item;
}

/* A name that is asked for but not there is an error. */
static int collect(struct engage *g, const char *only, struct json_object *out,
                   struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("engagements");
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int rc = engage_ask(g, request, ASK_MS, &answer, err);

    list = json_get_array(answer, "engagements");
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++) {
        const char *name =
            json_get_str(json_object_array_get_idx(list, i), "name", "");

        if (!only || !strcmp(only, name))
            json_object_array_add(out, ask_one(g, name));
    }
    if (rc == 0 && only && json_array_len(out) == 0)
        rc = tp_error_set(err, -ENOENT,
                          "there is no engagement %s (tp list shows them)",
                          only);
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct json_object *list = json_object_new_array();
    struct engage g;
    int rc;

    json_object_object_add(out, "volumes", list);
    rc = engage_open(&g, cli, err);
    if (rc == 0)
        rc =
            collect(&g, cli_arg_count(cli) ? cli_arg(cli, 0) : NULL, list, err);
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++)
        print_one(cli, json_object_array_get_idx(list, i));
    if (rc == 0 && json_array_len(list) == 0)
        cli_print(cli, "No engagements\n");
    engage_release(&g);
    if (rc == 0)
        cli_print_json(cli, out);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {0},
};

const struct cli_command cmd_volumes = {
    .name = "volumes",
    .summary = "volumes of engaged containers: path and mode",
    .usage = "[ENGAGEMENT] [flags]",
    .details = "What the cluster offers of each: rw, ro, unreadable (the agent "
               "runs as another\nuser than the container's image), or why it "
               "is not served. Mounts of a mirror\nand an ingest are "
               "read-only. The service account's token needs the right\n"
               "create engagements/credentials.\n",
    .max_args = 1,
    .options = options,
    .run = run,
};
