/* commands.c - the commands of tp: the only place where they are listed */
#include <string.h>

#include "cli/cli_internal.h"
#include "cli/commands.h"

const struct cli_command *const cli_commands[] = {
    &cmd_connect,    &cmd_status,      &cmd_quit,    &cmd_intercept,
    &cmd_replace,    &cmd_mirror,      &cmd_wiretap, &cmd_ingest,
    &cmd_curl,       &cmd_serve,       &cmd_list,    &cmd_volumes,
    &cmd_volume,     &cmd_detach,      &cmd_leave,   &cmd_gather_logs,
    &cmd_uninstall,  &cmd_config_view, &cmd_helm,    &cmd_version,
    &cmd_completion, &cmd_help,        NULL,
};

static const char *const formats[] = {"text", "json", NULL};

const struct cli_option cli_global_options[] = {
    {.name = "format",
     .arg = "FORMAT",
     .help = "how results are printed: text or json (one object)",
     .choices = formats},
    {.name = "quiet", .letter = 'q', .help = "say only results and errors"},
    {.name = "help", .letter = 'h', .help = "show this help"},
    {.name = "version", .help = "show the versions, as 'tp version'"},
    {0},
};

/* How many of the words spell the command's name, or 0. */
static size_t match_name(const char *name, char *const *words, size_t count)
{
    size_t used = 0;

    while (*name) {
        size_t len = strcspn(name, " ");

        if (used == count || strlen(words[used]) != len ||
            strncmp(words[used], name, len) != 0)
            return 0;
        used++;
        name += len + (name[len] == ' ');
    }
    return used;
}

const struct cli_command *cli_find_command(char *const *words, size_t count,
                                           size_t *used)
{
    const struct cli_command *best = NULL;

    *used = 0;
    for (size_t i = 0; cli_commands[i]; i++) {
        size_t n = match_name(cli_commands[i]->name, words, count);

        if (n > *used) {
            *used = n;
            best = cli_commands[i];
        }
    }
    return best;
}

/* Edits between two short words: insertion, removal, change. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[32], best;
    size_t len = strlen(b);

    if (len >= sizeof(row) / sizeof(row[0]))
        return ~0U;
    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < len; j++) {
            best = diagonal + (a[i] != b[j]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[len];
}

const char *cli_guess_command(const char *word)
{
    const char *guess = NULL;
    unsigned best = 3;
    size_t len = strlen(word);

    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *cmd = cli_commands[i];
        unsigned distance = edit_distance(word, cmd->name);

        if (cmd->hidden)
            continue;
        if (!strncmp(cmd->name, word, len) && cmd->name[len] == ' ')
            return cmd->name; /* "config": the first of its group */
        if (distance < best) {
            best = distance;
            guess = cmd->name;
        }
    }
    return guess;
}
