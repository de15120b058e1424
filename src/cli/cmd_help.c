/* cmd_help.c - tp help [COMMAND...] */
#include <errno.h>
#include <stdio.h>

#include "cli/cli_internal.h"
#include "cli/commands.h"

static int run(struct cli *cli, struct tp_error *err)
{
    const struct cli_command *cmd;
    bool man = cli_has(cli, "man");
    size_t used;

    if (cli_arg_count(cli) == 0) {
        man ? cli_help_man(stdout) : cli_help_overview(stdout);
        return 0;
    }
    cmd = cli_find_command(cli_args(cli), cli_arg_count(cli), &used);
    if (cmd)
        man ? cli_help_man_page(stdout, cmd) : cli_help_command(stdout, cmd);
    else if (!cli_help_group(stdout, cli_arg(cli, 0)))
        return tp_error_set(err, -EINVAL,
                            "no command is called '%s'; see 'tp help'",
                            cli_arg(cli, 0));
    return 0;
}

static const struct cli_option options[] = {
    {.name = "man",
     .help = "print the man page of COMMAND, or tp's list of commands (mdoc)"},
    {0},
};

const struct cli_command cmd_help = {
    .name = "help",
    .summary = "explain a command",
    .usage = "[COMMAND]",
    .options = options,
    .max_args = 2,
    .run = run,
};
