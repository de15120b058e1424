/*
 * cmd_engage.c - tp intercept, replace, mirror, ingest
 *
 * Engages, then tells what it did; with a command behind "--" runs it and ends
 * the engagement with it. Whatever fails on the way, and Ctrl-C, takes back
 * what this call engaged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/client_config.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/docker_run.h"
#include "cli/engage.h"
#include "cli/engage_limits.h"
#include "cli/engage_options.h"
#include "cli/engage_volumes.h"
#include "cli/environment.h"
#include "cli/host_mount.h"
#include "cli/program.h"

#define ASK_MS 40000

struct run {
    struct engage g;
    const char *type;
    const char *name; /* of the engagement */
    struct json_object *request, *local, *env;
    struct limits limits; /* of the container, with --limits */
    char **words;         /* the command; NULL: none */
    struct host_mount mount;
    bool already;
};

/* ---- what is said ---- */

static void print_port(struct cli *cli, struct json_object *local,
                       struct json_object *port)
{
    const char *udp =
        !strcmp(json_get_str(port, "protocol", ""), "udp") ? "/udp" : "";
    const char *name = json_get_str(port, "name", "");

    cli_print(cli, "  %-12s%d%s%s%s%s ", "port",
              (int)json_get_int(port, "port", 0), udp, *name ? " (" : "", name,
              *name ? ")" : "");
    engage_print_local(cli, local, port);
    cli_print(cli, "\n");
}

static void print_engagement(struct run *r)
{
    struct cli *cli = r->g.cli;
    struct json_object *ports = json_get_array(r->local, "ports");
    const char *message = json_get_str(r->local, "message", "");
    const char *warning = json_get_str(r->local, "warning", "");

    cli_print(cli, "%s %s %s in namespace %s (container %s, %d pod%s)%s\n",
              r->type, json_get_str(r->local, "workload.kind", ""),
              json_get_str(r->local, "workload.name", ""),
              json_get_str(r->local, "namespace", ""),
              json_get_str(r->local, "container", "?"),
              (int)json_get_int(r->local, "pods", 0),
              json_get_int(r->local, "pods", 0) == 1 ? "" : "s",
              r->already ? ", as before" : "");
    for (size_t i = 0; i < json_array_len(ports); i++)
        print_port(cli, r->local, json_object_array_get_idx(ports, i));
    engage_print_to_pod(cli, "  to-pod      ", r->local);
    host_mount_print(&r->mount, cli);
    if (*message)
        cli_print(cli, "  %-12s%s\n", "note", message);
    if (*warning)
        cli_warn(cli, "%s", warning);
}

/* ---- environment ---- */

static bool wants_environment(const struct run *r)
{
    return r->words || cli_has(r->g.cli, "env-file") ||
           cli_has(r->g.cli, "env-json");
}

static int write_environment(struct run *r, const char *path,
                             const char *syntax, struct tp_error *err)
{
    cleanup_free char *text = NULL;
    char names[300];
    size_t skipped;

    if (!path)
        return 0;
    text = environment_format(r->env, syntax, &skipped);
    if (!text)
        return tp_error_errno(err, -ENOMEM, "%s", path);
    if (skipped > 0) {
        environment_left_out(r->env, syntax, names, sizeof(names));
        cli_warn(r->g.cli,
                 "%s: the syntax '%s' cannot say %s, left out (--env-syntax "
                 "compose or json can)",
                 names, syntax, skipped == 1 ? "this variable" : "these");
    }
    return environment_write(path, text, err);
}

static int fetch_environment(struct run *r, struct tp_error *err)
{
    cleanup_json struct json_object *request =
        engage_named("environment", r->name);
    cleanup_json struct json_object *answer = NULL;
    struct cli *cli = r->g.cli;
    int rc = engage_ask(&r->g, request, ASK_MS, &answer, err);
    size_t odd;

    if (rc < 0)
        return rc;
    r->env = json_object_get(json_get(answer, "environment"));
    if (!json_object_is_type(r->env, json_type_object))
        return tp_error_set(err, -EBADMSG,
                            "the pod's environment cannot be read: %s",
                            json_get_str(answer, "error", "no answer"));
    if (!r->words || !docker_run_is(r->words))
        host_mount_put_environment(&r->mount, r->env);
    odd = environment_count_odd(r->env);
    if (odd > 0)
        cli_note(cli, "%zu variables with odd names are left out", odd);
    rc = write_environment(r, cli_get(cli, "env-file"),
                           cli_get_or(cli, "env-syntax", "docker"), err);
    return rc < 0 ? rc
                  : write_environment(r, cli_get(cli, "env-json"), "json", err);
}

