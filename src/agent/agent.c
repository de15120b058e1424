#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <config.h>
#include <uv.h>

#include "agent/link.h"
#include "agent/logring.h"
#include "agent/path.h"
#include "agent/replicas.h"
#include "agent/serve.h"
#include "base/json.h"
#include "base/log.h"

struct agent {
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    struct settings *settings;
    struct tls_ctx *tls; /* one for all links */
    struct logring *log;
    struct agent_path *path;
    struct replicas *replicas;
    struct serve serve;
    struct files *files;
    bool draining;
};

/* ---- status -------------------------------------------------------------- */

static struct json_object *port_to_json(const struct agent_port_stats *port)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, "port", json_object_new_int(port->port));
    json_put_str(obj, "protocol", port->udp ? "udp" : "tcp");
    json_object_object_add(obj, "conns", json_object_new_uint64(port->conns));
    json_object_object_add(obj, "bytes", json_object_new_uint64(port->bytes));
    return obj;
}

static void put_number(struct json_object *obj, const char *key, uint64_t value)
{
    json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void status_cb(void *arg, struct json_object *status)
{
    struct agent *a = arg;
    struct json_object *ports = json_object_new_array();
    struct agent_path_stats stats;

    agent_path_get_stats(a->path, &stats);
    for (unsigned i = 0; i < stats.n_ports; i++)
        json_object_array_add(ports, port_to_json(&stats.ports[i]));
    json_object_object_add(status, "ports", ports);
    put_number(status, "running", stats.running);
    put_number(status, "engaged", stats.engaged);
    put_number(status, "failedOpen", stats.failed_open);
    put_number(status, "refused", stats.refused);
    put_number(status, "copies", stats.copies);
    put_number(status, "dropped", stats.copies_ended);
}

/* ---- the end ------------------------------------------------------------- */

static void stop(struct agent *a)
{
    replicas_destroy(a->replicas);
    a->replicas = NULL;
    files_destroy(a->files);
    a->files = NULL;
    agent_path_destroy(a->path);
    a->path = NULL;
    if (!uv_is_closing((uv_handle_t *)&a->term)) {
        uv_close((uv_handle_t *)&a->term, NULL);
        uv_close((uv_handle_t *)&a->interrupt, NULL);
    }
}

static void drained_cb(void *arg)
{
    stop(arg);
}

/* The app has got its signal too and may go on serving; so do we, with the
 * links, until the path says that there is nothing left. No limit of our own:
 * the pod does not end before the app, and then the kubelet ends us. */
static void signal_cb(uv_signal_t *handle, int number)
{
    struct agent *a = handle->data;

    if (a->draining || !a->path) {
        log_info("ending at once on signal %d", number);
        stop(a);
        return;
    }
    log_info("draining on signal %d", number);
    a->draining = true;
    agent_path_drain(a->path);
}

/* ---- the start ----------------------------------------------------------- */

static void watch_signal(struct agent *a, uv_signal_t *handle, int number)
{
    uv_signal_init(&a->loop, handle);
    handle->data = a;
    uv_signal_start(handle, signal_cb, number);
}

static void engagements_cb(void *arg, const struct agent_engagement *list,
                           size_t n)
{
    struct agent *a = arg;

    agent_path_set_engagements(a->path, list, n);
}

static int start_path(struct agent *a, struct tp_error *err)
{
    struct agent_path_config config = a->settings->path;

    config.drained_cb = drained_cb;
    config.arg = a;
    a->path = agent_path_create(&a->loop, &config, err);
    return a->path ? 0 : err->code;
}

static struct serve make_serve(struct agent *a)
{
    return (struct serve){.loop = &a->loop,
                          .settings = a->settings,
                          .log = a->log,
                          .files = a->files,
                          .environ = environ,
                          .status_cb = status_cb,
                          .status_arg = a};
}

static int start_links(struct agent *a, struct tp_error *err)
{
    struct settings *s = a->settings;
    struct replicas_config config = {
        .server_name = s->server_name,
        .engagements_cb = engagements_cb,
        .engagements_arg = a,
        .open_cb = serve_open,
        .open_arg = &a->serve,
    };

    if (settings_read_links(s, err) < 0)
        return err->code;
    a->tls = agent_link_tls(s->ca_pem, err);
    if (!a->tls)
        return tp_error_wrap(err, "TP_AGENT_CA");
    a->files = files_create(&a->loop, s, FILES_ROOT, NULL);
    a->serve = make_serve(a);
    config.seed = s->manager;
    config.token_file = s->token_file;
    config.tls = a->tls;
    a->replicas = replicas_create(&a->loop, &config);
    return a->replicas ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

/* Without links the pod still serves: what is wrong with them is said, not
 * fatal. */
static int start(struct agent *a, struct tp_error *err)
{
    struct tp_error link_err = {0};
    int rc;

    a->log = logring_create();
    watch_signal(a, &a->term, SIGTERM);
    watch_signal(a, &a->interrupt, SIGINT);
    rc = a->log ? start_path(a, err)
                : tp_error_set(err, -ENOMEM, "out of memory");
    if (rc < 0)
        return rc;
    log_info("tp-agent %s: %zu ports", VERSION, a->settings->path.n_ports);
    if (start_links(a, &link_err) < 0)
        log_error("no links to the manager: %s", link_err.text);
    return 0;
}

int agent_run(struct settings *settings, struct tp_error *err)
{
    struct agent a = {.settings = settings};
    int rc = uv_loop_init(&a.loop);

    if (rc < 0)
        return tp_error_set(err, rc, "event loop: %s", uv_strerror(rc));
    rc = start(&a, err);
    if (rc < 0)
        stop(&a);
    uv_run(&a.loop, UV_RUN_DEFAULT);
    tls_ctx_destroy(a.tls);
    logring_destroy(a.log);
    uv_loop_close(&a.loop);
    return rc;
}
