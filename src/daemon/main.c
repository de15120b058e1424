/*
 * tp-daemon - the workstation's end: session, data path and DNS in the shared
 * network namespace. Started by tp-init; see doc/control.md.
 */
#include <signal.h>
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
#include "daemon/files_ctl.h"

#define CTL_WAIT_MS 3000

static const char usage[] =
    "usage: tp-daemon              run (started by tp-init)\n"
    "       tp-daemon ctl          join standard input and output to the "
    "control socket\n"
    "       tp-daemon files NAME   join them to the files of an engagement\n"
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

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";
    struct tp_error err = {0};
    int rc;

    if (argc > (strcmp(command, "files") ? 2 : 3)) {
        fputs(usage, stderr);
        return 2;
    }
    harden();
    if (!strcmp(command, "run")) {
        rc = daemon_run(&err);
    } else if (!strcmp(command, "ctl")) {
        rc = ctl_run(CONTROL_PATH, STDIN_FILENO, STDOUT_FILENO, CTL_WAIT_MS,
                     &err);
    } else if (!strcmp(command, "files") && argc == 3) {
        rc = files_ctl_run(CONTROL_PATH, argv[2], STDIN_FILENO, STDOUT_FILENO,
                           &err);
    } else if (!strcmp(command, "fail-closed")) {
        rc = datapath_fail_closed(&err);
    } else if (!strcmp(command, "--version")) {
        puts("tp-daemon " VERSION);
        rc = 0;
    } else {
        fputs(usage, !strcmp(command, "--help") ? stdout : stderr);
        return !strcmp(command, "--help") ? 0 : 2;
    }
    if (rc < 0)
        log_error("%s", err.text);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
