/* tp-manager: the cluster's end of links; see README.md in this directory. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/log.h"
#include "base/memory.h"
#include "manager/manager.h"
#include "manager/options.h"
#include "manager/selfcheck.h"
#include "manager/service_switch_run.h"
#include "manager/uninstall.h"

static void signal_cb(uv_signal_t *handle, int signum)
{
    (void)signum;
    manager_drain(handle->data);
}

/* Each stream is a descriptor; keys must not be in core files. */
static void prepare_process(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    memory_tune(2, 4 * 1024 * 1024);
    signal(SIGPIPE, SIG_IGN);
}

static int run(const struct options *options)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct tp_error err = {0};
    uv_signal_t handles[2];
    struct manager *m;
    uv_loop_t loop;

    if (uv_loop_init(&loop) < 0)
        return EXIT_FAILURE;
    m = manager_create(&loop, options, &err);
    if (!m) {
        log_error("%s", err.text);
        uv_loop_close(&loop);
        return EXIT_FAILURE;
    }
    log_info("tp-manager %s in namespace %s", PACKAGE_VERSION, options->ns);
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&loop, &handles[i]);
        handles[i].data = m;
        uv_signal_start(&handles[i], signal_cb, signals[i]);
        uv_unref((uv_handle_t *)&handles[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&handles[i], NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    manager_destroy(m);
    uv_loop_close(&loop);
    log_info("stopped");
    return EXIT_SUCCESS;
}

static int check_api(void)
{
    struct tp_error err = {0};

    if (selfcheck_run(30, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    printf("the API is served\n");
    return EXIT_SUCCESS;
}

/* NAMESPACE WEBHOOK SECONDS */
static int remove_agents(char **args)
{
    struct tp_error err = {0};
    long seconds = strtol(args[2], NULL, 10);

    if (seconds < 1 || seconds > 86400) {
        log_error("remove-agents: %s: must be seconds", args[2]);
        return 2;
    }
    if (uninstall_run(args[0], args[1], (unsigned)seconds, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* Before helm removes tp. Within helm's time-out for hooks. */
static int restore_services(const char *ns)
{
    struct tp_error err = {0};

    if (switch_farewell(ns, 45, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    printf("no Service leads to agents any more\n");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct tp_error err = {0};
    struct options options;
    int status = EXIT_SUCCESS;

    prepare_process();
    if (argc == 2 && !strcmp(argv[1], "check-api"))
        return check_api();
    if (argc == 5 && !strcmp(argv[1], "remove-agents"))
        return remove_agents(argv + 2);
    if (argc == 3 && !strcmp(argv[1], "restore-services"))
        return restore_services(argv[2]);
    if (options_parse(&options, argc, argv, &err) < 0) {
        log_error("%s", err.text);
        status = 2;
    } else if (options.show_help) {
        options_print_help(stdout);
    } else if (options.show_version) {
        printf("tp-manager %s\n", PACKAGE_VERSION);
    } else {
        log_set_level(options.log_level);
        status = run(&options);
    }
    options_release(&options);
    return status;
}
