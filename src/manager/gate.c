#include "manager/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/audit.h"
#include "manager/authorize.h"
#include "manager/discovery.h"
#include "manager/frontproxy.h"
#include "manager/gate_internal.h"
#include "manager/links.h"
#include "manager/metrics.h"
#include "net/websocket.h"

#define NOISE_PER_S 5
#define NOISE_BURST 50

/* ---- other requests
 * ---------------------------------------------------------- */

static void respond_connection(const struct gate *g, struct server_request *req,
                               const struct identity *who,
                               const struct gate_path *path)
{
    cleanup_json struct json_object *obj = NULL, *meta = NULL;

    if (!links_is_open(g->links, who, path->ns, path->name)) {
        gate_respond_status(req, 404, "NotFound", "no such connection");
        return;
    }
    obj = json_object_new_object();
    meta = json_object_new_object();
    json_put_str(meta, "name", path->name);
    json_put_str(meta, "namespace", path->ns);
    json_put_str(obj, "kind", "Connection");
    json_put_str(obj, "apiVersion", API_GROUP "/" API_VERSION);
    json_object_object_add(obj, "metadata", json_object_get(meta));
    server_respond(req, 200, GATE_JSON, NULL, json_to_text(obj));
}

static void route(struct gate *g, struct server_request *req,
                  struct identity *who, const char *path)
{
    const char *method = server_request_head(req)->method;
    const char *document = discovery_document(path);
    bool get = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    struct gate_path target;
    struct tp_error err = {0};
    int rc;

    if (document && get) {
        server_respond(req, 200, GATE_JSON, NULL, document);
        return;
    }
    rc = gate_parse_path(&target, path, &err);
    if (rc == -EINVAL)
        gate_respond_status(req, 400, "BadRequest", err.text);
    else if (rc < 0 && !document)
        gate_respond_status(req, 404, "NotFound", "no such resource");
    else if (rc == 0 && target.portforward)
        gate_open(g, req, who, &target, GATE_AGGREGATED);
    else if (rc == 0 && target.name[0] && get)
        respond_connection(g, req, who, &target);
    else
        gate_respond_status(req, 405, "MethodNotAllowed",
                            "connections are opened through the subresource "
                            "portforward");
}

/* ---- who asks
 * ------------------------------------------------------------------ */

void gate_init(struct gate *g, uv_loop_t *loop)
{
    g->loop = loop;
    bucket_init(&g->noise, NOISE_PER_S, NOISE_BURST, uv_now(loop));
}

void gate_refuse_caller(struct gate *g, struct server_request *req, int code,
                        const char *reason, const char *message)
{
    g->metrics->refused++;
    if (bucket_take(&g->noise, uv_now(g->loop))) {
        audit_write(&(struct audit_event){
            .event = "request",
            .verb = server_request_head(req)->method,
            .allowed = false,
            .reason = message,
            .suppressed = g->suppressed,
        });
        g->suppressed = 0;
    } else {
        g->suppressed++;
    }
    gate_respond_status(req, code, reason, message);
}

/* True if the API server is on the other side. */
static bool authenticate(struct gate *g, struct server_request *req)
{
    char name[256];

    if (server_request_peer_name(req, name, sizeof(name)) < 0) {
        gate_refuse_caller(g, req, 401, "Unauthorized",
                           "a front-proxy client certificate is needed");
        return false;
    }
    if (!frontproxy_allows_name(g->frontproxy, name)) {
        gate_refuse_caller(
            g, req, 401, "Unauthorized",
            "the client certificate is not one of a front proxy");
        return false;
    }
    server_request_trust(req);
    return true;
}

void gate_request_cb(void *arg, struct server_request *req)
{
    struct gate *g = arg;
    const struct http1_head *head = server_request_head(req);
    cleanup_free char *path = strndup(head->target, strcspn(head->target, "?"));
    struct identity who = {0};
    struct tp_error err = {0};
    int rc;

    if (!authenticate(g, req))
        return;
    rc = identity_from_headers(&who, head, g->frontproxy, &err);
    if (rc == -EBADMSG)
        gate_refuse_caller(g, req, 400, "BadRequest", err.text);
    else if (rc == -EACCES)
        gate_refuse_caller(g, req, 401, "Unauthorized", err.text);
    else if (rc < 0 || !path)
        gate_respond_status(req, 503, "ServiceUnavailable", "out of memory");
    else
        route(g, req, &who, path);
    identity_release(&who);
}
