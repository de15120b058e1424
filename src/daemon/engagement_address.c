/*
 * engagement_address.c - does the host of --address exist?
 *
 * It is resolved for each connection, so a wrong name would only be noticed by
 * connections that fail. A name that does not exist yet may come: it is a
 * warning.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/sockaddr.h"
#include "daemon/engagement_internal.h"

struct address_check {
    LIST_ENTRY(address_check) entry;
    struct engagements *e; /* NULL: gone */
    char id[ENGAGEMENT_ID_LEN + 1];
    uv_getaddrinfo_t req;
};

static void resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct address_check *c = req->data;
    struct engagement *eng = c->e ? engagements_by_id(c->e, c->id) : NULL;

    if (c->e)
        LIST_REMOVE(c, entry);
    if (eng) {
        eng->resolving = false;
        if (status < 0 || !res)
            snprintf(eng->warning, sizeof(eng->warning),
                     "--address %.200s: there is no such host now; what is to "
                     "be delivered is refused until there is",
                     eng->spec.address);
        engagement_changed(eng);
    }
    uv_freeaddrinfo(res);
    free(c);
}

void engagement_address_check(struct engagement *eng)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct address_check *c;
    union sockaddr_any addr;

    if (sockaddr_parse(&addr, eng->spec.address, 0) == 0)
        return;
    c = calloc(1, sizeof(*c));
    if (!c)
        return;
    snprintf(c->id, sizeof(c->id), "%s", eng->id);
    c->req.data = c;
    if (uv_getaddrinfo(eng->e->loop, &c->req, resolved_cb, eng->spec.address,
                       NULL, &hints) < 0) {
        free(c);
        return;
    }
    c->e = eng->e;
    eng->resolving = true;
    LIST_INSERT_HEAD(&eng->e->checks, c, entry);
}

void engagement_address_forget(struct engagements *e)
{
    struct address_check *c;

    while ((c = LIST_FIRST(&e->checks))) {
        LIST_REMOVE(c, entry);
        c->e = NULL;
    }
}
