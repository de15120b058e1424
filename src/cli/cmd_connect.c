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

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/apicheck.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/connect_internal.h"
#include "cli/publish.h"
#include "cli/session.h"
#include "kube/kubeconfig_url.h"

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

static int parse_proxy(struct connect *c, struct tp_error *err)
{
    const char *text = cli_get(c->cli, "proxy");
    bool auth = cli_has(c->cli, "proxy-auth");

    if (!text && auth)
        return tp_error_set(err, -EINVAL, "--proxy-auth is for --proxy");
    return text ? proxy_option_parse(&c->proxy, text, auth, c->exposed,
                                     c->bindings, err)
                : 0;
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

static int check_way(struct cli *cli, struct tp_error *err)
{
    const char *way = cli_get(cli, "link");

    if (!way || !strcmp(way, "auto") || !strcmp(way, "aggregated"))
        return 0;
    tp_error_set(err, -EINVAL, "--link %s: must be auto or aggregated", way);
    return cli_fail(cli, "usage", err);
}

static int read_settings(struct connect *c, struct tp_error *err)
{
    int rc;

    c->name = common_name(c->cli, err);
    if (!c->name)
        return -EINVAL;
    rc = parse_publish(c, err);
    if (rc == 0)
        rc = parse_proxy(c, err);
    if (rc == 0)
        rc = check_way(c->cli, err);
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
    in.link = cli_get(c->cli, "link");
    in.proxy = c->proxy.session;
    in.volumes = c->volume ? c->volumes.keys : NULL;
    c->session = session_build(&in, err);
    return c->session ? 0 : err->code;
}

/* ---- all of it ---- */

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
        daemon_ask(c->engine, c->container, request, CONNECT_ASK_MS, &answer,
                   NULL, &err);
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
    rc = connect_start_session(c, err);
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
    proxy_option_release(&c->proxy);
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
    {.name = "proxy",
     .arg = "[ADDR:]PORT",
     .help = "SOCKS 5 and HTTP proxy for this machine's programs"},
    {.name = "proxy-auth",
     .help = "the proxy asks for a password, made at random"},
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
    {.name = "link",
     .arg = "WAY",
     .help = "auto: past the API server if that works; aggregated: never"},
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
               "  tp connect --proxy 1080\n"
               "  docker run --rm -it --network container:tp-daemon myimage\n",
    .options = options,
    .run = run,
};
