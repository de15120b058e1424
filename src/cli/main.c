/* main.c - tp: parse, run one command, say how it ended */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_internal.h"
#include "cli/commands.h"

/* A value that its flag does not take: the text begins with the flag. */
static bool is_usage(const struct tp_error *err)
{
    return err->code == -EINVAL && !strncmp(err->text, "--", 2);
}

/* Ends with the status of the command, and notices a full disk or a closed
 * pipe on standard output. */
static int finish(struct cli *cli, int rc, struct tp_error *err)
{
    if (rc >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = tp_error_errno(err, -EIO, "cannot write to standard output");
    if (rc < 0 && is_usage(err))
        cli_fail(cli, "usage", err);
    if (rc < 0)
        cli_print_error(cli, err);
    if (rc == -ECANCELED)
        return CLI_EXIT_INTERRUPTED;
    if (rc < 0 && is_usage(err))
        return CLI_EXIT_USAGE;
    return rc < 0 ? CLI_EXIT_FAILED : rc;
}

int main(int argc, char **argv)
{
    struct tp_error err = {0};
    struct cli cli;
    int rc;

    signal(SIGPIPE, SIG_IGN);
    rc = cli_parse(&cli, argc, argv, &err);
    if (rc < 0) {
        cli_fail(&cli, "usage", &err);
        cli_print_error(&cli, &err);
        rc = CLI_EXIT_USAGE;
    } else if (cli.version) {
        rc = finish(&cli, cmd_version.run(&cli, &err), &err);
    } else if (!cli.command && cli.group) {
        cli_help_group(stdout, cli.group);
        rc = finish(&cli, 0, &err);
    } else if (!cli.command) {
        cli_help_overview(stdout);
        rc = finish(&cli, 0, &err);
    } else if (cli.help && !cli.command->passthrough) {
        cli_help_command(stdout, cli.command);
        rc = finish(&cli, 0, &err);
    } else {
        rc = finish(&cli, cli.command->run(&cli, &err), &err);
    }
    cli_release(&cli);
    return rc;
}
