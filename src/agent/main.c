/*
 * tp-agent - the cluster's end of engagements, a sidecar in the app's pod; see
 * README.md in this directory.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <config.h>

#include "agent/agent.h"
#include "agent/idle.h"
#include "agent/ready.h"
#include "agent/rules.h"
#include "agent/settings.h"
#include "base/log.h"
#include "base/memory.h"

static const char usage[] =
    "usage: tp-agent          carry the pod's ports (a sidecar)\n"
    "       tp-agent init     install the redirect rules (an init container)\n"
    "       tp-agent ready    exit 0 if the agent's listeners are there\n"
    "       tp-agent idle     do nothing until SIGTERM\n"
    "       tp-agent --version\n";

/* The environment of this process is the app's: no core, no ptrace, nobody
 * reads /proc/PID/environ. One arena, and what is free goes back soon: the
 * memory is that of every pod. */
static void harden(void)
{
    struct rlimit none = {0, 0}, files;

    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    memory_tune(1, 512 * 1024);
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct tp_error *err)
{
    struct settings settings;
    int rc = settings_read(&settings, err);

    if (rc == 0) {
        log_set_level(settings.log_level);
        rc = agent_run(&settings, err);
    }
    settings_release(&settings);
    return rc;
}

/* init and ready need no links. */
static int with_ports(int (*fn)(const struct agent_path_config *config,
                                struct tp_error *err),
                      struct tp_error *err)
{
    struct settings settings;
    int rc = settings_read(&settings, err);

    if (rc == 0)
        rc = fn(&settings.path, err);
    settings_release(&settings);
    return rc;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";
    struct tp_error err = {0};
    int rc = 0;

    harden();
    if (argc == 2 && !strcmp(command, "idle"))
        return idle_run();
    if (argc == 1) {
        rc = run(&err);
    } else if (argc == 2 && !strcmp(command, "init")) {
        rc = with_ports(agent_rules_install, &err);
    } else if (argc == 2 && !strcmp(command, "ready")) {
        rc = with_ports(ready_check, &err);
    } else if (argc == 2 && !strcmp(command, "--version")) {
        puts("tp-agent " VERSION);
    } else if (argc == 2 && !strcmp(command, "--help")) {
        fputs(usage, stdout);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    if (rc < 0)
        log_error("%s", err.text);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
