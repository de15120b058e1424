/* cmd_status.c - tp status: what the daemon says, and who joined it */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/daemon.h"

#define ASK_MS 10000

static void print_since(struct cli *cli, const char *what, int64_t since)
{
    int64_t seconds = since ? (int64_t)time(NULL) - since : -1;

    if (seconds < 0)
        return;
    if (seconds < 120)
        cli_print(cli, "  %-12s%" PRId64 " s ago\n", what, seconds);
    else if (seconds < 7200)
        cli_print(cli, "  %-12s%" PRId64 " min ago\n", what, seconds / 60);
    else
        cli_print(cli, "  %-12s%" PRId64 " h ago\n", what, seconds / 3600);
}

static void print_text(struct cli *cli, const char *what, const char *text)
{
    if (text && *text)
        cli_print(cli, "  %-12s%s\n", what, text);
}

static void print_list(struct cli *cli, const char *what,
                       struct json_object *list)
{
    if (json_array_len(list) == 0)
        return;
    cli_print(cli, "  %-12s", what);
    for (size_t i = 0; i < json_array_len(list); i++)
        cli_print(cli, "%s%s", i ? ", " : "",
                  json_object_get_string(json_object_array_get_idx(list, i)));
    cli_print(cli, "\n");
}

static void print_virtual(struct cli *cli, struct json_object *list)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        cli_print(cli, "  %-12s%s as %s: %s\n", "virtual",
                  json_get_str(item, "subnet", ""),
                  json_get_str(item, "virtual", ""),
                  json_get_str(item, "reason", ""));
    }
}

static void print_rejected(struct cli *cli, struct json_object *list)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        cli_print(cli, "  %-12s%s: %s\n", "refused",
                  json_get_str(item, "subnet", ""),
                  json_get_str(item, "reason", ""));
    }
}

static void print_link(struct cli *cli, struct json_object *status)
{
    int64_t rtt = json_get_int(status, "link.rttUs", -1);
    int64_t silent = json_get_int(status, "link.silentMs", -1);
    int64_t reconnects = json_get_int(status, "link.reconnects", 0);

    if (!json_get(status, "link"))
        return;
    cli_print(cli, "  %-12s%s, %s", "link",
              json_get_str(status, "link.kind", ""),
              json_get_str(status, "link.framing", ""));
    if (silent >= 0)
        cli_print(cli, ", no answer for %" PRId64 " s", (silent + 999) / 1000);
    else if (rtt >= 0)
        cli_print(cli, ", %.1f ms", (double)rtt / 1000);
    if (json_get_bool(status, "link.draining", false))
        cli_print(cli, ", draining");
    if (reconnects > 0)
        cli_print(cli, ", connected again %" PRId64 " time%s", reconnects,
                  reconnects == 1 ? "" : "s");
    cli_print(cli, "\n");
}

static void print_direct(struct cli *cli, struct json_object *status)
{
    int64_t rtt = json_get_int(status, "direct.rttUs", -1);
    const char *state = json_get_str(status, "direct.state", NULL);

    if (!state)
        return;
    if (strcmp(state, "up") != 0) {
        cli_print(cli, "  %-12snone: %s\n", "direct",
                  json_get_str(status, "direct.error", "not yet"));
        return;
    }
    cli_print(cli, "  %-12s%s", "direct",
              json_get_str(status, "direct.endpoint", ""));
    if (rtt >= 0)
        cli_print(cli, ", %.1f ms", (double)rtt / 1000);
    cli_print(cli, "\n");
}

static void print_proxy(struct cli *cli, struct json_object *status)
{
    const char *error = json_get_str(status, "proxy.error", NULL);

    if (error)
        cli_print(cli, "  %-12snone: %s\n", "proxy", error);
    else if (json_get(status, "proxy"))
        cli_print(cli, "  %-12s%s%s, PAC file %s\n", "proxy",
                  json_get_str(status, "proxy.address", ""),
                  json_get_bool(status, "proxy.password", false)
                      ? " (with a password)"
                      : "",
                  json_get_str(status, "proxy.pac", ""));
}

