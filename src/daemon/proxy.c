#include "daemon/proxy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/proxy_access.h"
#include "daemon/proxy_internal.h"
#include "net/listen.h"
#include "net/socket.h"

#define BACKLOG 128

bool proxy_may_reach(struct proxy *p, const union sockaddr_any *addr)
{
    return p->env.may_reach(p->env.arg, addr);
}

const char *proxy_namespace(const struct proxy *p)
{
    return p->cluster ? p->cluster->namespace : NULL;
}

const char *proxy_domain(const struct proxy *p)
{
    return p->cluster ? p->cluster->domain : NULL;
}

void proxy_set_cluster(struct proxy *p, const struct proxy_cluster *cluster)
{
    p->cluster = cluster;
}

/* ---- who comes in ---- */

static void from_inside_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct proxy *p = arg;

    if (p->count >= PROXY_CONNS_MAX)
        close(fd);
    else
        proxy_conn_create(p, fd, peer, true, true);
}

/* Docker publishes a port of 127.0.0.1 on the bridge as well, where any
 * container reaches it (SECURITY 12): its address is looked at before a byte
 * is. */
static void from_host_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct proxy *p = arg;
    union sockaddr_any from = *peer;
    int one = 1;
    bool local;

    sockaddr_unmap(&from);
    local = proxy_peer_is_local(&from, p->env.routes, p->env.routes6);
    if (p->count >= PROXY_CONNS_MAX || (!local && !p->wide)) {
        socket_abort(fd);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    proxy_conn_create(p, fd, &from, false, local);
}

/* ---- the port ---- */

static int read_config(struct proxy *p, struct json_object *config,
                       struct tp_error *err)
{
    const char *password = json_get_str(config, "password", NULL);
    int64_t port = json_get_int(config, "port", 0);

    if (port < 1 || port > 65535 ||
        sockaddr_parse(&p->address, json_get_str(config, "address", ""),
                       (uint16_t)port) < 0)
        return tp_error_set(err, -EINVAL, "the proxy's address is not valid");
    p->wide = !sockaddr_is_loopback(&p->address);
    if (p->wide && !(password && *password))
        return tp_error_set(err, -EINVAL,
                            "a proxy on another address than the loopback's "
                            "needs a password");
    if (!password)
        return 0;
    p->password = strdup(password);
    return p->password ? 0 : tp_error_errno(err, -ENOMEM, "proxy");
}

/* An IPv6 wildcard takes IPv4, too; where there is no IPv6, that alone. */
static int listen_both(struct proxy *p, struct tp_error *err)
{
    static const char *const any[] = {"::", "0.0.0.0"};

    for (size_t i = 0; i < 2 && !p->tcp_listener; i++) {
        union sockaddr_any addr;

        sockaddr_parse(&addr, any[i], PROXY_PORT);
        p->tcp_listener =
            listener_create(p->env.loop, &addr, BACKLOG, from_host_cb, p, err);
        if (!p->tcp_listener && err->code == -EADDRINUSE)
            break;
    }
    if (p->tcp_listener)
        p->udp = proxy_udp_create(p, PROXY_PORT, err);
    return p->udp ? 0 : err->code;
}

int proxy_open(struct proxy *p, struct json_object *config,
               struct tp_error *err)
{
    struct tp_error why = {0};
    int rc;

    proxy_close(p);
    rc = read_config(p, config, &why);
    if (rc == 0)
        rc = listen_both(p, &why);
    p->open = rc == 0;
    if (rc == 0)
        return 0;
    proxy_close(p);
    if (rc == -EADDRINUSE)
        tp_error_set(&why, rc, "a joined container has taken port %d",
                     PROXY_PORT);
    snprintf(p->why, sizeof(p->why), "%s", why.text);
    return tp_error_set(err, rc, "no proxy: %s", why.text);
}

void proxy_close(struct proxy *p)
{
    struct proxy_conn *c;
    struct proxy_relay *r;

    while ((c = LIST_FIRST(&p->conns)))
        proxy_conn_abort(c);
    while ((r = LIST_FIRST(&p->relays)))
        forward_abort(r->forward);
    listener_close(p->tcp_listener);
    proxy_udp_destroy(p->udp);
    p->tcp_listener = NULL;
    p->udp = NULL;
    secret_free(p->password);
    p->password = NULL;
    p->open = p->wide = false;
    *p->why = '\0';
}

struct json_object *proxy_status(const struct proxy *p)
{
    struct json_object *obj;
    char text[SOCKADDR_TEXT], pac[SOCKADDR_TEXT + 32];

    if (!p->open && !*p->why)
        return NULL;
    obj = json_object_new_object();
    if (!p->open) {
        json_put_str(obj, "error", p->why);
        return obj;
    }
    sockaddr_format(&p->address, text);
    snprintf(pac, sizeof(pac), "http://%s/proxy.pac", text);
    json_put_str(obj, "address", text);
    json_put_str(obj, "pac", pac);
    json_object_object_add(obj, "password",
                           json_object_new_boolean(p->password != NULL));
    json_object_object_add(obj, "connections",
                           json_object_new_int64((int64_t)p->count));
    return obj;
}

/* ---- life ---- */

void proxy_let_go(struct proxy *p)
{
    if (!p->destroyed || p->handles > 0)
        return;
    pipes_release(&p->pipes);
    free(p->path);
    free(p);
}

struct proxy *proxy_create(const struct proxy_env *env, const char *path,
                           struct tp_error *err)
{
    struct proxy *p = calloc(1, sizeof(*p));
    int fd;

    if (!p) {
        tp_error_errno(err, -ENOMEM, "proxy");
        return NULL;
    }
    p->env = *env;
    LIST_INIT(&p->conns);
    LIST_INIT(&p->relays);
    if (!path)
        return p;
    p->path = strdup(path);
    fd = listener_bind_unix(path, BACKLOG, err);
    if (fd >= 0)
        p->unix_listener =
            listener_create_fd(env->loop, fd, from_inside_cb, p, err);
    if (p->unix_listener)
        return p;
    proxy_destroy(p);
    return NULL;
}

void proxy_destroy(struct proxy *p)
{
    if (!p)
        return;
    proxy_close(p);
    if (p->unix_listener) {
        listener_close(p->unix_listener);
        unlink(p->path);
    }
    p->destroyed = true;
    proxy_let_go(p);
}
