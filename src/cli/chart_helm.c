/* chart_helm.c - compose helm's command line, run it */
#include "cli/chart_helm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/program.h"

#define MAX_ADDED 12 /* words that chart_helm_argv() adds at most */

/* What an action of helm takes. */
struct action {
    const char *name;
    const char *words[2]; /* of helm */
    bool release, chart, create_namespace;
};

static const struct action actions[] = {
    {"install", {"install"}, true, true, true},
    {"upgrade", {"upgrade"}, true, true, true},
    {"uninstall", {"uninstall"}, true, false, false},
    {"lint", {"lint"}, false, true, false},
    {"template", {"template"}, true, true, false},
    {"test", {"test"}, true, false, false},
    {"values", {"show", "values"}, false, true, false},
};

const char *chart_helm_actions(void)
{
    return "install, upgrade, uninstall, lint, template, test, values";
}

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (!strcmp(actions[i].name, name))
            return &actions[i];
    }
    return NULL;
}

struct words {
    char **argv;
    size_t count;
};

static void push(struct words *w, const char *word)
{
    w->argv[w->count++] = (char *)word;
}

static void push_pair(struct words *w, const char *flag, const char *value)
{
    if (value) {
        push(w, flag);
        push(w, value);
    }
}

static size_t count_words(char *const *args)
{
    size_t n = 0;

    while (args && args[n])
        n++;
    return n;
}

char **chart_helm_argv(const struct chart_helm_request *req,
                       struct tp_error *err)
{
    const struct action *a = find_action(req->action);
    char *const *args = req->args;
    size_t given = count_words(args);
    struct words w = {0};

    if (!a) {
        tp_error_set(err, -EINVAL, "unknown action '%s'; it is one of: %s",
                     req->action, chart_helm_actions());
        return NULL;
    }
    w.argv = calloc(given + MAX_ADDED + 1, sizeof(*w.argv));
    if (!w.argv) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    push(&w, "helm");
    for (size_t i = 0; i < 2 && a->words[i]; i++)
        push(&w, a->words[i]);
    if (a->release) {
        bool named = given && args[0][0] != '-';

        push(&w, named ? *args++ : CHART_HELM_RELEASE);
    }
    if (a->chart)
        push(&w, req->chart);
    push_pair(&w, "--namespace",
              req->namespace ? req->namespace : CHART_HELM_NAMESPACE);
    if (a->create_namespace)
        push(&w, "--create-namespace");
    push_pair(&w, "--kubeconfig", req->kubeconfig);
    push_pair(&w, "--kube-context", req->context);
    while (args && *args)
        push(&w, *args++);
    return w.argv;
}

int chart_helm_run(const char *program, char *const *argv, struct tp_error *err)
{
    return program_run(program, argv, NULL, -1, err);
}