/* Links to managers that end, with what still runs on them. */
static void print_former(struct cli *cli, struct json_object *list)
{
    size_t n = json_array_len(list);
    int64_t streams = 0;

    for (size_t i = 0; i < n; i++)
        streams +=
            json_get_int(json_object_array_get_idx(list, i), "streams", 0);
    if (n > 0)
        cli_print(cli, "  %-12s%zu link%s with %" PRId64 " connection%s\n",
                  "former", n, n == 1 ? "" : "s", streams,
                  streams == 1 ? "" : "s");
}

static void print_traffic(struct cli *cli, struct json_object *status)
{
    if (!json_get(status, "streams"))
        return;
    cli_print(cli,
              "  %-12s%" PRId64 " TCP, %" PRId64 " UDP; %" PRId64
              " opened, %" PRId64 " refused; %.1f MB in, %.1f MB out\n",
              "traffic", json_get_int(status, "streams.tcp", 0),
              json_get_int(status, "streams.udp", 0),
              json_get_int(status, "streams.opened", 0),
              json_get_int(status, "streams.refused", 0),
              (double)json_get_int(status, "bytes.in", 0) / 1e6,
              (double)json_get_int(status, "bytes.out", 0) / 1e6);
}

static void print_joined(struct cli *cli, struct json_object *joined)
{
    for (size_t i = 0; i < json_array_len(joined); i++) {
        struct json_object *item = json_object_array_get_idx(joined, i);

        if (!json_get_bool(item, "dead", false))
            cli_print(cli, "  %-12s%s\n", "container",
                      json_get_str(item, "name", ""));
    }
    daemon_warn_dead(cli, joined);
}

static void print_head(struct cli *cli, struct json_object *status)
{
    const char *state = json_get_str(status, "state", "");
    const char *name = json_get_str(status, "name", "");
    const char *to = !strcmp(state, "waiting") || !strcmp(state, "refused")
                         ? ": context "
                         : " to context ";

    if (!strcmp(state, "absent"))
        cli_print(cli, "%s: not connected\n", name);
    else if (!strcmp(state, "stopped"))
        cli_print(cli, "%s: not connected (its container is stopped)\n", name);
    else
        cli_print(cli, "%s: %s%s%s%s%s%s\n", name, state,
                  json_get(status, "link.silentMs")
                      ? " (the manager does not answer now)"
                      : "",
                  json_get(status, "context") ? to : "",
                  json_get_str(status, "context", ""),
                  json_get(status, "namespace") ? ", namespace " : "",
                  json_get_str(status, "namespace", ""));
}

static void print_status(struct cli *cli, struct json_object *status)
{
    int64_t retry = json_get_int(status, "retryIn", -1);

    print_head(cli, status);
    print_text(cli, "reason", json_get_str(status, "error", NULL));
    if (retry >= 0)
        cli_print(cli, "  %-12sin %" PRId64 " s\n", "next try", retry);
    print_text(cli, "server", json_get_str(status, "server", NULL));
    print_text(cli, "user", json_get_str(status, "user", NULL));
    print_since(cli, "since", json_get_int(status, "since", 0));
    print_link(cli, status);
    print_direct(cli, status);
    print_former(cli, json_get_array(status, "formerLinks"));
    print_text(cli, "manager", json_get_str(status, "manager.version", NULL));
    print_list(cli, "services", json_get_array(status, "subnets.service"));
    print_list(cli, "pods", json_get_array(status, "subnets.pod"));
    print_list(cli, "also", json_get_array(status, "subnets.also"));
    print_list(cli, "never", json_get_array(status, "subnets.never"));
    print_virtual(cli, json_get_array(status, "subnets.virtual"));
    print_rejected(cli, json_get_array(status, "subnets.rejected"));
    print_text(cli, "DNS", json_get_str(status, "dns.address", NULL));
    print_list(cli, "search", json_get_array(status, "dns.search"));
    print_list(cli, "included", json_get_array(status, "dns.suffixes"));
    print_list(cli, "excluded", json_get_array(status, "dns.excludes"));
    print_list(cli, "mapped", json_get_array(status, "dns.mappings"));
    print_list(cli, "namespaces",
               json_get_array(status, "dns.mappedNamespaces"));
    print_proxy(cli, status);
    print_text(cli, "hold", json_get_str(status, "hold", NULL));
    print_traffic(cli, status);
    print_joined(cli, json_get_array(status, "containers"));
}

