/*
 * agent_route.c - engaged connections: from an agent to an incoming link
 *
 * An agent names an engagement and a port of its container. It may do so for
 * engagements of its own workload only; who guesses an id is told no more than
 * who makes one up. What is refused here goes to the app (the agent fails
 * open), so a wrong refusal costs a developer a request and nobody else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/agents_internal.h"
#include "manager/audit.h"
#include "manager/links.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "tunnel/splice.h"

bool engagement_has_port(const struct engagement_port *ports, size_t count,
                         uint16_t port, bool udp)
{
    for (size_t i = 0; i < count; i++) {
        if (ports[i].port == port && ports[i].udp == udp)
            return true;
    }
    return false;
}

uint16_t engagement_files_port(const struct engagement *eng)
{
    uint16_t port = ENGAGEMENT_FILES_PORT;

    while (engagement_has_port(eng->to_pod, eng->to_pod_count, port, false))
        port++;
    return port;
}

static void audit_denial(struct agent_conn *conn,
                         const struct tunnel_open *open, const char *reason)
{
    const struct agent_pod *pod = &conn->agent->pod;
    char destination[64];

    if (!bucket_take(&conn->denials, uv_now(conn->agent->agents->env.loop))) {
        conn->suppressed++;
        return;
    }
    snprintf(destination, sizeof(destination), "%s:%u", open->name, open->port);
    audit_write(&(struct audit_event){
        .event = "engaged",
        .verb = open->kind == TUNNEL_UDP ? "udp" : "tcp",
        .ns = pod->token.ns,
        .name = pod->token.pod,
        .destination = destination,
        .allowed = false,
        .reason = reason,
        .suppressed = conn->suppressed,
    });
    conn->suppressed = 0;
}

/* NULL if the agent may open it, else why not. */
static const char *why_denied(const struct agent_conn *conn,
                              const struct engagement *eng,
                              const struct tunnel_open *open)
{
    if (!eng)
        return "no such engagement";
    if (!workload_equal(&eng->workload, &conn->agent->pod.workload))
        return "another workload's engagement";
    if (!engagement_has_port(eng->ports, eng->port_count, open->port,
                             open->kind == TUNNEL_UDP))
        return "no port of the engagement";
    return NULL;
}

/* A link that is just going is as good as none. */
static int splice_error(int rc)
{
    return rc == -ESHUTDOWN || rc == -EPIPE ? -ECONNREFUSED : rc;
}

static int route(struct agent_conn *conn, struct tunnel_stream *s,
                 const struct tunnel_open *open)
{
    const struct parts *parts = conn->agent->agents->env.parts;
    const struct engagement *eng =
        parts->engagements ? engagements_find(parts->engagements, open->name)
                           : NULL;
    const char *denied = why_denied(conn, eng, open);
    struct tunnel *incoming = NULL;

    if (denied) {
        audit_denial(conn, open, denied);
        return -EACCES;
    }
    if (parts->links)
        incoming = links_incoming_tunnel(parts->links, &eng->who, eng->session);
    if (!incoming)
        return -ECONNREFUSED;
    return splice_error(
        tunnel_splice(s, open, incoming, eng->id, open->port, NULL, NULL));
}

int agent_route(struct agent_conn *conn, struct tunnel_stream *s,
                const struct tunnel_open *open)
{
    int rc = route(conn, s, open);

    conn->agent->agents->env.metrics->engaged[metrics_dial_outcome(rc)]++;
    return rc;
}
