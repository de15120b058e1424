/*
 * agents_gate.c - requests on the agents' port: who comes in
 *
 * Anybody in the cluster reaches this port. A caller is an agent if the API
 * server says that its token is bound to a live pod that has one; everyone else
 * is told 401 and no more, and the reason is in the audit log. The token is
 * handed to the judge and nowhere else.
 *
 * Bounded: the server takes so many connections at a time, in all and of one
 * address, and a request waits in one of these while it is judged.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sockaddr.h"
#include "manager/agent_review.h"
#include "manager/agents_internal.h"
#include "manager/audit.h"
#include "manager/identity.h"
#include "manager/metrics.h"
#include "manager/server.h"

#define PATH      "/tp/v1/agent"
#define TEXT_TYPE "text/plain"
#define TOKEN_MAX 16384

static const char *const upgrades[] = {
    [AGENT_OUT] = "tp-agent/1",
    [AGENT_IN] = "tp-agent-in/1",
};

/* An agent on its way from the request to the upgrade. */
struct opening {
    struct agents *agents;
    struct server_request *req;
    enum agent_direction direction;
    struct agent_pod pod;
};

static void audit_refusal(struct agents *a, const struct server_request *req,
                          const char *reason)
{
    char peer[SOCKADDR_TEXT];

    a->env.metrics->agents_refused++;
    if (!bucket_take(&a->noise, uv_now(a->env.loop))) {
        a->suppressed++;
        return;
    }
    audit_write(&(struct audit_event){
        .event = "agent",
        .verb = "open",
        .destination = sockaddr_format_ip(server_request_peer(req), peer),
        .allowed = false,
        .reason = reason,
        .suppressed = a->suppressed,
    });
    a->suppressed = 0;
}

static void refuse(struct agents *a, struct server_request *req, int status,
                   const char *reason)
{
    static const char *const bodies[] = {"bad request\n", "unauthorized\n",
                                         "not found\n", "not now\n"};
    const char *body = status == 400   ? bodies[0]
                       : status == 401 ? bodies[1]
                       : status == 404 ? bodies[2]
                                       : bodies[3];

    audit_refusal(a, req, reason);
    server_respond(req, status, TEXT_TYPE, NULL, body);
}

/* ---- the upgrade --------------------------------------------------------- */

static void opening_free(struct opening *o)
{
    agent_pod_release(&o->pod);
    free(o);
}

static void upgraded_cb(void *arg, struct stream *stream)
{
    struct opening *o = arg;

    if (stream && (o->agents->closing || o->agents->draining))
        stream_close(stream, NULL, NULL);
    else if (stream)
        agents_add(o->agents, &o->pod, o->direction, stream);
    opening_free(o);
}

static void judged_cb(void *arg, int status, struct agent_pod *pod,
                      const struct tp_error *err)
{
    struct opening *o = arg;
    struct agents *a = o->agents;
    char headers[64];

    a->env.metrics->agent_reviews[metrics_review_result(status)]++;
    if (status == 0 && (a->closing || a->draining))
        status = -ESHUTDOWN;
    if (status < 0) {
        refuse(a, o->req, status == -EACCES ? 401 : 503,
               err && err->code ? err->text : "the manager is stopping");
        opening_free(o);
        return;
    }
    o->pod = *pod;
    memset(pod, 0, sizeof(*pod));
    server_request_trust(o->req);
    snprintf(headers, sizeof(headers), "Upgrade: %s\r\n",
             upgrades[o->direction]);
    server_upgrade(o->req, headers, upgraded_cb, o);
}

static void judge(struct agents *a, struct server_request *req,
                  enum agent_direction direction, const char *token)
{
    struct opening *o = calloc(1, sizeof(*o));

    if (!o) {
        refuse(a, req, 503, "out of memory");
        return;
    }
    o->agents = a;
    o->req = req;
    o->direction = direction;
    if (a->env.judge->identify(a->env.judge_arg, token, judged_cb, o) < 0) {
        free(o);
        refuse(a, req, 503, "out of memory");
    }
}

/* ---- the request --------------------------------------------------------- */

static bool find_direction(const struct http1_head *head,
                           enum agent_direction *direction)
{
    const char *upgrade = http1_get(head, "Upgrade");

    if (!upgrade || !http1_has_token(head, "Connection", "upgrade"))
        return false;
    for (size_t i = 0; i < sizeof(upgrades) / sizeof(*upgrades); i++) {
        if (!strcmp(upgrade, upgrades[i])) {
            *direction = (enum agent_direction)i;
            return true;
        }
    }
    return false;
}

/* RFC 6750 2.1. NULL if there is not exactly one token. Borrowed. */
static const char *find_token(const struct http1_head *head)
{
    const char *token = http1_credentials(head, "Authorization", "Bearer ");
    size_t len = token ? strlen(token) : 0;

    if (len == 0 || len > TOKEN_MAX ||
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                      "0123456789-._~+/=") != len)
        return NULL;
    return token;
}

void agents_request_cb(void *arg, struct server_request *req)
{
    struct agents *a = arg;
    const struct http1_head *head = server_request_head(req);
    const char *token = find_token(head);
    enum agent_direction direction;

    if (identity_is_claimed(head))
        refuse(a, req, 400, "a front proxy's header");
    else if (strcmp(head->target, PATH) != 0)
        refuse(a, req, 404, "no such path");
    else if (strcmp(head->method, "POST") != 0 ||
             !find_direction(head, &direction))
        refuse(a, req, 400, "no upgrade");
    else if (a->draining || a->closing)
        refuse(a, req, 503, "the manager is stopping");
    else if (!token)
        refuse(a, req, 401, "no bearer token");
    else
        judge(a, req, direction, token);
}
