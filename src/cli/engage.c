#include "cli/engage.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/common_options.h"

#define WAIT_DEFAULT_S 120
#define SLACK_MS       10000 /* the daemon's own time-out comes first */

int engage_open(struct engage *g, struct cli *cli, struct tp_error *err)
{
    const char *name = common_name(cli, err);
    int rc;

    *g = (struct engage){.cli = cli, .signals = -1};
    if (!name)
        return -EINVAL;
    g->engine = engine_open(err);
    if (!g->engine)
        return cli_fail(cli, "no-docker", err);
    rc = daemon_find(&g->daemon, g->engine, name, err);
    if (rc < 0)
        return rc;
    if (g->daemon.state == DAEMON_RUNNING)
        return 0;
    tp_error_set(err, -ENOTCONN, "not connected: run 'tp connect' first");
    return cli_fail(cli, "not-connected", err);
}

void engage_release(struct engage *g)
{
    daemon_release(&g->daemon);
    engine_close(g->engine);
    if (g->signals >= 0)
        close(g->signals);
}

static void awaited(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

int engage_catch_signals(struct engage *g, struct tp_error *err)
{
    sigset_t set;

    awaited(&set);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return tp_error_errno(err, -errno, "signals");
    g->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->signals < 0)
        return tp_error_errno(err, -errno, "signals");
    engine_set_cancel(g->engine, g->signals);
    return 0;
}

void engage_ignore_signals(struct engage *g)
{
    engine_set_cancel(g->engine, -1);
}

struct json_object *engage_named(const char *op, const char *name)
{
    struct json_object *request = daemon_request(op);

    json_put_str(request, "name", name);
    return request;
}

static int answer_failed(struct engage *g, struct json_object *line,
                         struct tp_error *err)
{
    tp_error_set(err, -EPROTO, "%s", json_get_str(line, "error", "failed"));
    return cli_fail(g->cli, json_get_str(line, "code", "failed"), err);
}

/* Lines of progress, then the one with the member `key`, which ends it. */
static int read_until(struct engage *g, struct daemon_ctl *ctl, int timeout_ms,
                      const char *key, struct json_object **out,
                      struct tp_error *err)
{
    for (;;) {
        cleanup_json struct json_object *line = NULL;
        int rc = daemon_ctl_read(ctl, timeout_ms, &line, err);

        if (rc == 0)
            rc = tp_error_set(err, -EPIPE, "the daemon ended the conversation");
        if (rc < 0)
            return rc;
        if (json_get(line, "error"))
            return answer_failed(g, line, err);
        if (json_get(line, key)) {
            *out = json_object_get(line);
            return 0;
        }
        cli_progress(g->cli, "%s ...", json_get_str(line, "progress", ""));
    }
}

static int converse(struct engage *g, struct json_object *line, int timeout_ms,
                    const char *key, struct json_object **out,
                    struct tp_error *err)
{
    struct daemon_ctl *ctl =
        daemon_ctl_open(g->engine, g->daemon.id, line, err);
    int rc;

    if (!ctl)
        return err->code;
    rc = read_until(g, ctl, timeout_ms, key, out, err);
    daemon_ctl_close(ctl);
    cli_progress(g->cli, NULL);
    return rc;
}

int engage_start(struct engage *g, struct json_object *request,
                 struct json_object **out, bool *already, struct tp_error *err)
{
    cleanup_json struct json_object *line = daemon_request("engage");
    cleanup_json struct json_object *answer = NULL;
    int64_t seconds = json_get_int(request, "timeout", WAIT_DEFAULT_S);
    int rc;

    *out = NULL;
    json_object_object_add(line, "engagement", json_object_get(request));
    json_object_object_add(line, "timeout", json_object_new_int64(seconds));
    rc = converse(g, line, (int)seconds * 1000 + SLACK_MS, "engagement",
                  &answer, err);
    if (rc < 0)
        return rc;
    *already = json_get_bool(answer, "already", false);
    *out = json_object_get(json_get(answer, "engagement"));
    return 0;
}

int engage_end(struct engage *g, const char *name, int seconds,
               struct json_object **out, struct tp_error *err)
{
    cleanup_json struct json_object *line =
        name ? engage_named("disengage", name)
             : daemon_request("disengage-all");

    *out = NULL;
    json_object_object_add(line, "timeout", json_object_new_int(seconds));
    return converse(g, line, seconds * 1000 + SLACK_MS, "ok", out, err);
}

int engage_ask(struct engage *g, struct json_object *request, int timeout_ms,
               struct json_object **out, struct tp_error *err)
{
    cleanup_free char *code = NULL;
    int rc = daemon_ask(g->engine, g->daemon.id, request, timeout_ms, out,
                        &code, err);

    return rc < 0 && code ? cli_fail(g->cli, code, err) : rc;
}

/* ---- how it is shown ---- */

void engage_print_local(struct cli *cli, struct json_object *local,
                        struct json_object *port)
{
    if (json_get(port, "local"))
        cli_print(cli, "-> %s:%d", json_get_str(local, "address", ""),
                  (int)json_get_int(port, "local", 0));
    else
        cli_print(cli, "is not delivered");
}

void engage_print_to_pod(struct cli *cli, const char *head,
                         struct json_object *local)
{
    struct json_object *list = json_get_array(local, "toPod");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        bool udp = !strcmp(json_get_str(item, "protocol", ""), "udp");
        int port = (int)json_get_int(item, "port", 0);

        cli_print(cli, "%s127.0.0.1:%d%s here is the pod's localhost:%d\n",
                  head, port, udp ? "/udp" : "", port);
    }
}
