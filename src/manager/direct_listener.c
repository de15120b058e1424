/*
 * direct_listener.c - the port of direct links
 *
 * Anybody reaches it: before a ticket is checked nothing is kept, and the
 * server bounds the connections of one address.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/direct.h"
#include "manager/gate_internal.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/server.h"
#include "manager/snapshot.h"
#include "net/tls.h"

/* ---- requests ------------------------------------------------------------ */

static void open_link(struct manager *m, struct server_request *req,
                      const struct gate_path *path, const char *text)
{
    struct ticket ticket;
    struct tp_error err = {0};

    if (ticket_read(&ticket, m->direct.key, text, time(NULL), &err) < 0)
        gate_refuse_caller(&m->gate, req, 401, "Unauthorized", err.text);
    else if (strcmp(ticket.ns, path->ns) != 0 ||
             strcmp(ticket.name, path->name) != 0)
        gate_refuse_caller(&m->gate, req, 401, "Unauthorized",
                           "the ticket is of another session");
    else {
        server_request_trust(req);
        gate_open(&m->gate, req, &ticket.who, path, GATE_DIRECT);
    }
    ticket_release(&ticket);
}

static void request_cb(void *arg, struct server_request *req)
{
    struct manager *m = arg;
    const struct http1_head *head = server_request_head(req);
    const char *text = http1_credentials(head, "Authorization", "Tp-Ticket ");
    struct gate_path path;
    struct tp_error err = {0};

    if (identity_is_claimed(head))
        gate_refuse_caller(&m->gate, req, 400, "BadRequest",
                           "a front proxy's header on the direct port");
    else if (!text || !m->direct.on)
        gate_refuse_caller(&m->gate, req, 401, "Unauthorized",
                           "a ticket is needed");
    else if (gate_parse_path(&path, head->target, &err) < 0 ||
             !path.portforward)
        gate_refuse_caller(&m->gate, req, 404, "NotFound", "no such resource");
    else
        open_link(m, req, &path, text);
}

/* ---- life ---------------------------------------------------------------- */

int direct_start(struct manager *m, struct tp_error *err)
{
    const struct options *o = m->options;
    struct json_object *given;

    if (!o->listen_direct.sa.sa_family)
        return 0;
    if (o->direct_endpoints) {
        given = direct_endpoints_parse(o->direct_endpoints, err);
        if (!given)
            return err->code;
        m->direct.endpoints = given;
    }
    m->direct_server =
        server_create(m->loop, &o->listen_direct, true, request_cb, m, err);
    if (!m->direct_server)
        return err->code;
    if (asprintf(&m->direct.server_name, "%s.%s.svc", o->service, o->ns) < 0) {
        m->direct.server_name = NULL;
        return tp_error_errno(err, -ENOMEM, "direct links");
    }
    return 0;
}

static void use_tls(struct manager *m)
{
    struct tp_error err = {0};

    if (credentials_serve(&m->credentials, m->direct_server, &m->direct_tls,
                          true, &err) < 0)
        log_error("direct links: %s", err.text);
}

static void take_endpoints(struct manager *m)
{
    struct json_object *fresh = m->snapshot->direct;

    if (m->options->direct_endpoints || !fresh ||
        json_object_equal(fresh, m->direct.endpoints))
        return;
    json_object_put(m->direct.endpoints);
    m->direct.endpoints = json_object_get(fresh);
}

/* The authority by which agents know the manager is the one for clients. */
static void take_authority(struct manager *m)
{
    const struct credentials *c = &m->credentials;
    const char *ca = m->inject.ca          ? m->inject.ca
                     : m->options->ca_cert ? c->source_cert
                                           : NULL;
    const char *secret = m->options->ca_key ? c->source_key : c->key_pem;

    free(m->direct.ca_pem);
    m->direct.ca_pem = ca ? strdup(ca) : NULL;
    if (!secret || ticket_derive_key(m->direct.key, secret) < 0) {
        free(m->direct.ca_pem);
        m->direct.ca_pem = NULL;
    }
}

bool direct_refresh(struct manager *m, bool cert_changed)
{
    bool was = m->direct.on;

    if (!m->direct_server)
        return false;
    if (cert_changed || !m->direct_tls)
        use_tls(m);
    take_endpoints(m);
    take_authority(m);
    /* Not before anyone is let in by the other port (use_tls in refresh.c). */
    m->direct.on = m->tls && m->direct_tls && m->direct.ca_pem &&
                   json_array_len(m->direct.endpoints) > 0;
    if (m->direct.on == was)
        return false;
    log_info("direct links: %s",
             m->direct.on ? json_object_to_json_string(m->direct.endpoints)
                          : "none, there is no endpoint that clients reach");
    return true;
}

void direct_release(struct manager *m)
{
    tls_ctx_destroy(m->direct_tls);
    free(m->direct.ca_pem);
    free(m->direct.server_name);
    json_object_put(m->direct.endpoints);
    explicit_bzero(&m->direct, sizeof(m->direct));
}
