/* cmd_gather_logs.c - tp gather-logs: what the parts of a session have said */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"
#include "cli/environment.h"

#define ASK_MS    40000
#define LOG_LINES 2000

static int write_text(struct engage *g, const char *dir, const char *name,
                      const char *text, struct json_object *files,
                      struct tp_error *err)
{
    cleanup_free char *path = NULL;
    int rc;

    if (asprintf(&path, "%s/%s.log", dir, name) < 0) {
        path = NULL;
        return tp_error_errno(err, -ENOMEM, "%s", name);
    }
    rc = environment_write(path, text, err);
    if (rc < 0)
        return rc;
    json_object_array_add(files, json_object_new_string(path));
    cli_print(g->cli, "%s\n", path);
    return 0;
}

static int write_daemon(struct engage *g, const char *dir,
                        struct json_object *files, struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("status");
    cleanup_json struct json_object *status = NULL;
    cleanup_free char *log = NULL;
    int rc = engage_ask(g, request, ASK_MS, &status, err);

    if (rc == 0)
        rc = write_text(
            g, dir, "status",
            json_object_to_json_string_ext(status, JSON_C_TO_STRING_PRETTY),
            files, err);
    if (rc == 0)
        rc = engine_container_log_text(g->engine, g->daemon.id, LOG_LINES, &log,
                                       err);
    return rc == 0 ? write_text(g, dir, "tp-daemon", log, files, err) : rc;
}

/* A pod's name is a DNS name: safe as a file's name. */
static bool is_plain(const char *name)
{
    return *name && *name != '.' && strlen(name) < 254 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") ==
               strlen(name);
}

static int write_agents(struct engage *g, const char *dir,
                        struct json_object *engagement,
                        struct json_object *files, struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("logs");
    cleanup_json struct json_object *answer = NULL;
    struct json_object *agents;
    int rc;

    json_put_str(request, "namespace",
                 json_get_str(engagement, "namespace", ""));
    json_put_str(request, "kind",
                 json_get_str(engagement, "workload.kind", ""));
    json_put_str(request, "name",
                 json_get_str(engagement, "workload.name", ""));
    rc = engage_ask(g, request, ASK_MS, &answer, err);
    agents = json_get_array(answer, "agents");
    for (size_t i = 0; rc == 0 && i < json_array_len(agents); i++) {
        struct json_object *agent = json_object_array_get_idx(agents, i);
        const char *pod = json_get_str(agent, "pod", "");

        if (is_plain(pod))
            rc = write_text(g, dir, pod, json_get_str(agent, "log", ""), files,
                            err);
    }
    return rc;
}

static int gather(struct engage *g, const char *dir, struct json_object *files,
                  struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("engagements");
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int rc = write_daemon(g, dir, files, err);

    if (rc == 0)
        rc = engage_ask(g, request, ASK_MS, &answer, err);
    list = json_get_array(answer, "engagements");
    for (size_t i = 0; rc == 0 && i < json_array_len(list); i++) {
        struct tp_error why = {0};

        if (write_agents(g, dir, json_object_array_get_idx(list, i), files,
                         &why) < 0)
            cli_warn(g->cli, "%s", why.text);
    }
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct json_object *files = json_object_new_array();
    const char *dir = cli_get_or(cli, "output", "tp-logs");
    struct engage g;
    int rc;

    json_object_object_add(out, "files", files);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return tp_error_errno(err, -errno, "%s", dir);
    rc = engage_open(&g, cli, err);
    if (rc == 0)
        rc = gather(&g, dir, files, err);
    engage_release(&g);
    if (rc == 0)
        cli_print_json(cli, out);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "output",
     .letter = 'o',
     .arg = "DIR",
     .help = "where the files go (default tp-logs)"},
    {0},
};

const struct cli_command cmd_gather_logs = {
    .name = "gather-logs",
    .summary = "write the logs of the daemon and of engaged pods to files",
    .usage = "[flags]",
    .details = "The status, the daemon's log, and for each engagement the "
               "recent lines of the\nagents in its pods. No environment and no "
               "credentials are in them.\n",
    .example = "  tp gather-logs\n"
               "  tp gather-logs --output /tmp/for-the-issue\n",
    .options = options,
    .run = run,
};
