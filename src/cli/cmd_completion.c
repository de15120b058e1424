/* cmd_completion.c - tp completion bash|zsh: scripts made from the tables */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_internal.h"
#include "cli/commands.h"

static void print_option_words(const struct cli_option *table)
{
    for (const struct cli_option *o = table; o && o->name; o++)
        printf(" --%s", o->name);
}

/* The first words of all commands, each once. */
static void print_first_words(void)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        size_t len = strcspn(name, " ");
        bool seen = cli_commands[i]->hidden;

        for (size_t j = 0; j < i && !seen; j++)
            seen = !strncmp(cli_commands[j]->name, name, len) &&
                   strchr(" ", cli_commands[j]->name[len]);
        if (!seen)
            printf(" %.*s", (int)len, name);
    }
}

/* What may follow "tp WORD": second words, options. */
static void print_cases(void)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        const char *second = strchr(name, ' ');

        if (cli_commands[i]->hidden)
            continue;
        printf("    %.*s) words=\"$words", (int)strcspn(name, " "), name);
        if (second)
            printf("%s", second);
        print_option_words(cli_commands[i]->options);
        puts("\" ;;&");
    }
}

static void print_script(void)
{
    fputs("_tp() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} words=\"",
          stdout);
    print_option_words(cli_global_options);
    fputs("\"\n    case ${COMP_WORDS[COMP_CWORD-1]} in\n"
          "    --format) COMPREPLY=($(compgen -W 'text json' -- \"$cur\"));"
          " return ;;\n"
          "    --kubeconfig) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "    --context) COMPREPLY=($(compgen -W \"$(kubectl config"
          " get-contexts -o name 2>/dev/null)\" -- \"$cur\")); return ;;\n"
          "    esac\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"$words",
          stdout);
    print_first_words();
    fputs("\"; fi\n    case ${COMP_WORDS[1]} in\n", stdout);
    print_cases();
    fputs("    esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "}\n"
          "complete -F _tp tp\n",
          stdout);
}

static int run(struct cli *cli, struct tp_error *err)
{
    const char *shell = cli_arg(cli, 0);

    if (!strcmp(shell, "zsh"))
        fputs("autoload -U +X bashcompinit && bashcompinit\n", stdout);
    else if (strcmp(shell, "bash") != 0)
        return tp_error_set(err, -EINVAL,
                            "no completion for '%s'; there is bash and zsh",
                            shell);
    print_script();
    return 0;
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "print a completion script for bash or zsh",
    .usage = "bash|zsh",
    .details = "Bash: source <(tp completion bash). The same works in zsh.\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
