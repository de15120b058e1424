/*
 * cmd_connect.c - tp connect
 *
 * Everything that can be wrong without a container is asked first. What this
 * call makes it removes again if it fails or is interrupted; signals arrive by
 * a descriptor (signalfd) from the first thing made on.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/apicheck.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/container.h"
#include "cli/daemon.h"
#include "cli/former.h"
#include "cli/helper.h"
#include "cli/image.h"
#include "cli/publish.h"
#include "cli/session.h"
#include "cli/volume_plugin.h"
#include "kube/kubeconfig_url.h"

#define ASK_MS         20000
#define MAX_NETWORKS   16
#define START_TRIES    200
#define END_TRIES      20
#define START_PAUSE_NS 50000000L

struct connect {
    struct cli *cli;
    const char *name;
    struct kube_context kube;
    struct client_config config;
    struct kube_credentials plugin;
    struct engine *engine;
    struct daemon daemon;
    struct reach reach;
    struct volume_plugin volumes;
    char *volume; /* the control volume, or NULL: volumes are not offered */
    struct json_object *exposed, *bindings, *hosts;
    struct json_object *session;
    char *container; /* id of the one that is used */
    bool made;       /* by this call */
    bool asked;      /* a session was begun in it by this call */
    bool refused;    /* the daemon itself said why */
    int signals;     /* signalfd, or -1 */
    char *code;
};

/* ---- flags ---- */