/* ---- the command ---- */

/* Docker volumes for what the user's own flags leave. */
static int make_volumes(struct run *r, struct json_object **out,
                        struct tp_error *err)
{
    struct docker_run d;
    int rc = docker_run_build(&d, r->words, "", NULL, NULL, NULL, err);

    if (rc == 0)
        rc = engage_volumes_make(&r->g, r->name, d.own_mounts, out, err);
    docker_run_release(&d);
    return rc;
}

static int run_docker(struct run *r, bool *detached, struct tp_error *err)
{
    cleanup_json struct json_object *volumes = NULL;
    struct docker_run d;
    int rc = make_volumes(r, &volumes, err);

    if (rc < 0)
        return rc;
    rc = docker_run_build(&d, r->words, r->g.daemon.name, r->env, &r->limits,
                          volumes, err);
    *detached = d.detached;
    if (rc == 0 && d.left_out > 0)
        cli_note(r->g.cli, "%zu variables cannot be handed to docker",
                 d.left_out);
    if (rc == 0)
        rc = program_run(d.argv[0], d.argv, d.envp, -1, err);
    docker_run_release(&d);
    return rc;
}

static int run_here(struct run *r, struct tp_error *err)
{
    size_t left_out;
    char **envp = docker_run_environ(r->env, &left_out);
    int rc;

    if (!envp)
        return tp_error_errno(err, -ENOMEM, "environment");
    if (left_out > 0)
        cli_note(r->g.cli,
                 "%zu variables that steer programs of this machine are left "
                 "out",
                 left_out);
    rc = program_run(r->words[0], r->words, envp, -1, err);
    docker_run_free_words(envp);
    return rc;
}

/* Before the engagement ends: what was written goes through it. A second Ctrl-C
 * does not wait for that. */
static void unmount(struct run *r)
{
    struct signalfd_siginfo info;
    struct tp_error err = {0};

    while (r->g.signals >= 0 &&
           read(r->g.signals, &info, sizeof(info)) == sizeof(info))
        ;
    if (mount_record_end(r->g.cli, r->g.daemon.id, r->name, r->g.signals,
                         &err) < 0)
        cli_warn(r->g.cli, "%s", err.text);
}

static void disengage(struct run *r)
{
    cleanup_json struct json_object *answer = NULL;
    struct tp_error err = {0};
    char code[sizeof(r->g.cli->error_code)];

    /* The reason why it is ended stays the command's. */
    memcpy(code, r->g.cli->error_code, sizeof(code));
    engage_ignore_signals(&r->g);
    unmount(r);
    if (engage_end(&r->g, r->name, 0, &answer, &err) < 0) {
        if (r->local)
            cli_warn(r->g.cli, "%s is not ended: %s", r->name, err.text);
    } else if (json_get_bool(answer, "pending", false)) {
        cli_warn(r->g.cli,
                 "the manager does not answer now: %s will be ended in the "
                 "cluster when the link is back",
                 r->name);
    }
    if (r->words && docker_run_is(r->words))
        engage_volumes_remove(r->g.cli, r->g.engine, r->g.daemon.name, r->name);
    memcpy(r->g.cli->error_code, code, sizeof(code));
}

static int run_command(struct run *r, struct tp_error *err)
{
    bool detached = false;
    int rc = docker_run_is(r->words) ? run_docker(r, &detached, err)
                                     : run_here(r, err);

    if (rc < 0 || !detached)
        disengage(r);
    else
        cli_note(r->g.cli,
                 "the container runs detached; 'tp detach %s' ends "
                 "the engagement",
                 r->name);
    return rc;
}

/* ---- the story ---- */

/* What follows the workload; --docker-run: those are docker's arguments. */
static int take_command(struct run *r, struct tp_error *err)
{
    struct cli *cli = r->g.cli;
    char **args = cli_args(cli) + 1;
    size_t n = cli_arg_count(cli) - 1;
    static char docker[] = "docker", verb[] = "run";

    if (!cli_has(cli, "docker-run") && n == 0)
        return 0;
    r->words = calloc(n + 3, sizeof(*r->words));
    if (!r->words)
        return tp_error_errno(err, -ENOMEM, "command");
    if (cli_has(cli, "docker-run")) {
        r->words[0] = docker;
        r->words[1] = verb;
        memcpy(r->words + 2, args, n * sizeof(*args));
    } else {
        memcpy(r->words, args, n * sizeof(*args));
    }
    return 0;
}

