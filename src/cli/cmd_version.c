/* cmd_version.c - tp version: client, daemon, manager */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/daemon.h"

#define ASK_MS 5000

/* Adds what the running daemon says; without one nothing is added. */
static void ask_daemon(struct json_object *obj, const char *name)
{
    cleanup_json struct json_object *request = daemon_request("status");
    cleanup_json struct json_object *status = NULL;
    struct tp_error err = {0};
    struct daemon d = {0};
    struct engine *e = engine_open(&err);

    if (e && daemon_find(&d, e, name, &err) == 0 && d.state == DAEMON_RUNNING) {
        daemon_ask(e, d.id, request, ASK_MS, &status, NULL, &err);
        json_put_str(obj, "daemon", json_get_str(status, "version", d.version));
        json_put_str(obj, "manager",
                     json_get_str(status, "manager.version", NULL));
    }
    daemon_release(&d);
    engine_close(e);
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    const char *name = cli->version ? DAEMON_NAME : common_name(cli, err);

    if (!name)
        return -EINVAL;
    json_put_str(obj, "client", PACKAGE_VERSION);
    if (!cli->version)
        ask_daemon(obj, name);
    cli_print(cli, "client   %s\n", PACKAGE_VERSION);
    if (!cli->version) {
        cli_print(cli, "daemon   %s\n",
                  json_get_str(obj, "daemon", "not running"));
        cli_print(cli, "manager  %s\n",
                  json_get_str(obj, "manager", "not connected"));
    }
    cli_print_json(cli, obj);
    return 0;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {0},
};

const struct cli_command cmd_version = {
    .name = "version",
    .summary = "show the versions of tp, the daemon and the manager",
    .usage = "[flags]",
    .options = options,
    .run = run,
};
