#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "base/log.h"
#include "config.h"
#include "daemon/control.h"
#include "daemon/datapath.h"
#include "daemon/dns.h"
#include "daemon/engagement.h"
#include "daemon/memstate.h"
#include "daemon/proxy.h"
#include "daemon/proxy_access.h"
#include "daemon/resolvconf.h"
#include "daemon/route_list.h"
#include "daemon/session.h"
#include "daemon/volume_socket.h"

#define RESOLV_PATH "/etc/resolv.conf"
#define RUN_DIR     "/run/tp"

struct daemon {
    uv_loop_t loop;
    uv_signal_t term, interrupt, hup;
    struct resolvconf resolv;
    struct dns *dns;
    struct datapath *datapath;
    struct proxy *proxy;
    struct session *session;
    struct route_watch *routes;
    struct engagements *engagements;
    struct control *control;
    struct volume_socket *volumes; /* NULL: there is no control volume */
    bool keep;                     /* for the next one */
};

static void signal_cb(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    log_info("ending on signal %d", number);
    d->keep = number == SIGHUP;
    uv_stop(&d->loop);
}

static void watch_signal(struct daemon *d, uv_signal_t *handle, int number)
{
    uv_signal_init(&d->loop, handle);
    handle->data = d;
    uv_signal_start(handle, signal_cb, number);
}

/* With the plugin's control volume the sockets of files are in it. */
static void start_volumes(struct daemon *d)
{
    bool shared = access(VOLUME_DIR, W_OK) == 0;
    struct tp_error err = {0};

    engagements_set_files_dir(d->engagements,
                              shared ? VOLUME_DIR : ENGAGEMENT_FILES_DIR);
    if (!shared)
        return;
    d->volumes = volume_socket_create(&d->loop, d->session, d->engagements,
                                      VOLUME_SOCKET, &err);
    if (!d->volumes)
        log_warn("no volumes: %s", err.text);
}

/* The proxy goes where captured packets go, and nowhere else. */
static bool may_reach_cb(void *arg, const union sockaddr_any *addr)
{
    const struct daemon *d = arg;

    return datapath_captures(d->datapath, addr) &&
           !proxy_address_is_never(addr);
}

static int start_proxy(struct daemon *d, struct tp_error *err)
{
    struct proxy_env env = {.loop = &d->loop,
                            .dns = d->dns,
                            .may_reach = may_reach_cb,
                            .arg = d,
                            .routes = PROXY_ROUTES,
                            .routes6 = PROXY_ROUTES6};

    if (mkdir(RUN_DIR, 0700) < 0 && errno != EEXIST)
        return tp_error_errno(err, -errno, RUN_DIR);
    d->proxy = proxy_create(&env, PROXY_PATH, err);
    return d->proxy ? 0 : err->code;
}

static int start(struct daemon *d, struct tp_error *err)
{
    struct session_env env = {.loop = &d->loop,
                              .resolv = &d->resolv,
                              .state_fd = memstate_inherit(),
                              .mark = DATAPATH_BYPASS_MARK};

    if (resolvconf_read(&d->resolv, RESOLV_PATH, err) < 0)
        return err->code;
    d->dns = dns_create(&d->loop, d->resolv.servers, d->resolv.n_servers,
                        DATAPATH_BYPASS_MARK, err);
    if (d->dns)
        d->datapath = datapath_create(&d->loop, d->dns, err);
    if (!d->datapath)
        return err->code;
    if (start_proxy(d, err) < 0)
        return err->code;
    env.dns = d->dns;
    env.datapath = d->datapath;
    env.proxy = d->proxy;
    d->session = session_create(&env);
    if (d->session)
        d->engagements = engagements_create(&d->loop, d->session, env.mark);
    if (!d->engagements)
        return tp_error_errno(err, -ENOMEM, "session");
    datapath_set_shortcuts(d->datapath, engagements_shortcut, d->engagements);
    d->routes =
        route_watch_create(&d->loop, session_routes_changed, d->session);
    if (!d->routes)
        log_warn("changes of the routes here will not be noticed");
    start_volumes(d);
    d->control =
        control_create(&d->loop, d->session, d->engagements, CONTROL_PATH, err);
    if (!d->control)
        return err->code;
    session_resume(d->session);
    return 0;
}

static void stop(struct daemon *d)
{
    control_destroy(d->control);
    volume_socket_destroy(d->volumes);
    route_watch_destroy(d->routes);
    session_destroy(d->session, d->keep);
    if (d->datapath)
        datapath_set_shortcuts(d->datapath, NULL, NULL);
    engagements_destroy(d->engagements);
    proxy_destroy(d->proxy);
    if (d->datapath)
        datapath_destroy(d->datapath, d->keep);
    dns_destroy(d->dns);
    resolvconf_release(&d->resolv);
    uv_close((uv_handle_t *)&d->term, NULL);
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->hup, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
}

int daemon_run(struct tp_error *err)
{
    struct daemon d = {0};
    int rc = uv_loop_init(&d.loop);

    if (rc < 0)
        return tp_error_set(err, rc, "event loop: %s", uv_strerror(rc));
    watch_signal(&d, &d.term, SIGTERM);
    watch_signal(&d, &d.interrupt, SIGINT);
    watch_signal(&d, &d.hup, SIGHUP);
    rc = start(&d, err);
    if (rc == 0) {
        log_info("tp-daemon %s is ready", VERSION);
        uv_run(&d.loop, UV_RUN_DEFAULT);
    }
    stop(&d);
    return rc;
}