/* Mistakes of the command line are found before anything is done. */
static int check_command(struct run *r, struct tp_error *err)
{
    struct docker_run d;
    int rc;

    if (!r->words || !docker_run_is(r->words))
        return cli_has(r->g.cli, "limits")
                   ? tp_error_set(err, -EINVAL,
                                  "--limits is for a container that tp starts: "
                                  "-- docker run IMAGE")
                   : 0;
    rc = docker_run_build(&d, r->words, "x", NULL, NULL, NULL, err);
    docker_run_release(&d);
    return rc;
}

/* "-" is standard output, which then holds nothing else. */
static int check_streams(struct cli *cli, struct tp_error *err)
{
    bool file = !strcmp(cli_get_or(cli, "env-file", ""), "-");
    bool json = !strcmp(cli_get_or(cli, "env-json", ""), "-");

    if (file && json)
        return tp_error_set(err, -EINVAL,
                            "--env-file and --env-json cannot both be '-'");
    if (file || json)
        cli_results_aside(cli);
    return 0;
}

static int read_line(struct run *r, struct tp_error *err)
{
    const char *wait = cli_get(r->g.cli, "timeout");
    long ms = wait ? client_config_parse_duration(wait) : 120000;
    int rc;

    r->request = engage_request(r->g.cli, r->type, err);
    if (!r->request)
        return -EINVAL;
    r->name = json_get_str(r->request, "name", "");
    if (ms <= 0)
        return tp_error_set(err, -EINVAL, "--timeout %s: not a time (30s, 5m)",
                            wait);
    json_object_object_add(r->request, "timeout",
                           json_object_new_int64((ms + 999) / 1000));
    rc = check_streams(r->g.cli, err);
    if (rc == 0)
        rc = host_mount_parse(&r->mount, r->g.cli, err);
    if (rc == 0)
        rc = take_command(r, err);
    return rc < 0 ? rc : check_command(r, err);
}

/* The name is another engagement's, which is not to be ended for that. */
static bool is_of_another(const struct run *r)
{
    const char *code = r->g.cli->error_code;

    return r->already || !strcmp(code, "name-taken") || !strcmp(code, "busy");
}

static int engage_and_run(struct run *r, struct tp_error *err)
{
    int rc = engage_catch_signals(&r->g, err);

    if (rc == 0)
        rc = host_mount_prepare(&r->mount, &r->g, r->name, err);
    if (rc < 0)
        return rc; /* nothing is engaged yet */
    rc = engage_start(&r->g, r->request, &r->local, &r->already, err);
    if (rc == 0)
        rc = host_mount_start(&r->mount, &r->g, r->local, err);
    if (rc == 0 && wants_environment(r))
        rc = fetch_environment(r, err);
    if (rc == 0 && cli_has(r->g.cli, "limits"))
        rc = engage_limits_fetch(&r->g, r->name, &r->limits, err);
    if (rc < 0) {
        if (!is_of_another(r))
            disengage(r);
        return rc;
    }
    if (r->words) { /* standard output is the command's */
        cli_note(r->g.cli, "%s of %s is ready", r->type, r->name);
        return run_command(r, err);
    }
    print_engagement(r);
    host_mount_put_json(&r->mount, r->local);
    cli_print_json(r->g.cli, r->local);
    return 0;
}

static int run_type(struct cli *cli, const char *type, struct tp_error *err)
{
    struct run r = {.type = type, .g = {.cli = cli, .signals = -1}};
    int rc = read_line(&r, err);

    if (rc < 0)
        cli_fail(cli, "invalid", err);
    else
        rc = engage_open(&r.g, cli, err);
    if (rc == 0)
        rc = engage_and_run(&r, err);
    if (rc == -ECANCELED)
        cli_fail(cli, "interrupted", err);
    engage_release(&r.g);
    host_mount_release(&r.mount);
    json_object_put(r.request);
    json_object_put(r.local);
    json_object_put(r.env);
    free(r.words);
    return rc;
}

