/*
 * direct.h - links that do not pass the API server
 *
 * TLS 1.3 on a port of its own, which the chart gives a Service that clients
 * reach. Its certificate is the manager's, so clients verify it by the
 * authority that they are told of on a link of the aggregated API. A user shows
 * a ticket (ticket.h); what he may is asked for as on any link.
 */
#ifndef TP_MANAGER_DIRECT_H
#define TP_MANAGER_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "manager/ticket.h"
#include "net/direct_endpoint.h"

struct json_object;
struct link;
struct manager;
struct tunnel_stream;

/* What a client is told; changes its content. */
struct direct {
    bool on; /* there is a listener and all of this is known */
    uint8_t key[TICKET_KEY];
    char *ca_pem;
    char *server_name;
    struct json_object *endpoints; /* ["HOST:PORT"], at least one */
};

/* The endpoints that a Service of type LoadBalancer or NodePort leads to;
 * `nodes` are addresses of nodes. The caller puts the array, which may be
 * empty. */
struct json_object *direct_endpoints_of(struct json_object *service,
                                        struct json_object *nodes);
/* "HOST:PORT,..." as the chart gives it; NULL with err filled. */
struct json_object *direct_endpoints_parse(const char *text,
                                           struct tp_error *err);

/* direct_listener.c: the port. No listener without --listen-direct. */
int direct_start(struct manager *m, struct tp_error *err);
/* Puts in force what has changed; true if clients are to be told that there are
 * direct links, or are none any more. */
bool direct_refresh(struct manager *m, bool cert_changed);
void direct_release(struct manager *m);

/* link_ticket.c: POST /tp/v1/ticket on an outgoing link. */
int link_ticket(struct link *link, struct tunnel_stream *s);

#endif
