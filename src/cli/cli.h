/*
 * cli.h - what a command of tp is, and what it may use
 *
 * One command is one file with one const `struct cli_command`, listed in
 * commands.c and nowhere else. Help, usage errors, shell completion and the
 * man page's lists come from these tables.
 *
 * A command's run() returns 0, a positive exit status of its own (documented
 * in its `details`), or a negative errno with err filled, which main() prints
 * once: "tp: <text>" on standard error, or with --format json
 * {"error": text, "code": name} on standard output.
 *
 * Results go to standard output, everything said on the way to standard error.
 */
#ifndef TP_CLI_CLI_H
#define TP_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Exit statuses that all commands share. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_NOT_CONNECTED = 3, /* tp status */
    CLI_EXIT_INTERRUPTED = 130, /* by a signal, as shells say it */
};

struct cli;
struct json_object;

struct cli_option {
    const char *name; /* long name without "--"; NULL ends a table */
    char letter;      /* short name or 0 */
    const char *arg;  /* what the value is called ("NS"); NULL: a switch */
    const char *help; /* one line, without a full stop */
    bool repeatable;
    bool optional_value;        /* reserved: kubectl-like --flag[=VALUE] */
    const char *const *choices; /* NULL-terminated, for checks, completion */
};

struct cli_command {
    const char *name;    /* "connect", or two words: "config view" */
    const char *summary; /* one line, for the list of commands */
    const char *usage;   /* what follows the name: "[flags] [ACTION]" */
    const char *details; /* paragraphs for help and man page; may be NULL */
    const char *example; /* lines, each "  tp ..."; may be NULL */
    const char *exits;   /* exit statuses beside the usual; may be NULL */
    const struct cli_option *options; /* may be NULL */
    int min_args, max_args;           /* positional; max -1: any number */
    bool hidden;                      /* not in lists */
    /* Options that are not in the table are not errors but arguments, in
     * their order (wrappers of other programs). */
    bool passthrough;
    int (*run)(struct cli *cli, struct tp_error *err);
};

/* commands.c: the table, ended by NULL. */
extern const struct cli_command *const cli_commands[];
extern const struct cli_option cli_global_options[];

/* Values of options, by long name. The last one given wins; NULL if absent. */
const char *cli_get(const struct cli *cli, const char *name);
const char *cli_get_or(const struct cli *cli, const char *name,
                       const char *fallback);
bool cli_has(const struct cli *cli, const char *name);
size_t cli_count(const struct cli *cli, const char *name);
const char *cli_get_nth(const struct cli *cli, const char *name, size_t n);

/* Positional arguments, NULL-terminated array. */
size_t cli_arg_count(const struct cli *cli);
const char *cli_arg(const struct cli *cli, size_t n);
char **cli_args(const struct cli *cli);

bool cli_is_json(const struct cli *cli);
bool cli_is_quiet(const struct cli *cli);

/* The name that a failure gets in JSON ("not-installed"); copied. Returns err's
 * code for `return cli_fail(...)`. */
int cli_fail(struct cli *cli, const char *code, const struct tp_error *err);

/* Text for a person on standard output; control characters are shown as '?'
 * except newline and tab. Says nothing with --format json. */
void cli_print(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* What cli_print() and cli_print_json() say goes to standard error from here
 * on: standard output is for something else. */
void cli_results_aside(struct cli *cli);
/* The one JSON object of --format json; nothing in text mode. */
void cli_print_json(const struct cli *cli, struct json_object *obj);

/* A step, on standard error, only if that is a terminal; the next one
 * overwrites it. NULL wipes it. Not with --quiet or JSON. */
void cli_progress(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A remark ("note: ...") resp. warning on standard error; notes are silenced
 * by --quiet. */
void cli_note(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cli_warn(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