/* ---- the tables ---- */

static const char *const volume_modes[] = {"rw", "ro", "off", NULL};

#define OPTIONS_ENGAGE                                                         \
    OPTION_NAME,                                                               \
        {.name = "namespace",                                                  \
         .letter = 'n',                                                        \
         .arg = "NS",                                                          \
         .help = "namespace of the workload (default: the session's)"},        \
        {.name = "to-pod",                                                     \
         .arg = "PORT[/udp]",                                                  \
         .help = "make this port of the pod's localhost reachable here",       \
         .repeatable = true},                                                  \
        {.name = "env-file",                                                   \
         .letter = 'e',                                                        \
         .arg = "FILE",                                                        \
         .help =                                                               \
             "write the container's variables to this file ('-': standard "    \
             "output, all else goes to standard error)"},                      \
        {.name = "env-syntax",                                                 \
         .arg = "SYNTAX",                                                      \
         .help = "of --env-file: docker, compose, sh or json",                 \
         .choices = environment_syntaxes},                                     \
        {.name = "env-json",                                                   \
         .letter = 'j',                                                        \
         .arg = "FILE",                                                        \
         .help = "write them as a JSON object"},                               \
        {.name = "as-name",                                                    \
         .arg = "NAME",                                                        \
         .help = "what the engagement is called here (default: WORKLOAD)"},    \
        {.name = "docker-run",                                                 \
         .help = "what follows '--' are arguments of 'docker run'"},           \
        {.name = "limits",                                                     \
         .help = "give that container the limits of cpu and memory of the "    \
                 "one in the cluster"},                                        \
        {.name = "mount",                                                      \
         .arg = "DIRECTORY[:ro]",                                              \
         .help = "mount the container's volumes below this directory"},        \
        {.name = "local-mount-port",                                           \
         .arg = "PORT",                                                        \
         .help = "serve them by SFTP on 127.0.0.1:PORT of this host"},         \
        {.name = "volumes",                                                    \
         .arg = "MODE",                                                        \
         .help = "of the container: rw, ro (nothing can be written) or off "   \
                 "(not in 'docker run'); default: rw, as the cluster allows",  \
         .choices = volume_modes},                                             \
        {.name = "timeout",                                                    \
         .arg = "TIME",                                                        \
         .help = "how long to wait until it is ready (default 120s)"},         \
    {                                                                          \
        .name = "yes", .letter = 'y',                                          \
        .help = "do not ask before pods are interrupted"                       \
    }

#define OPTION_CONTAINER(which)                                                \
    {                                                                          \
        .name = "container", .arg = "NAME",                                    \
        .help = "container of the pod (default: " which ")"                    \
    }

#define OPTIONS_TRAFFIC                                                        \
    {.name = "port",                                                           \
     .letter = 'p',                                                            \
     .arg = "LOCAL[:REMOTE]",                                                  \
     .help = "local port, and the port's name or number there (8080:http; "    \
             "53:53/udp); LOCAL alone: the only port, or the same number",     \
     .repeatable = true},                                                      \
        {.name = "address",                                                    \
         .arg = "HOST",                                                        \
         .help = "deliver to this host or container (default 127.0.0.1)"},     \
        {.name = "service",                                                    \
         .arg = "NAME",                                                        \
         .help = "the Service that REMOTE belongs to"},                        \
        {.name = "no-local-shortcut",                                          \
         .help = "calls from here to what is taken over go through the "       \
                 "cluster, too"},                                              \
    {                                                                          \
        .name = "force",                                                       \
        .help = "take over from whoever holds it (needs the right to)"         \
    }

static const struct cli_option traffic_options[] = {
    OPTIONS_TRAFFIC,
    OPTION_CONTAINER("the one that has the port"),
    OPTIONS_ENGAGE,
    {0}};
static const struct cli_option ingest_options[] = {
    OPTION_CONTAINER("the only one, or the one that Services lead to"),
    OPTIONS_ENGAGE,
    {0}};