/* A daemon without a session knows no reason: Docker does. */
static void explain_idle(struct json_object *status, const struct daemon *d)
{
    bool named = strcmp(d->name, DAEMON_NAME) != 0;
    char text[200];

    if (strcmp(json_get_str(status, "state", ""), "idle") != 0)
        return;
    snprintf(text, sizeof(text), "%s: run tp connect%s%s%s",
             d->restarted
                 ? "the container was restarted, and its session went with it"
                 : "the container runs without a session",
             named ? " --name " : "", named ? d->name : "",
             d->restarted ? " again" : "");
    json_object_object_add(status, "restarted",
                           json_object_new_boolean(d->restarted));
    json_put_str(status, "error", text);
    json_put_str(status, "code", d->restarted ? "restarted" : "no-session");
}

/* The status object of one daemon, with `containers`. Owned. */
static int collect(struct engine *e, const char *name, struct json_object **out,
                   struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("status");
    struct json_object *joined = NULL;
    struct daemon d;
    int rc = daemon_find(&d, e, name, err);

    *out = NULL;
    if (rc == 0 && d.state == DAEMON_RUNNING) {
        rc = daemon_ask(e, d.id, request, ASK_MS, out, NULL, err);
        if (rc == 0)
            explain_idle(*out, &d);
    } else if (rc == 0) {
        *out = json_object_new_object();
        json_put_str(*out, "state",
                     d.state == DAEMON_STOPPED ? "stopped" : "absent");
    }
    if (rc == 0)
        rc = daemon_list_joined(e, &d, true, &joined, err);
    if (rc == 0) {
        json_put_str(*out, "name", name);
        json_object_object_add(*out, "containers", joined);
    }
    daemon_release(&d);
    return rc;
}

static int show_one(struct cli *cli, struct engine *e, const char *name,
                    struct json_object *list, struct tp_error *err)
{
    struct json_object *status = NULL;
    int rc = collect(e, name, &status, err);

    if (rc < 0) {
        json_object_put(status);
        return rc;
    }
    json_object_array_add(list, status);
    print_status(cli, status);
    return strcmp(json_get_str(status, "state", ""), "connected")
               ? CLI_EXIT_NOT_CONNECTED
               : CLI_EXIT_OK;
}

static int show_all(struct cli *cli, struct engine *e, struct json_object *list,
                    struct tp_error *err)
{
    cleanup_json struct json_object *names = NULL;
    int worst = CLI_EXIT_OK, rc = daemon_list_names(e, &names, err);

    if (rc < 0)
        return rc;
    if (json_array_len(names) == 0) {
        cli_print(cli, "not connected\n");
        worst = CLI_EXIT_NOT_CONNECTED;
    }
    for (size_t i = 0; i < json_array_len(names); i++) {
        rc = show_one(
            cli, e, json_object_get_string(json_object_array_get_idx(names, i)),
            list, err);
        if (rc < 0)
            return rc;
        worst = rc > worst ? rc : worst;
    }
    return worst;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *list = json_object_new_array();
    cleanup_json struct json_object *out = json_object_new_object();
    const char *name = common_name(cli, err);
    bool all = cli_has(cli, "all");
    struct engine *e;
    int rc;

    if (!name)
        return -EINVAL;
    e = engine_open(err);
    if (!e)
        return cli_fail(cli, "no-docker", err);
    rc = all ? show_all(cli, e, list, err) : show_one(cli, e, name, list, err);
    engine_close(e);
    if (rc < 0)
        return rc;
    json_object_object_add(out, "sessions", json_object_get(list));
    cli_print_json(cli, all ? out : json_object_array_get_idx(list, 0));
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "all", .help = "show all sessions of this engine"},
    {0},
};

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "show the session: link, subnets, DNS, containers",
    .usage = "[flags]",
    .details = "Exit status: 0 if connected, 3 if not.\n",
    .options = options,
    .run = run,
};