static int parse_publish(struct connect *c, struct tp_error *err)
{
    c->exposed = json_object_new_object();
    c->bindings = json_object_new_object();
    for (size_t i = 0; i < cli_count(c->cli, "publish"); i++) {
        int rc = publish_parse(cli_get_nth(c->cli, "publish", i), c->exposed,
                               c->bindings, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_hosts(struct connect *c, struct tp_error *err)
{
    const char *name = cli_get(c->cli, "hostname");

    if (name && !publish_hostname_valid(name))
        return tp_error_set(err, -EINVAL,
                            "--hostname: '%s' cannot be the name of a host",
                            name);
    c->hosts = json_object_new_array();
    for (size_t i = 0; i < cli_count(c->cli, "add-host"); i++) {
        const char *text = cli_get_nth(c->cli, "add-host", i);

        if (!publish_host_valid(text))
            return tp_error_set(err, -EINVAL,
                                "--add-host: '%s' is not NAME:ADDRESS", text);
        json_object_array_add(c->hosts, json_object_new_string(text));
    }
    return 0;
}

static int read_settings(struct connect *c, struct tp_error *err)
{
    int rc;

    c->name = common_name(c->cli, err);
    if (!c->name)
        return -EINVAL;
    rc = parse_publish(c, err);
    if (rc == 0)
        rc = parse_hosts(c, err);
    if (rc == 0)
        rc = common_load_kube(c->cli, &c->kube, err);
    if (rc == 0)
        rc = common_load_config(c->cli, &c->kube, &c->config, err);
    return rc;
}

/* ---- before anything is made ---- */

static int find_container(struct connect *c, struct tp_error *err)
{
    int rc;

    c->engine = engine_open(err);
    if (!c->engine) {
        cli_fail(c->cli, "no-docker", err);
        return err->code;
    }
    rc = daemon_find(&c->daemon, c->engine, c->name, err);
    if (rc == 0 && c->daemon.state == DAEMON_FOREIGN) {
        tp_error_set(err, -EEXIST,
                     "the name '%s' is taken by a container that is not tp's; "
                     "use --name, or remove it",
                     c->name);
        rc = cli_fail(c->cli, "name-taken", err);
    }
    return rc;
}

/* Volumes are an offer: what is wrong with their plugin is said, no more. */
static int find_volumes(struct connect *c, struct tp_error *err)
{
    const struct volume_plugin *p = &c->volumes;
    bool runs = c->daemon.state == DAEMON_RUNNING;
    int rc = volume_plugin_find(&c->volumes, c->engine, err);

    if (rc < 0 || p->state == PLUGIN_ABSENT)
        return rc;
    if (p->state == PLUGIN_DISABLED)
        cli_note(c->cli,
                 "no volumes: the Docker plugin is disabled (docker plugin "
                 "enable %s)",
                 p->name);
    else if (!p->ours)
        cli_note(c->cli,
                 "no volumes: the Docker plugin %s has keys that are not ours "
                 "(tp volume install)",
                 p->name);
    else if (runs && !c->daemon.has_volumes)
        cli_note(c->cli,
                 "no volumes: the container '%s' is older than the "
                 "volume plugin; run tp quit and tp connect",
                 c->name);
    else
        c->volume = volume_control_name(c->name);
    return 0;
}

static int check_cluster(struct connect *c, struct tp_error *err)
{
    const struct kube_credentials *plugin = NULL;
    const char *code = NULL;
    int rc;

    if (c->kube.exec) {
        cli_progress(c->cli, "Running %s ...", c->kube.exec->argv[0]);
        rc = kube_exec_run(c->kube.exec, false, &c->plugin, err);
        if (rc < 0)
            return cli_fail(c->cli, "unauthorized", err);
        plugin = &c->plugin;
    }
    cli_progress(c->cli, "Asking the API server %s ...",
                 c->kube.endpoint.server);
    rc = api_check(&c->kube, plugin, &code, err);
    return rc < 0 ? cli_fail(c->cli, code, err) : 0;
}

/* Where the container has to dial: the proxy, if there is one. */
static int find_way(struct connect *c, struct tp_error *err)
{
    const struct kube_endpoint *ep = &c->kube.endpoint;
    cleanup_free char *host = NULL, *path = NULL;
    struct kube_proxy proxy;
    unsigned short port;
    int rc;

    if (ep->proxy_url && *ep->proxy_url) {
        rc = kube_proxy_split(ep->proxy_url, &proxy, err);
        if (rc == 0)
            rc = reach_find(&c->reach, c->engine, "proxy", proxy.host,
                            proxy.port, err);
        kube_proxy_release(&proxy);
        return rc < 0 ? cli_fail(c->cli, "unreachable", err) : 0;
    }
    rc = kube_server_split(ep->server, &host, &port, &path, err);
    if (rc == 0)
        rc = reach_find(&c->reach, c->engine, "API server", host, port, err);
    return rc < 0 ? cli_fail(c->cli, "unreachable", err) : 0;
}

static int build_session(struct connect *c, struct tp_error *err)
{
    cleanup_json struct json_object *subnets = NULL;
    struct session_input in = {.name = c->name,
                               .kube = &c->kube,
                               .plugin = c->kube.exec ? &c->plugin : NULL,
                               .config = &c->config,
                               .reach = &c->reach};
    int rc = reach_host_subnets(c->engine, &subnets, err);

    if (rc < 0)
        return rc;
    in.host_subnets = subnets;
    in.volumes = c->volume ? c->volumes.keys : NULL;
    c->session = session_build(&in, err);
    return c->session ? 0 : err->code;
}

/* ---- the container ---- */

/* From here on Ctrl-C is a readable descriptor. */
static int catch_signals(struct connect *c, struct tp_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return tp_error_errno(err, -errno, "signals");
    c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (c->signals < 0)
        return tp_error_errno(err, -errno, "signals");
    engine_set_cancel(c->engine, c->signals);
    return 0;
}

/* Who joined a former life of the container does not come back by itself. */
static void warn_dead(struct connect *c)
{
    cleanup_json struct json_object *joined = NULL;

    if (daemon_list_joined(c->engine, &c->daemon, false, &joined, NULL) == 0)
        daemon_warn_dead(c->cli, joined);
}

static int replace_leftover(struct connect *c, struct tp_error *err)
{
    if (c->daemon.state != DAEMON_STOPPED)
        return 0;
    warn_dead(c);
    return engine_container_remove(c->engine, c->daemon.id, err);
}

static int make_container(struct connect *c, struct tp_error *err)
{
    const char *networks[MAX_NETWORKS + 2] = {NULL};
    struct container_options o = {.name = c->name,
                                  .hostname = cli_get(c->cli, "hostname"),
                                  .networks = networks,
                                  .exposed = c->exposed,
                                  .bindings = c->bindings,
                                  .hosts = c->hosts,
                                  .volume = c->volume,
                                  .volume_driver = c->volumes.name};
    size_t count = 0, asked = cli_count(c->cli, "network");
    int rc;

    if (asked > MAX_NETWORKS)
        return tp_error_set(err, -E2BIG, "too many --network");
    if (c->reach.network && c->reach.sole)
        o.network = c->reach.network;
    else if (c->reach.network)
        networks[count++] = c->reach.network;
    for (size_t i = 0; i < asked; i++) {
        const char *name = cli_get_nth(c->cli, "network", i);

        if (!c->reach.network || strcmp(name, c->reach.network) != 0)
            networks[count++] = name;
    }
    rc = image_ensure(c->cli, c->engine, &o.image, err);
    if (rc == 0)
        rc = replace_leftover(c, err);
    if (rc < 0)
        return rc;
    cli_progress(c->cli, "Starting the container %s ...", c->name);
    rc = container_start(c->engine, &o, &c->container, err);
    c->made = rc == 0;
    if (c->made)
        former_note(c->name, c->container);
    return rc;
}

/* Flags that say how the container is made do nothing for one that runs. */
static int use_container(struct connect *c, struct tp_error *err)
{
    static const char *const flags[] = {"publish", "hostname", "add-host",
                                        "network"};

    c->container = strdup(c->daemon.id);
    if (c->daemon.restarted)
        warn_dead(c);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (cli_has(c->cli, flags[i]))
            cli_warn(c->cli,
                     "--%s does nothing: the container '%s' runs already; "
                     "'tp quit' it first",
                     flags[i], c->name);
    }
    return c->container ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

/* What another tp connect has made and not started yet is no leftover. */
static void await_start(struct connect *c)
{
    for (int tries = 0; tries < START_TRIES && c->daemon.unstarted; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = START_PAUSE_NS}, NULL);
        daemon_release(&c->daemon);
        if (daemon_find(&c->daemon, c->engine, c->name, NULL) < 0)
            return;
    }
}

/* The name is taken as soon as somebody else begins to make his container. */
static void await_other(struct connect *c)
{
    for (int tries = 0;
         tries < START_TRIES && c->daemon.state != DAEMON_RUNNING; tries++) {
        if (tries > 0)
            nanosleep(&(struct timespec){.tv_nsec = START_PAUSE_NS}, NULL);
        daemon_release(&c->daemon);
        if (daemon_find(&c->daemon, c->engine, c->name, NULL) < 0)
            return;
    }
}

static int get_container(struct connect *c, struct tp_error *err)
{
    int rc;

    await_start(c);
    if (c->daemon.state == DAEMON_RUNNING)
        return use_container(c, err);
    rc = make_container(c, err);
    if (rc != -EEXIST)
        return rc;
    /* Somebody was faster; his container is as good. */
    await_other(c);
    if (c->daemon.state == DAEMON_RUNNING)
        return use_container(c, err);
    tp_error_set(err, rc,
                 "another tp connect is just making the container '%s', which "
                 "does not run yet: try again",
                 c->name);
    return cli_fail(c->cli, "busy", err);
}

/* ---- the session ---- */

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
        nanosleep(&(struct timespec){.tv_nsec = START_PAUSE_NS}, NULL);
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
    rc = daemon_ask(c->engine, c->container, request, ASK_MS, &answer, &c->code,
                    err);
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
    cli_print_json(c->cli, status);
    cli_print(c->cli, "%s to context %s, namespace %s (%s)\n",
              already ? "Already connected" : "Connected", c->kube.name,
              c->kube.namespace, c->kube.endpoint.server);
    if (!cli_is_quiet(c->cli) && !already)
        cli_print(c->cli,
                  "Join it: docker run --rm -it --network container:%s IMAGE\n",
                  c->name);
}

