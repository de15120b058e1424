/* health.c - the plain port: /healthz, /readyz, /metrics */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manager/agents.h"
#include "manager/engagements.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/server.h"

#define TEXT_TYPE    "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The rules may not be older than that: they may have been changed. */
#define FRONTPROXY_MAX_AGE_MS 300000

const char *health_unready_reason(const struct manager *m)
{
    if (m->draining)
        return "stopping";
    if (!m->frontproxy_at)
        return "the front proxy's configuration is not readable";
    if (uv_now(m->loop) - m->frontproxy_at > FRONTPROXY_MAX_AGE_MS)
        return "the front proxy's configuration has not been readable for 5 "
               "minutes";
    if (!m->nodes_known)
        return "the nodes' addresses are not known";
    if (!m->self_known)
        return "the manager's own addresses are not known";
    if (!m->tls)
        return "no certificate";
    return NULL;
}

static void answer_ready(const struct manager *m, struct server_request *req)
{
    const char *reason = health_unready_reason(m);

    server_respond(req, reason ? 503 : 200, TEXT_TYPE, NULL,
                   reason ? reason : "ok");
}

static void answer_metrics(const struct manager *m, struct server_request *req)
{
    cleanup_free char *text = NULL;
    struct metrics now = m->metrics;

    links_add_stats(m->links, &now);
    now.agents = agents_count(m->parts.agents);
    engagements_count(m->parts.engagements, now.engagements);
    text = metrics_format(&now);
    if (text)
        server_respond(req, 200, METRICS_TYPE, NULL, text);
    else
        server_respond(req, 503, TEXT_TYPE, NULL, "out of memory");
}

/* A user's dial through another replica comes from that replica's address, and
 * the others may not know yet that this one must not be dialled. No manager has
 * a reason to ask here. */
static bool is_from_a_manager(const struct manager *m,
                              const struct server_request *req)
{
    union sockaddr_any peer = *server_request_peer(req);

    sockaddr_unmap(&peer);
    return subnets_contain(&m->policy.self, &peer);
}

static void request_cb(void *arg, struct server_request *req)
{
    const struct manager *m = arg;
    const struct http1_head *head = server_request_head(req);

    if (is_from_a_manager(m, req)) {
        server_respond(req, 403, TEXT_TYPE, NULL, "not for managers");
        return;
    }
    if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0)
        server_respond(req, 405, TEXT_TYPE, NULL, "GET only");
    else if (!strcmp(head->target, "/healthz"))
        server_respond(req, 200, TEXT_TYPE, NULL, "ok");
    else if (!strcmp(head->target, "/readyz"))
        answer_ready(m, req);
    else if (!strcmp(head->target, "/metrics"))
        answer_metrics(m, req);
    else
        server_respond(req, 404, TEXT_TYPE, NULL, "not found");
}

int health_start(struct manager *m, struct tp_error *err)
{
    m->health =
        server_create(m->loop, &m->options->metrics, false, request_cb, m, err);
    return m->health ? 0 : err->code;
}
