/* path.c - the list of engagements; life, statistics and drain of the path */
#include "agent/path.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/path_internal.h"
#include "base/log.h"

#define DRAIN_LEAST_MS 2000 /* endpoints need a moment to leave */
#define DRAIN_CONNS_MS 5000 /* for connections, once the app is gone */

/* ---- engagements --------------------------------------------------------- */

static bool wants_port(const struct agent_engagement *e,
                       const struct agent_port_config *c)
{
    for (size_t i = 0; i < e->n_ports && i < AGENT_PORTS_MAX; i++) {
        if (e->ports[i].port == c->port && e->ports[i].udp == c->udp)
            return true;
    }
    return false;
}

static const struct agent_engagement *nth_of(const struct port *port,
                                             bool mirrors, unsigned nth)
{
    const struct agent_path *p = port->path;

    for (size_t i = 0; !port->probe && i < p->n_engagements; i++) {
        const struct agent_engagement *e = &p->engagements[i];
        bool match =
            mirrors ? e->type == AGENT_MIRROR
                    : e->type == AGENT_INTERCEPT || e->type == AGENT_REPLACE;

        if (match && wants_port(e, &port->config) && nth-- == 0)
            return e;
    }
    return NULL;
}

const struct agent_engagement *path_engaged(const struct port *port,
                                            unsigned nth)
{
    return nth_of(port, false, nth);
}

const struct agent_engagement *path_mirror(const struct port *port,
                                           unsigned nth)
{
    return nth_of(port, true, nth);
}

static bool is_mirror(void *arg, const char *id, const struct tunnel *t)
{
    const struct agent_path *p = arg;

    for (size_t i = 0; i < p->n_engagements; i++) {
        const struct agent_engagement *e = &p->engagements[i];

        if (e->type == AGENT_MIRROR && e->tunnel == t && !strcmp(e->id, id))
            return true;
    }
    return false;
}

void agent_path_set_engagements(struct agent_path *p,
                                const struct agent_engagement *list, size_t n)
{
    struct agent_engagement *copy = n ? calloc(n, sizeof(*copy)) : NULL;

    free(p->engagements);
    p->engagements = copy;
    p->n_engagements = copy ? n : 0; /* out of memory: all goes to the app */
    if (copy)
        memcpy(copy, list, n * sizeof(*copy));
    tees_filter(&p->tees, is_mirror, p);
    flows_follow(p);
}

/* ---- the app --------------------------------------------------------------
 */

bool path_app_address(const struct port *port, int family,
                      union sockaddr_any *addr)
{
    const struct agent_path_config *c = &port->path->config;

    if (!port->probe && port->config.mode == PORT_DIRECT &&
        port->config.port == port->config.listen)
        return false; /* that is the agent */
    *addr = family == AF_INET6 ? c->pod_ip6 : c->pod_ip4;
    if (addr->sa.sa_family == AF_UNSPEC)
        *addr = family == AF_INET6 ? c->pod_ip4 : c->pod_ip6;
    if (addr->sa.sa_family == AF_UNSPEC)
        return false;
    sockaddr_set_port(addr, port->config.port);
    return true;
}

