/* cmd_list.c - tp list: workloads and who does what to them */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"

#define ASK_MS   40000
#define WATCH_MS 1000

static void print_engagement(struct cli *cli, struct json_object *item)
{
    struct json_object *ports = json_get_array(item, "ports");

    cli_print(cli, "    %s by %s", json_get_str(item, "type", "?"),
              json_get_str(item, "user", "?"));
    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *port = json_object_array_get_idx(ports, i);

        cli_print(cli, "%s%d/%s", i ? ", " : ": ",
                  (int)json_get_int(port, "port", 0),
                  json_get_str(port, "protocol", "tcp"));
    }
    cli_print(cli, "\n");
}

static void print_workload(struct cli *cli, struct json_object *item)
{
    struct json_object *list = json_get_array(item, "engagements");
    const char *agent = json_get_str(item, "agent", "none");
    const char *reason = json_get_str(item, "reason", "");
    const char *why = json_get_str(item, "agentReason", "");

    cli_print(cli, "%s %s: %d of %d pods ready, ",
              json_get_str(item, "kind", ""), json_get_str(item, "name", ""),
              (int)json_get_int(item, "ready", 0),
              (int)json_get_int(item, "replicas", 0));
    if (!json_get_bool(item, "engageable", true))
        cli_print(cli, "cannot be engaged (%s)\n", reason);
    else if (!strcmp(agent, "none"))
        cli_print(cli, "no agent yet\n");
    else
        cli_print(cli, "agent %s%s%s%s\n", agent, *why ? " (" : "", why,
                  *why ? ")" : "");
    for (size_t i = 0; i < json_array_len(list); i++)
        print_engagement(cli, json_object_array_get_idx(list, i));
}

static void print_mine(struct cli *cli, struct json_object *item)
{
    struct json_object *ports = json_get_array(item, "ports");

    cli_print(cli, "  %s: %s %s %s/%s, %s", json_get_str(item, "name", ""),
              json_get_str(item, "type", ""),
              json_get_str(item, "workload.kind", ""),
              json_get_str(item, "namespace", ""),
              json_get_str(item, "workload.name", ""),
              json_get_str(item, "phase", ""));
    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *port = json_object_array_get_idx(ports, i);

        cli_print(cli, "%s%d ", i ? ", " : "; ",
                  (int)json_get_int(port, "port", 0));
        engage_print_local(cli, item, port);
    }
    cli_print(cli, "\n");
    engage_print_to_pod(cli, "      ", item);
    if (*json_get_str(item, "warning", ""))
        cli_print(cli, "      %s\n", json_get_str(item, "warning", ""));
    if (*json_get_str(item, "message", ""))
        cli_print(cli, "      %s\n", json_get_str(item, "message", ""));
}

static void print_ending(struct cli *cli, struct json_object *list)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = json_get_str(item, "name", "");

        cli_print(cli,
                  "  %s: detached; it ends in the cluster when the link "
                  "is back\n",
                  *name ? name : json_get_str(item, "id", ""));
    }
}

static void print_all(struct cli *cli, struct json_object *out)
{
    struct json_object *workloads = json_get_array(out, "workloads");
    struct json_object *mine = json_get_array(out, "engagements");
    struct json_object *ending = json_get_array(out, "ending");

    if (json_array_len(workloads) == 0)
        cli_print(cli, "No workloads in this namespace\n");
    for (size_t i = 0; i < json_array_len(workloads); i++)
        print_workload(cli, json_object_array_get_idx(workloads, i));
    if (json_array_len(mine) > 0 || json_array_len(ending) > 0)
        cli_print(cli, "Of this session:\n");
    for (size_t i = 0; i < json_array_len(mine); i++)
        print_mine(cli, json_object_array_get_idx(mine, i));
    print_ending(cli, ending);
}

/* All of the session, or of the namespace that is asked for. */
static struct json_object *mine_of(struct cli *cli, struct json_object *all)
{
    const char *ns = cli_get(cli, "namespace");
    struct json_object *out = json_object_new_array();

    for (size_t i = 0; i < json_array_len(all); i++) {
        struct json_object *item = json_object_array_get_idx(all, i);

        if (!ns || !strcmp(ns, json_get_str(item, "namespace", "")))
            json_object_array_add(out, json_object_get(item));
    }
    return out;
}

/* {"workloads": [...], "engagements": [...]}; owned. */
static int collect(struct engage *g, struct json_object **out,
                   struct tp_error *err)
{
    cleanup_json struct json_object *ask_all = daemon_request("workloads");
    cleanup_json struct json_object *ask_mine = daemon_request("engagements");
    cleanup_json struct json_object *mine = NULL;
    int rc;

    json_put_str(ask_all, "namespace", cli_get(g->cli, "namespace"));
    rc = engage_ask(g, ask_all, ASK_MS, out, err);
    if (rc == 0)
        rc = engage_ask(g, ask_mine, ASK_MS, &mine, err);
    if (rc == 0)
        json_object_object_add(*out, "engagements",
                               mine_of(g->cli, json_get(mine, "engagements")));
    if (rc == 0)
        json_object_object_add(*out, "ending",
                               json_object_get(json_get(mine, "ending")));
    return rc;
}

/* One object a line at each change, until interrupted. */
static int watch(struct engage *g, struct tp_error *err)
{
    cleanup_json struct json_object *before = NULL;
    int rc = engage_catch_signals(g, err);

    while (rc == 0) {
        struct pollfd fd = {.fd = g->signals, .events = POLLIN};
        struct json_object *now = NULL;

        rc = collect(g, &now, err);
        if (rc == 0 && !(before && json_object_equal(before, now))) {
            print_all(g->cli, now);
            cli_print(g->cli, "\n");
            cli_print_json(g->cli, now);
            fflush(stdout);
        }
        json_object_put(before);
        before = now;
        if (rc == 0 && poll(&fd, 1, WATCH_MS) > 0)
            return 0;
    }
    return rc == -ECANCELED ? 0 : rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = NULL;
    struct engage g;
    int rc = engage_open(&g, cli, err);

    if (rc == 0 && cli_has(cli, "watch")) {
        rc = watch(&g, err);
    } else if (rc == 0) {
        rc = collect(&g, &out, err);
        if (rc == 0) {
            print_all(cli, out);
            cli_print_json(cli, out);
        }
    }
    engage_release(&g);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "namespace",
     .letter = 'n',
     .arg = "NS",
     .help = "namespace to list (default: the session's, and what this "
             "session engages anywhere)"},
    {.name = "watch",
     .letter = 'w',
     .help = "print again at each change, until Ctrl-C"},
    {0},
};

const struct cli_command cmd_list = {
    .name = "list",
    .summary = "workloads of a namespace and who engages them",
    .usage = "[flags]",
    .details = "Deployments, StatefulSets, DaemonSets, ReplicaSets and pods "
               "that belong to nobody,\nwith their agents and everybody's "
               "engagements; then those of this session and where\ntheir "
               "ports lead.\n",
    .example = "  tp list\n"
               "  tp list -n team-a --watch\n"
               "  tp list --format json\n",
    .options = options,
    .run = run,
};
