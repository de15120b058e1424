/*
 * tp-volume - the Docker volume plugin (docker.volumedriver/1.0): volumes that
 * are directories of engaged containers. See README.md in this directory.
 *
 * As PID 1 of the plugin it serves Docker and starts, for each volume that is
 * in use, `tp-volume broker` and tp-mount. SIGTERM (docker plugin disable)
 * drains all of them.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "broker.h"
#include "confine.h"
#include "mounting.h"
#include "requests.h"

#define SOCKET_PATH "/run/docker/plugins/tp.sock"
#define ROOT        "/volumes" /* the propagated mount */
#define LOOK_MS     20
#define END_MS      9000 /* Docker kills after 10 s */

static const char usage[] =
    "usage: tp-volume             the plugin, started by Docker\n"
    "       tp-volume broker DIRECTORY ENGAGEMENT [again]   (internal)\n"
    "       tp-volume --version\n";

struct plugin {
    uv_loop_t loop;
    struct volumes volumes;
    struct server *server;
    uv_signal_t term, interrupt;
    uv_timer_t look;
    uint64_t deadline; /* 0: not ending */
};

static void look_cb(uv_timer_t *timer)
{
    struct plugin *p = timer->data;
    struct volume *v;

    TAILQ_FOREACH(v, &p->volumes.list, entry)
    {
        if (mounting_has_ended(v->mounting))
            continue;
        if (uv_now(&p->loop) < p->deadline)
            return;
        log_error("volume %s: what was not written yet is lost", v->name);
    }
    uv_stop(&p->loop);
}

static void end_cb(uv_signal_t *handle, int number)
{
    struct plugin *p = handle->data;
    struct volume *v;

    if (p->deadline)
        return;
    log_info("ending on signal %d", number);
    p->deadline = uv_now(&p->loop) + END_MS;
    server_close(p->server);
    p->server = NULL;
    TAILQ_FOREACH(v, &p->volumes.list, entry)
    mounting_end(v->mounting);
    uv_timer_start(&p->look, look_cb, 0, LOOK_MS);
}

static void clean_all(struct plugin *p)
{
    struct volume *v;

    TAILQ_FOREACH(v, &p->volumes.list, entry)
    {
        cleanup_free char *path = volume_path(v);

        if (path && !v->o.control)
            mounting_clean(path);
    }
}

static int start(struct plugin *p, struct tp_error *err)
{
    int rc = confine_plugin(err);

    if (rc == 0)
        rc = volumes_load(&p->volumes, &p->loop, ROOT, err);
    if (rc < 0)
        return rc;
    clean_all(p);
    p->server =
        server_create(&p->loop, SOCKET_PATH, requests_handle, &p->volumes, err);
    if (!p->server)
        return err->code;
    uv_signal_init(&p->loop, &p->term);
    uv_signal_init(&p->loop, &p->interrupt);
    uv_timer_init(&p->loop, &p->look);
    p->term.data = p->interrupt.data = p->look.data = p;
    uv_signal_start(&p->term, end_cb, SIGTERM);
    uv_signal_start(&p->interrupt, end_cb, SIGINT);
    return 0;
}

static int plugin_run(void)
{
    struct plugin p = {0};
    struct tp_error err = {0};

    if (uv_loop_init(&p.loop) < 0)
        return EXIT_FAILURE;
    if (start(&p, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    log_info("tp-volume " VERSION " is ready");
    uv_run(&p.loop, UV_RUN_DEFAULT);
    return EXIT_SUCCESS; /* memory and descriptors go with the process */
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return plugin_run();
    if ((argc == 4 || argc == 5) && !strcmp(argv[1], "broker"))
        return broker_run(argv[2], argv[3], argc == 5);
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("tp-volume " VERSION);
        return EXIT_SUCCESS;
    }
    fputs(usage, stderr);
    return 2;
}
