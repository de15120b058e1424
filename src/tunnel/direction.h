/*
 * direction.h - the kinds of link, and how each is asked for
 * (doc/protocol.md 1)
 */
#ifndef TP_TUNNEL_DIRECTION_H
#define TP_TUNNEL_DIRECTION_H

enum link_direction {
    LINK_OUTGOING, /* the client opens streams */
    LINK_INCOMING, /* the manager opens streams of engagements */
    LINK_DIRECT,   /* as outgoing, but it did not pass the API server: for
                    * streams alone, beside an outgoing one */
    LINK_DIRECTIONS
};

struct link_upgrade {
    const char *upgrade;     /* POST */
    const char *subprotocol; /* GET, WebSocket; NULL: not so */
};

extern const struct link_upgrade link_upgrades[LINK_DIRECTIONS];

#endif
