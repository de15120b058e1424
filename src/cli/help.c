/* help.c - help texts, from the tables; help_man.c has the man pages */
#include "config.h"

#include <string.h>

#include "cli/cli_internal.h"

/* Column where an option's explanation begins. */
#define HELP_COLUMN 30

static void print_option(FILE *out, const struct cli_option *o)
{
    char left[64];
    int width;

    snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
             o->arg ? " " : "", o->arg ? o->arg : "");
    width = (int)strlen(left);
    fputs(left, out);
    if (width >= HELP_COLUMN) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s%s%s\n", HELP_COLUMN - width, "", o->help,
            o->repeatable ? " (repeatable)" : "");
}

static void print_options(FILE *out, const struct cli_option *table)
{
    for (const struct cli_option *o = table; o && o->name; o++)
        print_option(out, o);
}

void cli_help_overview(FILE *out)
{
    fputs("tp " PACKAGE_VERSION ": run one container of a Kubernetes cluster "
          "on this machine\n\nUsage: tp COMMAND [flags]\n\nCommands:\n",
          out);
    for (size_t i = 0; cli_commands[i]; i++) {
        if (!cli_commands[i]->hidden)
            fprintf(out, "  %-16s%s\n", cli_commands[i]->name,
                    cli_commands[i]->summary);
    }
    fputs("\nFlags of all commands:\n", out);
    print_options(out, cli_global_options);
    fputs("\n'tp help COMMAND' explains one. Start with 'tp connect'.\n", out);
}

void cli_help_command(FILE *out, const struct cli_command *cmd)
{
    fprintf(out, "tp %s: %s\n\nUsage: tp %s %s\n", cmd->name, cmd->summary,
            cmd->name, cmd->usage);
    if (cmd->details)
        fprintf(out, "\n%s", cmd->details);
    if (cmd->example)
        fprintf(out, "\nExamples:\n%s", cmd->example);
    if (cmd->options) {
        fputs("\nFlags:\n", out);
        print_options(out, cmd->options);
    }
    fputs("\nFlags of all commands:\n", out);
    print_options(out, cli_global_options);
    fprintf(out, "\nExit status:\n" CLI_EXITS "%s",
            cmd->exits ? cmd->exits : "");
}

bool cli_help_group(FILE *out, const char *word)
{
    size_t len = strlen(word);
    bool found = false;

    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *cmd = cli_commands[i];

        if (strncmp(cmd->name, word, len) != 0 || cmd->name[len] != ' ')
            continue;
        if (!out)
            return true;
        if (!found)
            fprintf(out, "Commands of 'tp %s':\n", word);
        found = true;
        fprintf(out, "  %-16s%s\n", cmd->name, cmd->summary);
    }
    return found;
}
