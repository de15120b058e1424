/* connect_session.c - the session of tp connect, and what is said about it */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/connect_internal.h"
#include "cli/helper.h"

#define END_TRIES 20

static int explain(struct connect *c, struct tp_error *err)
{
    const char *code = c->code ? c->code : "failed";

    c->refused = true;
    if (!strcmp(code, "busy")) {
        char text[300];

        /* What the daemon says up to its own advice. */
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(err->text, ";"),
                 err->text);
        tp_error_set(err, err->code,
                     "%s; end it by 'tp quit --name %s', or use another --name",
                     text, c->name);
    } else if (!strcmp(code, "refused") && strstr(err->text, "forbidden")) {
        char text[400];

        snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, err->text);
        tp_error_set(
            err, err->code,
            "%s: an administrator grants it by the ClusterRole tp-user", text);
    }
    return cli_fail(c->cli, code, err);
}

/* Why a daemon that was talked to does not answer any more. */
static int explain_end(struct connect *c, int rc, struct tp_error *err)
{
    cleanup_free char *log = NULL;
    struct daemon d = {0};
    bool gone = false;

    /* Docker shows it for a moment after its end. */
    for (int tries = 0; tries < END_TRIES && !gone; tries++) {
        daemon_release(&d);
        if (daemon_find(&d, c->engine, c->container, NULL) == 0)
            gone = d.state == DAEMON_ABSENT;
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_NS}, NULL);
    }
    if (gone)
        rc = tp_error_set(err, -EIO,
                          "the container '%s' was removed while connecting",
                          c->name);
    else if (d.state == DAEMON_STOPPED && c->made &&
             engine_container_log(c->engine, c->container, 3, &log, NULL) == 0)
        rc = tp_error_set(err, -EIO, "the container '%s' ended at once: %s",
                          c->name, log);
    daemon_release(&d);
    return rc;
}

static int begin_session(struct connect *c, bool *already, struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("connect");
    cleanup_json struct json_object *answer = NULL;
    int rc;

    json_object_object_add(request, "session", json_object_get(c->session));
    rc = daemon_ask(c->engine, c->container, request, CONNECT_ASK_MS, &answer,
                    &c->code, err);
    if (rc == -EPROTO)
        return explain(c, err);
    if (rc < 0)
        return rc;
    *already = json_get_bool(answer, "already", false);
    c->asked = !*already;
    return 0;
}

/* Takes one line of the answer to `wait`. 1: the status; 0: go on. */
static int take_line(struct connect *c, struct json_object *line,
                     struct tp_error *err)
{
    const char *progress = json_get_str(line, "progress", NULL);
    const char *error = json_get_str(line, "error", NULL);

    if (json_get(line, "state"))
        return 1;
    if (progress)
        cli_progress(c->cli, "%s ...", progress);
    if (!error)
        return 0;
    tp_error_set(err, -EPROTO, "%s", error);
    c->code = strdup(json_get_str(line, "code", "failed"));
    return explain(c, err);
}

static int wait_connected(struct connect *c, struct json_object **status,
                          struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("wait");
    long ms = client_config_ms(&c->config, CONFIG_CONNECT_TIMEOUT);
    struct daemon_ctl *ctl;
    int rc = 0;

    json_object_object_add(request, "timeout",
                           json_object_new_int64((ms + 999) / 1000));
    cli_progress(c->cli, "Connecting ...");
    ctl = daemon_ctl_open(c->engine, c->container, request, err);
    if (!ctl)
        return err->code;
    while (rc == 0) {
        cleanup_json struct json_object *line = NULL;

        rc = daemon_ctl_read(ctl, (int)ms + 10000, &line, err);
        if (rc == 0)
            rc = tp_error_set(err, -EIO, "the daemon ended unexpectedly");
        else if (rc > 0)
            rc = take_line(c, line, err);
        if (rc > 0)
            *status = json_object_get(line);
    }
    daemon_ctl_close(ctl);
    return rc < 0 ? rc : 0;
}

static bool list_has(struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)),
                    text))
            return true;
    }
    return false;
}

/* Flags of a second connect that the running session knows nothing of. */
static void warn_unused(struct connect *c, struct json_object *status)
{
    static const struct {
        const char *flag, *list;
    } flags[] = {{"also-proxy", "subnets.also"},
                 {"never-proxy", "subnets.never"},
                 {"dns-include", "dns.suffixes"},
                 {"dns-exclude", "dns.excludes"},
                 {"dns-mapping", "dns.mappings"},
                 {"mapped-namespaces", "dns.mappedNamespaces"}};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct json_object *list = json_get_array(status, flags[i].list);

        for (size_t n = 0; n < cli_count(c->cli, flags[i].flag); n++) {
            const char *value = cli_get_nth(c->cli, flags[i].flag, n);

            if (!list_has(list, value))
                cli_warn(c->cli,
                         "--%s %s is not in effect: the session runs already; "
                         "'tp quit' it first",
                         flags[i].flag, value);
        }
    }
}

static void warn_rejected(struct connect *c, struct json_object *status)
{
    struct json_object *list = json_get_array(status, "subnets.rejected");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        cli_warn(c->cli, "%s is not reached through the cluster: %s",
                 json_get_str(item, "subnet", ""),
                 json_get_str(item, "reason", ""));
    }
}

static void note_virtual(struct connect *c, struct json_object *status)
{
    struct json_object *list = json_get_array(status, "subnets.virtual");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        cli_note(c->cli, "%s is reached by name, as %s: %s",
                 json_get_str(item, "subnet", ""),
                 json_get_str(item, "virtual", ""),
                 json_get_str(item, "reason", ""));
    }
}

static void report(struct connect *c, struct json_object *status, bool already)
{
    if (already)
        warn_unused(c, status);
    else
        warn_rejected(c, status);
    note_virtual(c, status);
    json_object_object_add(status, "already", json_object_new_boolean(already));
    if (!already)
        proxy_option_add_login(&c->proxy, status);
    cli_print_json(c->cli, status);
    cli_print(c->cli, "%s to context %s, namespace %s (%s)\n",
              already ? "Already connected" : "Connected", c->kube.name,
              c->kube.namespace, c->kube.endpoint.server);
    if (!cli_is_quiet(c->cli) && !already)
        cli_print(c->cli,
                  "Join it: docker run --rm -it --network container:%s IMAGE\n",
                  c->name);
    if (!already)
        proxy_option_report(c->cli, status);
}

int connect_start_session(struct connect *c, struct tp_error *err)
{
    cleanup_json struct json_object *status = NULL;
    bool already = false;
    int rc;

    rc = connect_get_container(c, err);
    if (rc == 0)
        rc = begin_session(c, &already, err);
    if (rc == 0)
        rc = wait_connected(c, &status, err);
    if (rc < 0 && c->container && rc != -ECANCELED && !c->refused)
        rc = explain_end(c, rc, err);
    if (rc == 0 && helper_is_needed(&c->kube))
        rc = helper_start(&c->kube, c->container, err);
    if (rc == 0)
        report(c, status, already);
    return rc;
}