static int start_session(struct connect *c, struct tp_error *err)
{
    cleanup_json struct json_object *status = NULL;
    bool already = false;
    int rc;

    rc = get_container(c, err);
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

/* Removes what this call made. */
static void undo(struct connect *c)
{
    cleanup_json struct json_object *request = daemon_request("disconnect");
    cleanup_json struct json_object *answer = NULL;
    struct tp_error err = {0};

    engine_set_cancel(c->engine, -1);
    if (c->made)
        engine_container_remove(c->engine, c->container, NULL);
    else if (c->asked)
        daemon_ask(c->engine, c->container, request, ASK_MS, &answer, NULL,
                   &err);
}

static int connect_all(struct connect *c, struct tp_error *err)
{
    int rc = read_settings(c, err);

    if (rc < 0)
        return cli_fail(c->cli, "invalid", err);
    rc = find_container(c, err);
    if (rc == 0)
        rc = find_volumes(c, err);
    if (rc == 0)
        rc = check_cluster(c, err);
    if (rc == 0)
        rc = find_way(c, err);
    if (rc == 0)
        rc = build_session(c, err);
    if (rc == 0)
        rc = catch_signals(c, err);
    if (rc < 0)
        return rc;
    rc = start_session(c, err);
    if (rc < 0)
        undo(c);
    return rc;
}

static void release(struct connect *c)
{
    kube_context_release(&c->kube);
    kube_credentials_release(&c->plugin);
    client_config_release(&c->config);
    engine_close(c->engine);
    daemon_release(&c->daemon);
    reach_release(&c->reach);
    volume_plugin_release(&c->volumes);
    free(c->volume);
    json_object_put(c->exposed);
    json_object_put(c->bindings);
    json_object_put(c->hosts);
    json_object_put(c->session);
    free(c->container);
    free(c->code);
    if (c->signals >= 0)
        close(c->signals);
}

static int run(struct cli *cli, struct tp_error *err)
{
    struct connect c = {.cli = cli, .signals = -1};
    int rc = connect_all(&c, err);

    if (rc == -ECANCELED)
        cli_fail(cli, "interrupted", err);
    release(&c);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    OPTIONS_KUBE,
    OPTION_MANAGER_NAMESPACE,
    {.name = "publish",
     .letter = 'p',
     .arg = "[IP:][PORT:]PORT",
     .help = "publish a port of the joined containers, as docker's -p",
     .repeatable = true},
    {.name = "hostname",
     .arg = "NAME",
     .help = "hostname that the joined containers see"},
    {.name = "add-host",
     .arg = "NAME:IP",
     .help = "add a line to their /etc/hosts",
     .repeatable = true},
    {.name = "network",
     .arg = "NETWORK",
     .help = "join this Docker network as well",
     .repeatable = true},
    OPTIONS_ROUTING,
    OPTIONS_DNS,
    {.name = "timeout",
     .arg = "TIME",
     .help = "how long to wait for the session (default 30s)"},
    {.name = "as", .arg = "USER", .help = "impersonate this user"},
    {.name = "as-group",
     .arg = "GROUP",
     .help = "impersonate this group",
     .repeatable = true},
    {0},
};

const struct cli_command cmd_connect = {
    .name = "connect",
    .summary = "connect a container's network to the cluster",
    .usage = "[flags]",
    .details =
        "Starts the container tp-daemon, whose network other containers join "
        "by\n--network container:tp-daemon: in it the cluster's services, pods "
        "and names are\nreached as from a pod of the namespace. The cluster "
        "needs the chart ('tp helm\ninstall', once).\n\nConnecting twice says "
        "so and succeeds. Ports are published at connect, because\na container "
        "that joins another's network cannot publish any.\n",
    .example = "  tp connect\n"
               "  tp connect -n team-a --publish 8080:8080\n"
               "  docker run --rm -it --network container:tp-daemon myimage\n",
    .options = options,
    .run = run,
};
