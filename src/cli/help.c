/* help.c - help texts and the man page's lists, from the tables */
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

/* Text for mdoc: backslashes, and dots or quotes that begin a line. */
static void man_text(FILE *out, const char *text)
{
    bool line_start = true;

    for (const char *p = text; *p; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            fputs("\\&", out);
        if (*p == '\\')
            fputs("\\e", out);
        else if (*p == '-')
            fputs("\\-", out);
        else
            fputc(*p, out);
        line_start = *p == '\n';
    }
}

static bool ends_line(const char *text)
{
    size_t len = strlen(text);

    return len == 0 || text[len - 1] == '\n';
}

/* Paragraphs: an empty line is .Pp. */
static void man_paragraphs(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        char part[2048];

        snprintf(part, sizeof(part), "%.*s", (int)len, text);
        fputs(".Pp\n", out);
        man_text(out, part);
        if (!ends_line(part))
            fputc('\n', out);
        text += len + (end ? 2 : 0);
    }
}

static void man_options(FILE *out, const struct cli_option *table)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (const struct cli_option *o = table; o && o->name; o++) {
        fputs(".It ", out);
        if (o->letter)
            fprintf(out, "Fl %c , ", o->letter);
        fprintf(out, "Fl \\-%s%s%s\n", o->name, o->arg ? " Ar " : "",
                o->arg ? o->arg : "");
        man_text(out, o->help);
        fputs(o->repeatable ? ".\nMay be given several times.\n" : ".\n", out);
    }
    fputs(".El\n", out);
}

void cli_help_man(FILE *out)
{
    fputs(".Ss Options of all commands\n", out);
    man_options(out, cli_global_options);
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *cmd = cli_commands[i];

        if (cmd->hidden)
            continue;
        fprintf(out, ".Ss tp %s ", cmd->name);
        man_text(out, cmd->usage);
        fputc('\n', out);
        man_text(out, cmd->summary);
        fputs(".\n", out);
        if (cmd->details)
            man_paragraphs(out, cmd->details);
        if (cmd->options)
            man_options(out, cmd->options);
        if (cmd->example) {
            fputs(".Bd -literal\n", out);
            man_text(out, cmd->example);
            fputs(ends_line(cmd->example) ? ".Ed\n" : "\n.Ed\n", out);
        }
    }
}
