/* cli_internal.h - between main(), the option parser and the help */
#ifndef TP_CLI_CLI_INTERNAL_H
#define TP_CLI_CLI_INTERNAL_H

#include <stdio.h>

#include "cli/cli.h"

#define CLI_MAX_VALUES 256

struct cli_value {
    const struct cli_option *option;
    const char *text; /* borrowed from argv; NULL: a switch */
};

struct cli {
    const struct cli_command *command; /* NULL: none given */
    struct cli_value values[CLI_MAX_VALUES];
    size_t value_count;
    char **args; /* owned array of borrowed strings, NULL-terminated */
    size_t arg_count;
    const char *group; /* "config", without one of its commands */
    bool json, quiet, help, version;
    bool stderr_tty;
    FILE *out; /* where results go; NULL: standard output */
    char error_code[32];
};

/* Reads argv; returns 0, or a negative errno with a usage error. cli must be
 * released in both cases. */
int cli_parse(struct cli *cli, int argc, char **argv, struct tp_error *err);
void cli_release(struct cli *cli);

/* Prints what went wrong, once. */
void cli_print_error(const struct cli *cli, const struct tp_error *err);

/* The command of that name (words[0], or words[0] and words[1]); *used is how
 * many words were taken. NULL if there is none. */
const struct cli_command *cli_find_command(char *const *words, size_t count,
                                           size_t *used);
/* The command that was probably meant, or NULL. */
const char *cli_guess_command(const char *word);

/* help.c, from the tables. */
void cli_help_overview(FILE *out);
void cli_help_command(FILE *out, const struct cli_command *cmd);
/* Lists "config view", "config ..." for a first word; false: unknown. out NULL:
 * only says whether it is one. */
bool cli_help_group(FILE *out, const char *word);
/* The usual exit statuses. */
#define CLI_EXITS                                                              \
    "  0    success\n"                                                         \
    "  1    it failed; the reason is on standard error\n"                      \
    "  2    it was called wrongly\n"                                           \
    "  130  it was interrupted\n"
#define CLI_MAN_DATE "November 24, 2026"

/* help_man.c: the list of commands for tp.1, and the page of one command. */
void cli_help_man(FILE *out);
void cli_help_man_page(FILE *out, const struct cli_command *cmd);

#endif
