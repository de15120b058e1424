/*
 * link_ticket.c - a ticket for a direct link, given on one that the API server
 * has authenticated
 */
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/direct.h"
#include "manager/link_internal.h"

static char *make_ticket(const struct link *link, struct tp_error *err)
{
    struct ticket ticket = {.who = link->who, /* borrowed */
                            .expires = time(NULL) + TICKET_SECONDS};

    snprintf(ticket.ns, sizeof(ticket.ns), "%s", link->ns);
    snprintf(ticket.name, sizeof(ticket.name), "%s", link->name);
    return ticket_make(link->links->env.direct->key, &ticket, err);
}

int link_ticket(struct link *link, struct tunnel_stream *s)
{
    const struct direct *direct = link->links->env.direct;
    cleanup_json struct json_object *answer = json_object_new_object();
    struct tp_error err = {0};
    char *ticket;
    int rc;

    if (!direct || !direct->on)
        return tunnel_stream_respond(
            s, 404, "{\"error\":\"this manager has no direct links\"}");
    ticket = make_ticket(link, &err);
    if (!ticket) {
        json_put_str(answer, "error", err.text);
        return tunnel_stream_respond(s, 503,
                                     json_object_to_json_string(answer));
    }
    json_put_str(answer, "ticket", ticket);
    secret_free(ticket);
    json_object_object_add(answer, "seconds",
                           json_object_new_int(TICKET_SECONDS));
    json_object_object_add(answer, "endpoints",
                           json_object_get(direct->endpoints));
    json_put_str(answer, "serverName", direct->server_name);
    json_put_str(answer, "ca", direct->ca_pem);
    rc = tunnel_stream_respond(s, 200, json_to_text(answer));
    return rc;
}
