/*
 * link_incoming.c - the link on which the manager opens streams
 *
 * After the upgrade the manager is the HTTP/2 client. It says hello first; when
 * the client has answered, agents are told of its session's engagements.
 *
 * Leaving: the client is asked to make another incoming link (POST
 * /tp/v1/drain), which the API server leads to another replica. Until it has
 * one, streams still come by this link, so that nothing is lost; the client
 * closes it then. A client that does not know the request (404) gets no new
 * streams from here on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "manager/hello.h"
#include "manager/link_internal.h"

static void hello_cb(void *arg, int status, const char *body, size_t len)
{
    struct link *link = arg;
    char reason[64];

    if (link->closing || status == -EPIPE)
        return; /* the end has its own reason */
    if (hello_check(status, body, len) == 0) {
        link_greeted(link);
        return;
    }
    snprintf(reason, sizeof(reason), "the client answers hello by %d", status);
    link_close(link, reason);
}

int link_incoming_start(struct link *link)
{
    cleanup_free char *hello = hello_build();

    if (!hello)
        return -ENOMEM;
    return tunnel_request(link->tunnel, "POST", "/tp/v1/hello", hello, hello_cb,
                          link);
}

static void leave_cb(void *arg, int status, const char *body, size_t len)
{
    struct link *link = arg;

    (void)body;
    (void)len;
    if (!link->closing && status != 200)
        link_drain(link);
}

void link_incoming_leave(struct link *link)
{
    if (tunnel_request(link->tunnel, "POST", "/tp/v1/drain", "{}", leave_cb,
                       link) < 0)
        link_drain(link);
}