int path_app_socket(int family, int type)
{
    const int tos = AGENT_APP_TOS;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    if (family == AF_INET6)
        rc = setsockopt(fd, SOL_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
    else
        rc = setsockopt(fd, SOL_IP, IP_TOS, &tos, sizeof(tos));
    if (rc == 0)
        return fd;
    rc = -errno;
    close(fd); /* without it the rules would lead it back here */
    return rc;
}

/* ---- drain ------------------------------------------------------------------
 */

/* True while it must go on; the path may be destroyed after false. */
static bool drain_goes_on(struct agent_path *p, uint64_t now)
{
    if (!p->draining)
        return false;
    if (path_app_listens(p))
        p->gone_at = 0;
    else if (!p->gone_at)
        p->gone_at = now;
    if (!p->gone_at || now < p->drain_at + DRAIN_LEAST_MS ||
        (p->stats.running > 0 && now < p->gone_at + DRAIN_CONNS_MS))
        return true;
    p->draining = false;
    log_info("drained: %u connections are left", p->stats.running);
    if (p->config.drained_cb)
        p->config.drained_cb(p->config.arg);
    return false;
}

void agent_path_drain(struct agent_path *p)
{
    if (p->drain_at)
        return;
    p->draining = true;
    p->drain_at = uv_now(p->loop);
    path_wake(p);
}

/* ---- time -------------------------------------------------------------------
 */

static void sweep_cb(uv_timer_t *timer)
{
    struct agent_path *p = timer->data;
    uint64_t now = uv_now(p->loop);
    bool left;

    path_hold(p);
    left = conns_sweep(p, now);
    left |= tees_sweep(&p->tees, now);
    left |= flows_sweep(p, now);
    left |= drain_goes_on(p, now);
    if (!left && !p->closing)
        uv_timer_stop(timer);
    path_unhold(p);
}

void path_wake(struct agent_path *p)
{
    if (!p->closing && !uv_is_active((uv_handle_t *)&p->sweep))
        uv_timer_start(&p->sweep, sweep_cb, PATH_SWEEP_MS, PATH_SWEEP_MS);
}

/* ---- life -------------------------------------------------------------------
 */

void path_hold(struct agent_path *p)
{
    p->handles++;
}

void path_unhold(struct agent_path *p)
{
    if (--p->handles > 0)
        return;
    pipes_release(&p->pipes);
    flow_table_release(&p->flow_table);
    free(p->engagements);
    free(p->ports);
    free(p);
}

static void sweep_closed_cb(uv_handle_t *handle)
{
    path_unhold(handle->data);
}

static void port_init(struct agent_path *p, struct port *port)
{
    port->path = p;
    port->udp4.port = port->udp6.port = port;
    port->udp4.fd = port->udp6.fd = -1;
}

static void copy_ports(struct agent_path *p,
                       const struct agent_path_config *config)
{
    for (size_t i = 0; i < p->n_ports + p->n_probes; i++)
        port_init(p, &p->ports[i]);
    for (size_t i = 0; i < p->n_ports; i++)
        p->ports[i].config = config->ports[i];
    for (size_t i = 0; i < p->n_probes; i++) {
        struct port *port = &p->ports[p->n_ports + i];

        port->probe = true;
        port->config.mode = PORT_NAMED;
        port->config.port = config->probes[i].port;
        port->config.listen = config->probes[i].listen;
    }
    p->config.ports = NULL;
    p->config.probes = NULL;
}

static bool has_udp(const struct agent_path *p)
{
    for (size_t i = 0; i < p->n_ports; i++) {
        if (p->ports[i].config.udp)
            return true;
    }
    return false;
}

static struct agent_path *path_alloc(uv_loop_t *loop,
                                     const struct agent_path_config *config)
{
    size_t n = config->n_ports + config->n_probes;
    struct agent_path *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->ports = calloc(n ? n : 1, sizeof(*p->ports));
    if (!p->ports) {
        free(p);
        return NULL;
    }
    p->loop = loop;
    p->config = *config;
    p->n_ports = config->n_ports;
    p->n_probes = config->n_probes;
    LIST_INIT(&p->conns);
    TAILQ_INIT(&p->flows);
    copy_ports(p, config);
    uv_timer_init(loop, &p->sweep);
    p->sweep.data = p;
    p->handles = 1;
    return p;
}

struct agent_path *agent_path_create(uv_loop_t *loop,
                                     const struct agent_path_config *config,
                                     struct tp_error *err)
{
    struct agent_path *p = NULL;
    int rc = 0;

    if (config->n_ports > AGENT_PORTS_MAX ||
        config->n_probes > AGENT_PORTS_MAX) {
        tp_error_set(err, -EINVAL, "at most %d ports", AGENT_PORTS_MAX);
        return NULL;
    }
    p = path_alloc(loop, config);
    if (!p || (has_udp(p) && flow_table_init(&p->flow_table) < 0)) {
        agent_path_destroy(p);
        tp_error_errno(err, -ENOMEM, "ports");
        return NULL;
    }
    for (size_t i = 0; rc == 0 && i < p->n_ports + p->n_probes; i++)
        rc = port_open(&p->ports[i], err);
    if (rc == 0)
        return p;
    agent_path_destroy(p);
    return NULL;
}

void agent_path_destroy(struct agent_path *p)
{
    if (!p || p->closing)
        return;
    p->closing = true;
    p->draining = false;
    for (size_t i = 0; i < p->n_ports + p->n_probes; i++)
        port_close(&p->ports[i]);
    p->n_engagements = 0;
    conns_release(p);
    flows_release(p);
    tees_release(&p->tees);
    uv_close((uv_handle_t *)&p->sweep, sweep_closed_cb);
}

/* ---- questions
 * --------------------------------------------------------------- */

void agent_path_get_stats(const struct agent_path *p,
                          struct agent_path_stats *stats)
{
    *stats = p->stats;
    stats->copies = p->tees.copies;
    stats->copies_ended = p->tees.ended_early;
    stats->n_ports = (unsigned)p->n_ports;
    for (size_t i = 0; i < p->n_ports; i++) {
        stats->ports[i].port = p->ports[i].config.port;
        stats->ports[i].udp = p->ports[i].config.udp;
        stats->ports[i].conns = p->ports[i].conns;
        stats->ports[i].bytes = p->ports[i].bytes;
    }
}

uint16_t agent_path_listen_port(const struct agent_path *p, size_t i)
{
    return i < p->n_ports + p->n_probes ? p->ports[i].config.listen : 0;
}
