/*
 * tp-daemon - the workstation's end: session, data path and DNS in the shared
 * network namespace. Started by tp-init; see doc/control.md.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/log.h"
#include "config.h"
#include "daemon/control.h"
#include "daemon/ctl.h"
#include "daemon/daemon.h"
#include "daemon/datapath.h"
#include "daemon/dial_ctl.h"
#include "daemon/files_ctl.h"
#include "daemon/proxy.h"

#define CTL_WAIT_MS 3000

static const char usage[] =
    "usage: tp-daemon              run (started by tp-init)\n"
    "       tp-daemon ctl          join standard input and output to the "
    "control socket\n"
    "       tp-daemon files NAME   join them to the files of an engagement\n"
    "       tp-daemon proxy        join them to the proxy\n"
    "       tp-daemon dial HOST PORT [check]  join them to a connection\n"
    "       tp-daemon fail-closed  reject what a dead daemon captured\n"
    "       tp-daemon --version\n";

/* Secrets live in this process: no core, no ptrace, no /proc/PID/mem. */
static void harden(void)
{
    struct rlimit none = {0, 0}, files;

    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    memory_tune(2, 4 * 1024 * 1024);
    signal(SIGPIPE, SIG_IGN);
}

/* Arguments behind the command's name; a table, as there are too many for
 * comparisons of argc. */
static const struct command {
    const char *name;
    int min, max;
} commands[] = {
    {"run", 0, 0},       {"ctl", 0, 0},    {"files", 1, 1},
    {"proxy", 0, 0},     {"dial", 2, 3},   {"fail-closed", 0, 0},
    {"--version", 0, 0}, {"--help", 0, 0},
};

static bool is_command(const char *name, int args)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (!strcmp(name, commands[i].name))
            return args >= commands[i].min && args <= commands[i].max;
    }
    return false;
}

static int run(const char *command, char **args, struct tp_error *err)
{
    const int in = STDIN_FILENO, out = STDOUT_FILENO;

    if (!strcmp(command, "ctl"))
        return ctl_run(CONTROL_PATH, in, out, CTL_WAIT_MS, err);
    if (!strcmp(command, "proxy"))
        return ctl_run(PROXY_PATH, in, out, 0, err);
    if (!strcmp(command, "files"))
        return files_ctl_run(CONTROL_PATH, args[0], in, out, err);
    if (!strcmp(command, "dial"))
        return dial_ctl_run(PROXY_PATH, args[0], args[1],
                            args[2] && !strcmp(args[2], "check"), in, out, err);
    if (!strcmp(command, "fail-closed"))
        return datapath_fail_closed(err);
    if (!strcmp(command, "run"))
        return daemon_run(err);
    puts("tp-daemon " VERSION);
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";
    struct tp_error err = {0};
    int rc;

    if (!is_command(command, argc > 2 ? argc - 2 : 0)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!strcmp(command, "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    harden();
    rc = run(command, argv + 2, &err);
    if (rc < 0)
        log_error("%s", err.text);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
