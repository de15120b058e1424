/* cmd_serve.c - tp serve: a service of the cluster on a port of this machine,
 * as long as it runs, and in the browser */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"
#include "cli/program.h"
#include "cli/proxy_relay.h"
#include "engine/exec.h"

#define BACKLOG  64
#define CHECK_MS 75000 /* tp-daemon's own limit comes first */

struct service {
    char host[256], port[8];
};

static bool is_port(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 5 && strspn(text, "0123456789") == len &&
           strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* SERVICE[:PORT] */
static int parse(struct service *s, const char *text, struct tp_error *err)
{
    size_t len = strcspn(text, ":");
    const char *port = text[len] ? text + len + 1 : "80";

    if (len == 0 || len >= sizeof(s->host) || !is_port(port) ||
        strtoul(port, NULL, 10) == 0)
        return tp_error_set(err, -EINVAL, "%s is not SERVICE[:PORT]", text);
    snprintf(s->host, sizeof(s->host), "%.*s", (int)len, text);
    snprintf(s->port, sizeof(s->port), "%s", port);
    return 0;
}

/* Is there anybody? Said before a browser is opened. */
static int check(struct engage *g, const struct service *s,
                 struct tp_error *err)
{
    const char *argv[] = {"tp-daemon", "dial", s->host, s->port, "check", NULL};
    struct engine_exec *x =
        engine_exec_start(g->engine, g->daemon.id, argv, err);
    cleanup_json struct json_object *head = NULL;
    cleanup_free char *line = NULL;
    const char *error;
    int rc = x ? engine_exec_read_line(x, CHECK_MS, &line, err) : err->code;

    if (rc == 0)
        rc = tp_error_set(err, -EPIPE, "%s", engine_exec_stderr(x));
    engine_exec_close(x);
    if (rc < 0)
        return rc;
    head = json_parse_text(line, strlen(line), err);
    if (!head)
        return err->code;
    error = json_get_str(head, "error", NULL);
    if (!error)
        return 0;
    tp_error_set(err, -EPROTO, "%s", error);
    return cli_fail(g->cli, json_get_str(head, "code", "failed"), err);
}

/* On 127.0.0.1; *port 0 becomes the one that the kernel chose. */
static int listen_at(uint16_t *port, struct tp_error *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(*port),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&addr, len) == 0 &&
        listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0) {
        *port = ntohs(addr.sin_port);
        return fd;
    }
    tp_error_errno(err, -errno, "127.0.0.1:%u", *port);
    if (fd >= 0)
        close(fd);
    return err->code;
}

/* Where there is a screen; who has no xdg-open sees the address. */
static void open_browser(const char *url)
{
    char *const argv[] = {(char *)"xdg-open", (char *)(uintptr_t)url, NULL};
    struct tp_error err = {0};

    if (getenv("DISPLAY") || getenv("WAYLAND_DISPLAY"))
        program_run(argv[0], argv, NULL, -1, &err);
}

static int serve(struct engage *g, const struct service *s, uint16_t port,
                 struct tp_error *err)
{
    const char *const argv[] = {"tp-daemon", "dial", s->host, s->port, NULL};
    const struct proxy_relay_to to = {
        .container = g->daemon.id, .argv = argv, .head = true};
    cleanup_json struct json_object *out = json_object_new_object();
    cleanup_close int fd = listen_at(&port, err);
    char url[64];
    int rc;

    if (fd < 0)
        return cli_fail(g->cli, "port-taken", err);
    snprintf(url, sizeof(url), "http%s://127.0.0.1:%u/",
             strcmp(s->port, "443") != 0 ? "" : "s", port);
    json_put_str(out, "url", url);
    json_put_str(out, "service", s->host);
    cli_print_json(g->cli, out);
    cli_print(g->cli, "%s\n", url);
    fflush(stdout);
    cli_note(g->cli, "that is %s:%s, until Ctrl-C", s->host, s->port);
    if (!cli_has(g->cli, "no-browser"))
        open_browser(url);
    rc = proxy_relay_run(fd, &to);
    return tp_error_errno(err, rc, "%s", url);
}

static int run(struct cli *cli, struct tp_error *err)
{
    const char *text = cli_get_or(cli, "port", "0");
    struct service s;
    struct engage g;
    int rc = parse(&s, cli_arg(cli, 0), err);

    if (rc == 0 && !is_port(text))
        rc = tp_error_set(err, -EINVAL, "--port %s: not a port", text);
    if (rc < 0)
        return cli_fail(cli, "usage", err);
    rc = engage_open(&g, cli, err);
    if (rc == 0)
        rc = check(&g, &s, err);
    if (rc == 0)
        rc = serve(&g, &s, (uint16_t)strtoul(text, NULL, 10), err);
    engage_release(&g);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {.name = "port",
     .arg = "PORT",
     .help = "port of this machine (default: a free one)"},
    {.name = "no-browser", .help = "only say the address"},
    {0},
};

const struct cli_command cmd_serve = {
    .name = "serve",
    .summary = "a service of the cluster in this machine's browser",
    .usage = "[flags] SERVICE[:PORT]",
    .details = "Opens a port of 127.0.0.1 that leads to the service (port 80 "
               "if none is given), by\nany name that a joined container "
               "knows, says its address and opens it in the\nbrowser where "
               "there is a screen (xdg-open). Lasts until Ctrl-C. Every user "
               "of this\nmachine reaches that port.\n",
    .example = "  tp serve web\n"
               "  tp serve --port 8080 --no-browser shop.team-a:8080\n",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
