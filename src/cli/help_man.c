/*
 * help_man.c - man pages in mdoc, from the tables
 *
 * https://mandoc.bsd.lv/man/mdoc.7.html
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli_internal.h"

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

/* Filled text: each sentence begins a line. */
static void man_sentences(FILE *out, char *text)
{
    for (char *p = text; *p; p++) {
        if (strchr(".;:", *p) && p > text && p[-1] != '.' && p[1] == ' ' &&
            p[2] >= 'A' && p[2] <= 'Z')
            p[1] = '\n';
    }
    man_text(out, text);
}

/* Paragraphs: an empty line is .Pp. */
static void man_paragraphs(FILE *out, const char *text)
{
    for (text += strspn(text, "\n"); *text; text += strspn(text, "\n")) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        char part[2048];

        snprintf(part, sizeof(part), "%.*s", (int)len, text);
        fputs(".Pp\n", out);
        man_sentences(out, part);
        if (!ends_line(part))
            fputc('\n', out);
        text += len + (end ? 2 : 0);
    }
}

static void man_literal(FILE *out, const char *text)
{
    fputs(".Bd -literal\n", out);
    man_text(out, text);
    fputs(ends_line(text) ? ".Ed\n" : "\n.Ed\n", out);
}

static void man_options(FILE *out, const struct cli_option *table)
{
    if (!table || !table->name)
        return; /* a list of nothing is an error of mdoc */
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
        if (cmd->example)
            man_literal(out, cmd->example);
    }
}

/* ---- a page of its own ---- */

static void man_head(FILE *out, const struct cli_command *cmd)
{
    fputs(".Dd " CLI_MAN_DATE "\n.Dt TP\\-", out);
    for (const char *p = cmd->name; *p; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 0x20 : *p, out);
    fprintf(out, " 1\n.Os\n.Sh NAME\n.Nm tp\\-%s\n.Nd ", cmd->name);
    man_text(out, cmd->summary);
    fprintf(out, "\n.Sh SYNOPSIS\n.Nm tp %s\n", cmd->name);
    man_text(out, cmd->usage);
    fputc('\n', out);
}

static void man_see_also(FILE *out, const struct cli_command *cmd)
{
    static const char *const verbs[] = {"detach", "ingest", "intercept",
                                        "list",   "mirror", "replace"};

    fputs(".Sh SEE ALSO\n.Xr tp 1", out);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(verbs[i], cmd->name) != 0)
            fprintf(out, " ,\n.Xr tp\\-%s 1", verbs[i]);
    }
    fputc('\n', out);
}

void cli_help_man_page(FILE *out, const struct cli_command *cmd)
{
    man_head(out, cmd);
    fputs(".Sh DESCRIPTION\n", out);
    man_text(out, cmd->summary);
    fputs(".\n", out);
    if (cmd->details)
        man_paragraphs(out, cmd->details);
    fputs(".Sh OPTIONS\n", out);
    man_options(out, cmd->options);
    if (cmd->options && cmd->options->name)
        fputs(".Pp\n", out);
    fputs("Those of all commands:\n", out);
    man_options(out, cli_global_options);
    fputs(".Sh EXIT STATUS\n", out);
    man_literal(out, CLI_EXITS);
    if (cmd->exits)
        man_literal(out, cmd->exits);
    if (cmd->example) {
        fputs(".Sh EXAMPLES\n", out);
        man_literal(out, cmd->example);
    }
    man_see_also(out, cmd);
}