#define DETAILS_COMMAND                                                        \
    "\nA command behind '--' gets the container's variables; 'docker run' "    \
    "starts its\ncontainer in the session's network. The engagement ends "     \
    "with it, and its exit status is tp's. With --limits the container may "   \
    "use as much cpu and\nmemory as the one in the cluster, unless flags of "  \
    "docker's say otherwise.\n"                                                \
    "\nThe container's volumes: 'docker run' gets each at its own path, by "   \
    "the Docker plugin (tp\nvolume install), unless its own -v, --mount or "   \
    "--tmpfs is there, above or below. --mount\nmounts them on this host, "    \
    "/data at DIRECTORY/data, as long as the engagement lasts; a\ncommand of " \
    "this host finds DIRECTORY in $TP_ROOT. It needs fusermount3, not root. "  \
    "For other\nSFTP clients --local-mount-port says which key and "           \
    "configuration to use. Ending the\nengagement waits until what was "       \
    "written has reached the pod.\n\nWORKLOAD is NAME or KIND/NAME "           \
    "(deploy, sts, ds, rs, pod).\n"

#define EXITS                                                                  \
    "  with a command behind '--': its own (128 + N if signal N ended it)\n"

static int run_intercept(struct cli *cli, struct tp_error *err)
{
    return run_type(cli, "intercept", err);
}

static int run_replace(struct cli *cli, struct tp_error *err)
{
    return run_type(cli, "replace", err);
}

static int run_mirror(struct cli *cli, struct tp_error *err)
{
    return run_type(cli, "mirror", err);
}

static int run_ingest(struct cli *cli, struct tp_error *err)
{
    return run_type(cli, "ingest", err);
}

#define USAGE "WORKLOAD[/CONTAINER] [flags] [-- COMMAND]"

const struct cli_command cmd_intercept = {
    .name = "intercept",
    .summary = "the cluster's connections to a workload come here",
    .usage = USAGE,
    .details =
        "Connections to the ports of all pods of WORKLOAD are delivered to\n"
        "127.0.0.1:LOCAL in the session's network. The container "
        "in the cluster goes on running; where\nnobody listens here, "
        "it answers.\n" DETAILS_COMMAND,
    .example = "  tp intercept web --port 8080:http\n"
               "  tp intercept web -p 8080:http --limits -- docker run --rm "
               "myimage\n"
               "  tp intercept dns -p 5300:dns/udp --to-pod 8053\n",
    .exits = EXITS,
    .options = traffic_options,
    .min_args = 1,
    .max_args = -1,
    .run = run_intercept,
};

const struct cli_command cmd_replace = {
    .name = "replace",
    .summary = "run a workload's container here instead of there",
    .usage = USAGE,
    .details = "As intercept, but the container in the cluster does not run "
               "meanwhile (consumers of\nqueues). Its pods are rolled out "
               "twice: now and at the end.\n" DETAILS_COMMAND,
    .example = "  tp replace worker -- docker run --rm myworker\n",
    .exits = EXITS,
    .options = traffic_options,
    .min_args = 1,
    .max_args = -1,
    .run = run_replace,
};

const struct cli_command cmd_mirror = {
    .name = "mirror",
    .summary = "a copy of a workload's connections comes here",
    .usage = USAGE,
    .details =
        "What clients send is copied to 127.0.0.1:LOCAL; what the "
        "program here answers is\ndropped. The container in the "
        "cluster answers all, however slow the copy is.\n" DETAILS_COMMAND,
    .example = "  tp mirror web --port 8080:http\n"
               "  tp mirror sts/db --port 5432 -- docker run --rm mydb\n",
    .exits = EXITS,
    .options = traffic_options,
    .min_args = 1,
    .max_args = -1,
    .run = run_mirror,
};

const struct cli_command cmd_wiretap = {
    .name = "wiretap",
    .summary = "the same as mirror",
    .usage = USAGE,
    .exits = EXITS,
    .options = traffic_options,
    .min_args = 1,
    .max_args = -1,
    .hidden = true,
    .run = run_mirror,
};

const struct cli_command cmd_ingest = {
    .name = "ingest",
    .summary = "a workload's environment, without its traffic",
    .usage = USAGE,
    .details = "The variables and volumes (read-only) of WORKLOAD's container "
               "for files or a command here; its traffic stays in\nthe "
               "cluster, and the container "
               "goes on running.\n" DETAILS_COMMAND,
    .example = "  tp ingest web --env-file web.env\n"
               "  tp ingest web --mount ./web -- ./server --root ./web/data\n"
               "  tp ingest web -- docker run --rm -it myimage\n",
    .exits = EXITS,
    .options = ingest_options,
    .min_args = 1,
    .max_args = -1,
    .run = run_ingest,
};
