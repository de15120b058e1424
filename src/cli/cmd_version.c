/* cmd_version.c - tp version: client, daemon, manager */
#include "config.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_object_new_object();

    (void)err;
    json_put_str(obj, "client", PACKAGE_VERSION);
    cli_print(cli, "client:  %s\n", PACKAGE_VERSION);
    cli_print_json(cli, obj);
    return 0;
}

const struct cli_command cmd_version = {
    .name = "version",
    .summary = "show the versions of tp, the daemon and the manager",
    .usage = "[flags]",
    .run = run,
};
