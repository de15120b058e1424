/*
 * options.c - argv against the tables
 *
 * Options may stand before or after the command and its arguments; "--" ends
 * them. "--name=value", "--name value", "-n value", "-nvalue" and bundles of
 * switches ("-qh") are understood; names are never abbreviated, so that a new
 * option cannot change what an old script means.
 */
#include "cli/cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parser {
    struct cli *cli;
    int argc, at;
    char **argv;
};

static const struct cli_option *find_in(const struct cli_option *table,
                                        const char *name, size_t len,
                                        char letter)
{
    for (const struct cli_option *o = table; o && o->name; o++) {
        if (letter ? o->letter == letter
                   : strlen(o->name) == len && !strncmp(o->name, name, len))
            return o;
    }
    return NULL;
}

static const struct cli_option *
find_option(const struct cli *cli, const char *name, size_t len, char letter)
{
    const struct cli_option *o = NULL;

    if (cli->command)
        o = find_in(cli->command->options, name, len, letter);
    return o ? o : find_in(cli_global_options, name, len, letter);
}

static int check_choice(const struct cli_option *o, const char *value,
                        struct tp_error *err)
{
    char list[128] = "";

    if (!o->choices)
        return 0;
    for (size_t i = 0; o->choices[i]; i++) {
        size_t used = strlen(list);

        if (!strcmp(o->choices[i], value))
            return 0;
        snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
                 o->choices[i]);
    }
    return tp_error_set(err, -EINVAL, "--%s cannot be '%s'; it is one of: %s",
                        o->name, value, list);
}

static int add_value(struct parser *p, const struct cli_option *o,
                     const char *text, struct tp_error *err)
{
    struct cli *cli = p->cli;

    if (o->arg && check_choice(o, text, err) < 0)
        return -EINVAL;
    if (cli->value_count == CLI_MAX_VALUES)
        return tp_error_set(err, -E2BIG, "too many options (at most %d)",
                            CLI_MAX_VALUES);
    cli->values[cli->value_count].option = o;
    cli->values[cli->value_count++].text = text;
    return 0;
}

/* The value of an option that takes one: what is attached, or the next word. */
static int take_value(struct parser *p, const struct cli_option *o,
                      const char *attached, struct tp_error *err)
{
    if (!attached) {
        if (p->at >= p->argc)
            return tp_error_set(err, -EINVAL, "option --%s needs a value (%s)",
                                o->name, o->arg);
        attached = p->argv[p->at++];
    }
    return add_value(p, o, attached, err);
}

static void push_arg(struct parser *p, char *word)
{
    p->cli->args[p->cli->arg_count++] = word;
    p->cli->args[p->cli->arg_count] = NULL;
}

static int unknown_option(struct parser *p, char *word, struct tp_error *err)
{
    const struct cli_command *cmd = p->cli->command;

    if (cmd && cmd->passthrough) {
        push_arg(p, word);
        return 0;
    }
    return tp_error_set(
        err, -EINVAL, "unknown option %.*s; see 'tp %s%s--help'",
        (int)strcspn(word, "="), word, cmd ? cmd->name : "", cmd ? " " : "");
}

static int parse_long(struct parser *p, char *word, struct tp_error *err)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    const struct cli_option *o = find_option(p->cli, name, len, 0);

    if (!o)
        return unknown_option(p, word, err);
    if (!o->arg && name[len])
        return tp_error_set(err, -EINVAL, "option --%s takes no value",
                            o->name);
    if (!o->arg)
        return add_value(p, o, NULL, err);
    return take_value(p, o, name[len] ? name + len + 1 : NULL, err);
}

