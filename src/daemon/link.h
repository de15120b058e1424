/*
 * link.h - one link to the manager: dial, upgrade, tunnel, hello
 *
 * Tries `POST Upgrade: tp/1` first and a WebSocket where something on the way
 * wants that. A link is one attempt: it becomes ready and ends later, or it
 * fails; a new one is made then. On an *outgoing* link this side opens streams,
 * on an *incoming* one the manager does.
 */
#ifndef TP_DAEMON_LINK_H
#define TP_DAEMON_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "daemon/link_failure.h"
#include "daemon/session_config.h"
#include "tunnel/direction.h"
#include "tunnel/tunnel.h"

struct json_object;
struct link;

/* A link that goes to the manager itself, outgoing, for streams. */
struct link_direct {
    const char *host;
    uint16_t port;
    const char *server_name; /* verified */
    const char *ca_pem;      /* the only authority that is trusted */
    const char *ticket;      /* of the manager; who the user is */
};

struct link_config {
    const struct session_config *session;
    const char *name;    /* of the session, on the path */
    uint32_t mark;       /* SO_MARK */
    bool websocket;      /* it worked the last time: no attempt at tp/1 */
    unsigned timeout_ms; /* of the dialling; 0: 10 s */
    enum link_direction direction;
    const struct link_direct *direct; /* of LINK_DIRECT, else NULL */
};

/* All come from the loop. The link may be destroyed in each of them. */
struct link_ops {
    /* hello is the manager's answer to hello (doc/protocol.md 3), or on an
     * incoming link its request; borrowed. */
    void (*ready_cb)(void *arg, struct json_object *hello);
    /* Incoming: the manager opens a stream; as tunnel_ops.open_cb. */
    int (*open_cb)(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    /* Instead of ready_cb; destroy the link. */
    void (*failed_cb)(void *arg, const struct link_failure *f);
    /* A line of the manager's events, borrowed. */
    void (*event_cb)(void *arg, struct json_object *event);
    /* After ready_cb: the link has ended; destroy it. */
    void (*closed_cb)(void *arg, const char *why);
};

/* Copies config; the session is not needed after this. NULL with err. */
struct link *link_create(uv_loop_t *loop, const struct link_config *config,
                         const struct link_ops *ops, void *arg,
                         struct tp_error *err);
void link_destroy(struct link *l);

/* After ready_cb. */
struct tunnel *link_tunnel(const struct link *l);
/* Outgoing: no new streams and no events any more; closed_cb comes after the
 * last conversation. */
void link_retire(struct link *l);
bool link_is_websocket(const struct link *l);
/* The address at the other end of the socket: API server or proxy. */
const union sockaddr_any *link_peer(const struct link *l);

#endif
