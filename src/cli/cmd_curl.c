/*
 * cmd_curl.c - tp curl: curl in the session's network
 *
 * curl gets a SOCKS 5 proxy on a unix socket that only this user can open, in
 * a directory that goes with it; behind it is `tp-daemon proxy`. No port is
 * opened, and tp connect needs no --proxy.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/engage.h"
#include "cli/program.h"
#include "cli/proxy_relay.h"

#define BACKLOG 64

static const char *curl_program(void)
{
    const char *program = getenv("TP_CURL");

    return program && *program ? program : "curl";
}

static int listen_at(const char *path, struct tp_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    tp_error_errno(err, -errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return err->code;
}

/* NO_PROXY and the like are for another network. */
static int run_program(struct cli *cli, const char *path, struct tp_error *err)
{
    const size_t n = cli_arg_count(cli);
    cleanup_free const char **argv = calloc(n + 6, sizeof(*argv));
    char proxy[128];
    int rc;

    if (!argv)
        return tp_error_errno(err, -ENOMEM, "curl");
    snprintf(proxy, sizeof(proxy), "socks5h://localhost%s", path);
    argv[0] = curl_program();
    argv[1] = "--proxy";
    argv[2] = proxy;
    argv[3] = "--noproxy";
    argv[4] = "";
    for (size_t i = 0; i < n; i++)
        argv[5 + i] = cli_arg(cli, i);
    rc = program_run(argv[0], (char *const *)(void *)argv, NULL, -1, err);
    if (rc != -ENOENT && rc != -EACCES)
        return rc;
    tp_error_set(err, rc,
                 "cannot run '%s': install curl 7.84 or later, or set TP_CURL "
                 "to the program",
                 argv[0]);
    return cli_fail(cli, "no-curl", err);
}

static int run_in(struct cli *cli, const char *dir, const char *container,
                  struct tp_error *err)
{
    static const char *const argv[] = {"tp-daemon", "proxy", NULL};
    const struct proxy_relay_to to = {.container = container, .argv = argv};
    char path[64];
    pid_t relay;
    int fd, rc;

    snprintf(path, sizeof(path), "%s/proxy", dir);
    fd = listen_at(path, err);
    if (fd < 0)
        return fd;
    relay = proxy_relay_start(fd, &to);
    close(fd);
    rc = relay < 0 ? tp_error_errno(err, (int)relay, "curl")
                   : run_program(cli, path, err);
    if (relay > 0)
        kill(relay, SIGTERM);
    unlink(path);
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    char dir[] = "/tmp/tp-curl.XXXXXX"; /* a short path: sun_path is */
    struct engage g;
    int rc;

    if (cli->help || !cli_arg(cli, 0)) {
        cli_help_command(stdout, cli->command);
        return 0;
    }
    rc = engage_open(&g, cli, err);

    if (rc == 0 && !mkdtemp(dir))
        rc = tp_error_errno(err, -errno, "%s", dir);
    else if (rc == 0) {
        rc = run_in(cli, dir, g.daemon.id, err);
        rmdir(dir);
    }
    engage_release(&g);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME,
    {0},
};

const struct cli_command cmd_curl = {
    .name = "curl",
    .summary = "curl in the session's network",
    .usage = "[--name NAME] CURL-ARGUMENT...",
    .details = "Runs this machine's curl (7.84 or later) so that it reaches "
               "the cluster as a\njoined container does, by names, too. No "
               "port is opened for it. What follows is\ncurl's; give options "
               "that tp has as well (-q, --version) behind --.\n",
    .example = "  tp curl http://web/\n"
               "  tp curl -- -q -sS -d @order.json http://shop.team-a/orders\n",
    .exits = "  once curl runs: its own\n",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .passthrough = true,
    .run = run,
};