static int parse_short(struct parser *p, char *word, struct tp_error *err)
{
    for (const char *c = word + 1; *c; c++) {
        const struct cli_option *o = find_option(p->cli, NULL, 0, *c);
        int rc;

        if (!o)
            return unknown_option(p, word, err);
        if (o->arg)
            return take_value(p, o, c[1] ? c + 1 + (c[1] == '=') : NULL, err);
        rc = add_value(p, o, NULL, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_option(struct parser *p, char *word, struct tp_error *err)
{
    return word[1] == '-' ? parse_long(p, word, err)
                          : parse_short(p, word, err);
}

static int unknown_command(const char *word, struct tp_error *err)
{
    const char *guess = cli_guess_command(word);

    if (guess)
        return tp_error_set(err, -EINVAL,
                            "unknown command '%s'; did you mean 'tp %s'?", word,
                            guess);
    return tp_error_set(err, -EINVAL, "unknown command '%s'; see 'tp help'",
                        word);
}

/* The command is made of the first one or two words that are not options. */
static int parse_command(struct parser *p, struct tp_error *err)
{
    size_t used, words = (size_t)(p->argc - p->at);

    p->cli->command = cli_find_command(p->argv + p->at, words, &used);
    p->at += (int)used;
    if (p->cli->command)
        return 0;
    if (!p->cli->group && cli_help_group(NULL, p->argv[p->at])) {
        p->cli->group = p->argv[p->at++];
        return 0;
    }
    return unknown_command(p->argv[p->at], err);
}

static int check_args(const struct cli *cli, struct tp_error *err)
{
    const struct cli_command *cmd = cli->command;

    if (!cmd && cli->group && !cli->help)
        return unknown_command(cli->group, err);
    if (!cmd || cli->help)
        return 0;
    if (cli->arg_count < (size_t)cmd->min_args)
        return tp_error_set(err, -EINVAL, "usage: tp %s %s", cmd->name,
                            cmd->usage);
    if (cmd->max_args >= 0 && cli->arg_count > (size_t)cmd->max_args)
        return tp_error_set(err, -EINVAL,
                            "unexpected argument '%s'; usage: tp %s %s",
                            cli->args[cmd->max_args], cmd->name, cmd->usage);
    return 0;
}

static int check_repeats(const struct cli *cli, struct tp_error *err)
{
    for (size_t i = 0; i < cli->value_count; i++) {
        const struct cli_option *o = cli->values[i].option;

        if (o->arg && !o->repeatable && cli_count(cli, o->name) > 1)
            return tp_error_set(err, -EINVAL,
                                "option --%s may be given only once", o->name);
    }
    return 0;
}

static int parse_words(struct parser *p, struct tp_error *err)
{
    while (p->at < p->argc) {
        char *word = p->argv[p->at];
        int rc = 0;

        if (!strcmp(word, "--")) {
            p->at++;
            break;
        }
        if (word[0] == '-' && word[1]) {
            p->at++;
            rc = parse_option(p, word, err);
        } else if (!p->cli->command) {
            rc = parse_command(p, err);
        } else {
            p->at++;
            push_arg(p, word);
        }
        if (rc < 0)
            return rc;
    }
    while (p->at < p->argc)
        push_arg(p, p->argv[p->at++]);
    return 0;
}

/* For an error's form, also where the words before it made no sense. */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!strcmp(argv[i], "--format=json") ||
            (!strcmp(argv[i], "--format") && i + 1 < argc &&
             !strcmp(argv[i + 1], "json")))
            return true;
    }
    return false;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct tp_error *err)
{
    struct parser p = {.cli = cli, .argc = argc, .at = 1, .argv = argv};
    int rc;

    memset(cli, 0, sizeof(*cli));
    cli->stderr_tty = isatty(STDERR_FILENO);
    cli->args = calloc((size_t)argc + 2, sizeof(*cli->args));
    if (!cli->args)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = parse_words(&p, err);
    cli->json = rc < 0 ? asks_for_json(argc, argv)
                       : !strcmp(cli_get_or(cli, "format", "text"), "json");
    cli->quiet = cli_has(cli, "quiet");
    cli->help = cli_has(cli, "help");
    cli->version = cli_has(cli, "version") && !cli->command;
    if (rc == 0)
        rc = check_args(cli, err);
    if (rc == 0)
        rc = check_repeats(cli, err);
    return rc;
}

void cli_release(struct cli *cli)
{
    free(cli->args);
    cli->args = NULL;
}

const char *cli_get_nth(const struct cli *cli, const char *name, size_t n)
{
    for (size_t i = 0; i < cli->value_count; i++) {
        if (!strcmp(cli->values[i].option->name, name) && n-- == 0)
            return cli->values[i].text ? cli->values[i].text : "";
    }
    return NULL;
}

size_t cli_count(const struct cli *cli, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < cli->value_count; i++)
        count += !strcmp(cli->values[i].option->name, name);
    return count;
}

const char *cli_get(const struct cli *cli, const char *name)
{
    size_t count = cli_count(cli, name);

    return count ? cli_get_nth(cli, name, count - 1) : NULL;
}

const char *cli_get_or(const struct cli *cli, const char *name,
                       const char *fallback)
{
    const char *value = cli_get(cli, name);

    return value ? value : fallback;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_count(cli, name) > 0;
}

size_t cli_arg_count(const struct cli *cli)
{
    return cli->arg_count;
}

const char *cli_arg(const struct cli *cli, size_t n)
{
    return n < cli->arg_count ? cli->args[n] : NULL;
}

char **cli_args(const struct cli *cli)
{
    return cli->args;
}
