/*
 * gate_open.c - from a request whose user is known to a link
 *
 * The right is asked for, whichever port the request came by.
 */
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
#include "manager/gate_internal.h"
#include "manager/links.h"
#include "manager/metrics.h"
#include "net/websocket.h"

/* A link on its way from the request to the upgrade. */
struct opening {
    struct gate *gate;
    struct server_request *req;
    struct identity who;
    struct gate_path path;
    enum link_direction direction;
    enum gate_port port;
    bool websocket;
};

void gate_respond_status(struct server_request *req, int code,
                         const char *reason, const char *message)
{
    cleanup_json struct json_object *obj =
        discovery_status(code, reason, message);

    server_respond(req, code, GATE_JSON, NULL, json_to_text(obj));
}

static void opening_free(struct opening *o)
{
    identity_release(&o->who);
    free(o);
}

static void audit_refusal(const struct opening *o, const char *reason)
{
    o->gate->metrics->refused++;
    audit_write(&(struct audit_event){
        .event = "link",
        .who = &o->who,
        .verb = "open",
        .ns = o->path.ns,
        .name = o->path.name,
        .allowed = false,
        .reason = reason,
    });
}

static void refuse(struct opening *o, int code, const char *reason,
                   const char *message)
{
    audit_refusal(o, message);
    gate_respond_status(o->req, code, reason, message);
    opening_free(o);
}

static void upgraded_cb(void *arg, struct stream *stream)
{
    struct opening *o = arg;

    if (stream && o->websocket)
        stream = websocket_create(stream, false);
    if (stream)
        links_open(o->gate->links, &o->who, o->path.ns, o->path.name,
                   o->direction, stream);
    opening_free(o);
}

static bool find_upgrade(const char *name, enum link_direction *direction)
{
    for (size_t i = 0; i < LINK_DIRECTIONS; i++) {
        if (!strcmp(name, link_upgrades[i].upgrade)) {
            *direction = (enum link_direction)i;
            return true;
        }
    }
    return false;
}

static bool find_subprotocol(const struct http1_head *head,
                             enum link_direction *direction)
{
    for (size_t i = 0; i < LINK_DIRECTIONS; i++) {
        if (link_upgrades[i].subprotocol &&
            http1_has_token(head, "Sec-WebSocket-Protocol",
                            link_upgrades[i].subprotocol)) {
            *direction = (enum link_direction)i;
            return true;
        }
    }
    return false;
}

static bool websocket_headers(struct opening *o, const struct http1_head *head,
                              char *out, size_t size)
{
    const char *key = http1_get(head, "Sec-WebSocket-Key");
    const char *version = http1_get(head, "Sec-WebSocket-Version");
    char accept[29];

    if (strcmp(head->method, "GET") != 0 || !key || strlen(key) != 24 ||
        !version || strcmp(version, "13") != 0 ||
        !find_subprotocol(head, &o->direction))
        return false;
    websocket_make_accept(key, accept);
    snprintf(out, size,
             "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n"
             "Sec-WebSocket-Protocol: %s\r\n",
             accept, link_upgrades[o->direction].subprotocol);
    return true;
}

/* What comes without the API server is no session of its own. */
static bool fits_port(const struct opening *o)
{
    if (o->port == GATE_DIRECT)
        return o->direction != LINK_OUTGOING && !o->websocket;
    return o->direction != LINK_DIRECT;
}

/* False if the request is no upgrade that is known. Writes the answer's lines,
 * and to o which link it is. */
static bool upgrade_headers(struct opening *o, const struct http1_head *head,
                            char *out, size_t size)
{
    const char *upgrade = http1_get(head, "Upgrade");

    if (!upgrade || !http1_has_token(head, "Connection", "upgrade"))
        return false;
    o->websocket = !strcasecmp(upgrade, "websocket");
    if (o->websocket)
        return websocket_headers(o, head, out, size) && fits_port(o);
    snprintf(out, size, "Upgrade: %.32s\r\n", upgrade);
    return !strcmp(head->method, "POST") &&
           find_upgrade(upgrade, &o->direction) && fits_port(o);
}

static void upgrade(struct opening *o)
{
    char headers[256];

    switch (links_check(o->gate->links, &o->who, o->path.name, o->direction)) {
    case LINKS_OK:
        break;
    case LINKS_FOREIGN: /* as if it did not exist: SECURITY 8 */
        refuse(o, 404, "NotFound", "no such connection");
        return;
    case LINKS_TOO_MANY:
        refuse(o, 429, "TooManyRequests",
               "too many connections of this user; end one by tp quit");
        return;
    case LINKS_DRAINING:
        refuse(o, 503, "ServiceUnavailable", "this tp-manager is stopping");
        return;
    }
    if (!upgrade_headers(o, server_request_head(o->req), headers,
                         sizeof(headers)))
        refuse(o, 400, "BadRequest", "no upgrade");
    else
        server_upgrade(o->req, headers, upgraded_cb, o);
}

static void authorized_cb(void *arg, int status)
{
    struct opening *o = arg;
    char message[512];

    if (status == 0) {
        upgrade(o);
        return;
    }
    if (status != -EACCES) {
        refuse(o, 503, "ServiceUnavailable",
               "the API server could not say whether this is allowed");
        return;
    }
    snprintf(message, sizeof(message),
             "user \"%.200s\" cannot create resource \"connections\" in API "
             "group \"" API_GROUP "\" in the namespace \"%s\" (bind the "
             "ClusterRole tp-user)",
             o->who.user, o->path.ns);
    refuse(o, 403, "Forbidden", message);
}

void gate_open(struct gate *g, struct server_request *req, struct identity *who,
               const struct gate_path *path, enum gate_port port)
{
    struct opening probe = {.port = port}, *o;
    char headers[256];

    if (!upgrade_headers(&probe, server_request_head(req), headers,
                         sizeof(headers))) {
        gate_respond_status(req, 400, "BadRequest",
                            "an upgrade is needed: POST with Upgrade: tp/1 or "
                            "tp-incoming/1, or GET with WebSocket protocol "
                            "v1.link.tp.internal or v1.incoming.tp.internal");
        return;
    }
    o = calloc(1, sizeof(*o));
    if (!o) {
        gate_respond_status(req, 503, "ServiceUnavailable", "out of memory");
        return;
    }
    o->gate = g;
    o->req = req;
    o->port = port;
    o->path = *path;
    o->who = *who;
    memset(who, 0, sizeof(*who)); /* given away */
    if (!authorize_start(g->api, g->metrics, &o->who, o->path.ns, authorized_cb,
                         o))
        refuse(o, 503, "ServiceUnavailable", "out of memory");
}
