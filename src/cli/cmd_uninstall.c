/* cmd_uninstall.c - tp uninstall: agents leave the pods of workloads */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"

#define ASK_MS 40000

static int list_workloads(struct engage *g, struct json_object **out,
                          struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("workloads");

    json_put_str(request, "namespace", cli_get(g->cli, "namespace"));
    return engage_ask(g, request, ASK_MS, out, err);
}

/* workload: KIND/NAME. */
static int uninstall_one(struct engage *g, const char *workload,
                         struct json_object *done, struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("uninstall");
    struct json_object *answer = NULL;
    int rc;

    json_put_str(request, "namespace", cli_get(g->cli, "namespace"));
    json_put_str(request, "workload", workload);
    json_object_object_add(request, "yes",
                           json_object_new_boolean(cli_has(g->cli, "yes")));
    rc = engage_ask(g, request, ASK_MS, &answer, err);
    if (rc < 0)
        return tp_error_wrap(err, "%s", workload);
    cli_print(g->cli, "%s %s: %s\n", json_get_str(answer, "kind", ""),
              json_get_str(answer, "name", ""),
              json_get_str(answer, "message", ""));
    json_object_array_add(done, answer);
    return 0;
}

/* "Deployment" is "deployment" in what people write. */
static int uninstall_listed(struct engage *g, struct json_object *item,
                            struct json_object *done, struct tp_error *err)
{
    char workload[300];

    snprintf(workload, sizeof(workload), "%.40s/%.253s",
             json_get_str(item, "kind", ""), json_get_str(item, "name", ""));
    for (char *c = workload; *c && *c != '/'; c++)
        *c |= 0x20;
    return uninstall_one(g, workload, done, err);
}

/* Pods and Jobs are left out: nothing restarts them. */
static bool can_lose(struct json_object *item)
{
    const char *kind = json_get_str(item, "kind", "");

    return strcmp(json_get_str(item, "agent", "none"), "none") != 0 &&
           strcmp(kind, "Pod") != 0 && strcmp(kind, "Job") != 0;
}

/* As many as can be; the first failure is told at the end. */
static int uninstall_all(struct engage *g, struct json_object *done,
                         struct tp_error *err)
{
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int first = list_workloads(g, &answer, err);
    size_t found = 0;

    list = json_get_array(answer, "workloads");
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct tp_error one = {0};
        int rc;

        if (!can_lose(item))
            continue;
        found++;
        rc = uninstall_listed(g, item, done, &one);
        if (rc < 0)
            cli_warn(g->cli, "%s", one.text);
        if (rc < 0 && first == 0) {
            first = rc;
            *err = one;
        }
    }
    if (first == 0 && found == 0)
        cli_print(g->cli, "No workload of this namespace has an agent\n");
    return first;
}

static int uninstall_bare(struct engage *g, const char *name,
                          struct json_object *done, struct tp_error *err)
{
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int rc = list_workloads(g, &answer, err);

    list = json_get_array(answer, "workloads");
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "name", ""), name))
            return uninstall_listed(g, item, done, err);
    }
    return rc < 0
               ? rc
               : tp_error_set(err, -ENOENT, "no workload %s (tp list)", name);
}

static int uninstall_named(struct engage *g, struct json_object *done,
                           struct tp_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < cli_arg_count(g->cli); i++) {
        const char *text = cli_arg(g->cli, i);

        rc = strchr(text, '/') ? uninstall_one(g, text, done, err)
                               : uninstall_bare(g, text, done, err);
    }
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct json_object *done = json_object_new_array();
    struct engage g;
    int rc;

    json_object_object_add(out, "workloads", done);
    if (cli_has(cli, "all-agents") == (cli_arg_count(cli) > 0)) {
        tp_error_set(err, -EINVAL,
                     "name workloads (tp list shows which have "
                     "an agent), or --all-agents");
        return cli_fail(cli, "invalid", err);
    }
    rc = engage_open(&g, cli, err);
    if (rc == 0)
        rc = cli_has(cli, "all-agents") ? uninstall_all(&g, done, err)
                                        : uninstall_named(&g, done, err);
    engage_release(&g);
    if (rc == 0)
        cli_print_json(cli, out);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "namespace",
     .letter = 'n',
     .arg = "NS",
     .help = "namespace of the workloads (default: the session's)"},
    {.name = "all-agents",
     .letter = 'a',
     .help = "of all workloads of the namespace"},
    {.name = "yes",
     .letter = 'y',
     .help = "also where the restart interrupts the workload"},
    {0},
};

const struct cli_command cmd_uninstall = {
    .name = "uninstall",
    .summary = "take the agents out of a workload's pods",
    .usage = "WORKLOAD... | --all-agents",
    .details = "Agents that nobody needs go by themselves after a time (chart "
               "value agent.idleSeconds);\nthis does it now: the pods are "
               "rolled out once without agent. A workload that somebody\n"
               "engages is left alone. 'tp helm uninstall' removes the agents "
               "of the whole cluster.\n",
    .example = "  tp uninstall web\n"
               "  tp uninstall --all-agents -n team-a\n",
    .options = options,
    .max_args = -1,
    .run = run,
};
