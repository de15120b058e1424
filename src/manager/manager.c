#include "manager/manager.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "manager/agent_review.h"
#include "manager/agents.h"
#include "manager/api.h"
#include "manager/engagements.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/replicas.h"
#include "manager/scope.h"
#include "manager/server.h"
#include "manager/snapshot.h"

/* Links without connections have so long to go elsewhere (those with some:
 * --drain-timeout); and so long the API is served at least, until the API
 * server knows that this replica is gone. */
#define DRAIN_IDLE_MS 10000
#define DRAIN_MIN_MS  3000
#define DRAIN_POLL    200

/* So long engaged connections still come by here: until then the clients have
 * incoming links at other replicas. */
#define DRAIN_INCOMING_MS 2000

static void stop(struct manager *m)
{
    if (m->stopped)
        return;
    m->stopped = true;
    server_close(m->server);
    server_close(m->agents_server);
    server_close(m->webhook_server);
    server_close(m->direct_server);
    server_close(m->health);
    if (m->links)
        links_close(m->links);
    agents_close(m->parts.agents);
    replicas_close(m->replicas);
    engagements_close(m->parts.engagements);
    uv_close((uv_handle_t *)&m->refresh_timer, NULL);
    uv_close((uv_handle_t *)&m->namespace_timer, NULL);
    uv_close((uv_handle_t *)&m->drain_timer, NULL);
    api_close(m->api);
}

static void drain_cb(uv_timer_t *timer)
{
    struct manager *m = timer->data;
    uint64_t since = uv_now(m->loop) - m->drain_started;

    if (since >= DRAIN_INCOMING_MS && !m->agents_drained) {
        m->agents_drained = true;
        links_drain_incoming(m->links);
        agents_drain(m->parts.agents);
    }
    if (since >= DRAIN_IDLE_MS)
        links_close_idle(m->links);
    if (since < DRAIN_MIN_MS)
        return;
    if (since >= (uint64_t)m->options->drain * 1000)
        log_warn("%zu links still have connections after %u s (--drain-timeout)"
                 ": they end now",
                 links_count(m->links), m->options->drain);
    else if (links_count(m->links) > 0)
        return;
    stop(m);
}

void manager_drain(struct manager *m)
{
    if (m->draining) {
        stop(m);
        return;
    }
    log_info("stopping: %zu links are asked to go", links_count(m->links));
    m->draining = true;
    m->drain_started = uv_now(m->loop);
    links_drain(m->links);
    farewell_start(m); /* looks at once */
    uv_timer_start(&m->drain_timer, drain_cb, DRAIN_POLL, DRAIN_POLL);
}

static void init_timers(struct manager *m)
{
    uv_timer_t *timers[] = {&m->refresh_timer, &m->namespace_timer,
                            &m->drain_timer};

    for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
        uv_timer_init(m->loop, timers[i]);
        timers[i]->data = m;
    }
}

static int create_agents(struct manager *m, struct tp_error *err)
{
    struct agents_env env = {
        .loop = m->loop,
        .metrics = &m->metrics,
        .parts = &m->parts,
        .judge = &agent_api_judge,
        .judge_arg = m->api,
    };

    m->parts.agents = agents_create(&env);
    if (!m->parts.agents)
        return tp_error_errno(err, -ENOMEM, "agents");
    m->replicas = replicas_create(
        &(struct replicas_env){.loop = m->loop,
                               .endpoint = &m->endpoint,
                               .options = m->options,
                               .agents = m->parts.agents,
                               .changed_cb = refresh_replicas_cb,
                               .arg = m},
        err);
    if (!m->replicas)
        return err->code;
    m->agents_server = server_create(m->loop, &m->options->listen_agents, true,
                                     agents_request_cb, m->parts.agents, err);
    return m->agents_server ? 0 : err->code;
}

static int create_engagements(struct manager *m, struct tp_error *err)
{
    struct engagements_env env = {
        .loop = m->loop,
        .endpoint = &m->endpoint,
        .api = m->api,
        .metrics = &m->metrics,
        .parts = &m->parts,
        .ns = m->options->ns,
        .idle_seconds = &m->inject.idle_seconds,
        .switch_services = m->options->switch_services,
        .inject = &m->inject,
    };

    m->parts.engagements = engagements_create(&env, err);
    return m->parts.engagements ? 0 : err->code;
}

static int create_parts(struct manager *m, struct tp_error *err)
{
    struct links_env env = {
        .loop = m->loop,
        .metrics = &m->metrics,
        .policy = &m->policy,
        .info = &m->info,
        .parts = &m->parts,
        .direct = &m->direct,
        .rate = m->options->link_rate,
        .direct_rate = m->options->direct_rate,
        .lifetime = m->options->link_lifetime,
        .max_user = m->options->link_max,
    };
    int rc;

    m->api = env.api = api_create(m->loop, &m->endpoint);
    m->snapshot = calloc(1, sizeof(*m->snapshot));
    if (m->api && m->options->dial_scoped) {
        m->scope = scope_create(m->loop, m->api, &m->metrics);
        if (!m->scope)
            return tp_error_errno(err, -ENOMEM, "tp-manager");
    }
    env.scope = m->scope;
    if (m->api)
        m->parts.links = m->links = links_create(&env);
    if (!m->links || !m->snapshot)
        return tp_error_errno(err, -ENOMEM, "tp-manager");
    m->gate = (struct gate){
        .api = m->api,
        .links = m->links,
        .metrics = &m->metrics,
        .frontproxy = &m->frontproxy,
    };
    gate_init(&m->gate, m->loop);
    rc = create_agents(m, err);
    return rc < 0 ? rc : create_engagements(m, err);
}

static int start(struct manager *m, struct tp_error *err)
{
    int rc = kube_endpoint_in_cluster(&m->endpoint, err);

    if (rc == 0)
        rc = refresh_files(m, err);
    if (rc == 0)
        rc = create_parts(m, err);
    if (rc < 0)
        return rc;
    m->server = server_create(m->loop, &m->options->listen, true,
                              gate_request_cb, &m->gate, err);
    if (!m->server)
        return err->code;
    rc = webhook_start(m, err);
    if (rc == 0)
        rc = direct_start(m, err);
    if (rc == 0)
        rc = health_start(m, err);
    if (rc < 0)
        return rc;
    refresh_start(m);
    farewell_start(m);
    return 0;
}

struct manager *manager_create(uv_loop_t *loop, const struct options *options,
                               struct tp_error *err)
{
    struct manager *m = calloc(1, sizeof(*m));

    if (!m) {
        tp_error_errno(err, -ENOMEM, "tp-manager");
        return NULL;
    }
    m->loop = loop;
    m->options = options;
    init_timers(m);
    if (start(m, err) == 0)
        return m;
    stop(m);
    uv_run(loop, UV_RUN_DEFAULT);
    manager_destroy(m);
    return NULL;
}

void manager_destroy(struct manager *m)
{
    if (!m)
        return;
    links_destroy(m->links);
    scope_destroy(m->scope);
    agents_destroy(m->parts.agents);
    replicas_destroy(m->replicas);
    engagements_destroy(m->parts.engagements);
    refresh_release(m);
    kube_endpoint_release(&m->endpoint);
    free(m);
}
