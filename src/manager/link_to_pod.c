/*
 * link_to_pod.c - from the workstation to the localhost of an engaged pod, and
 * to its files (doc/protocol.md 5.1)
 *
 * The client names one of its engagements and a port that it asked for
 * (`toPod`); the pod is one with an agent that is connected to this replica,
 * and the address is its loopback, whatever the client says. No policy of
 * addresses applies: the right `topod` was asked for with the engagement.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/agents.h"
#include "manager/audit.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "tunnel/splice.h"

static void audit_denial(struct link *link, const struct tunnel_open *open)
{
    char destination[64];

    if (!bucket_take(&link->denials, uv_now(link->links->env.loop))) {
        link->suppressed++;
        return;
    }
    snprintf(destination, sizeof(destination), "%s:%u", open->name, open->port);
    audit_write(&(struct audit_event){
        .event = "topod",
        .who = &link->who,
        .verb = open->kind == TUNNEL_UDP ? "udp" : "tcp",
        .ns = link->ns,
        .name = link->name,
        .destination = destination,
        .allowed = false,
        .reason = "no engagement of this session with that port",
        .suppressed = link->suppressed,
    });
    link->suppressed = 0;
}

/* NULL if it is not this session's: as if it were not there (SECURITY 8). */
static const struct engagement *find(const struct link *link,
                                     const struct tunnel_open *open)
{
    const struct parts *parts = link->links->env.parts;
    const struct engagement *eng =
        parts && parts->engagements
            ? engagements_find(parts->engagements, open->name)
            : NULL;

    if (!eng || strcmp(eng->session, link->name) != 0 ||
        !identity_same_owner(&eng->who, &link->who))
        return NULL;
    return eng;
}

static int open_to_pod(struct link *link, struct tunnel_stream *s,
                       const struct tunnel_open *open)
{
    const struct engagement *eng = find(link, open);
    bool udp = open->kind == TUNNEL_UDP, files;
    struct agents *agents = eng ? link->links->env.parts->agents : NULL;
    struct tunnel *pod;
    union sockaddr_any addr;

    files = eng && !udp && open->port == engagement_files_port(eng);
    if (!files && (!eng || !engagement_has_port(eng->to_pod, eng->to_pod_count,
                                                open->port, udp))) {
        audit_denial(link, open);
        return -EACCES;
    }
    if (!bucket_take(&link->dials, uv_now(link->links->env.loop)))
        return -EMFILE;
    if (files)
        return engagements_open_files(link->links->env.parts->engagements, eng,
                                      s, open);
    pod = agents ? agents_in_tunnel(agents, &eng->workload) : NULL;
    if (!pod)
        return -EHOSTUNREACH;
    sockaddr_parse(&addr, "127.0.0.1", open->port);
    return tunnel_splice_addr(s, open, pod, &addr, NULL, NULL);
}

int link_to_pod(struct link *link, struct tunnel_stream *s,
                const struct tunnel_open *open)
{
    int rc = open_to_pod(link, s, open);

    link->links->env.metrics->to_pod[metrics_dial_outcome(rc)]++;
    return rc;
}
