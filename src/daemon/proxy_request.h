/*
 * proxy_request.h - what a client of an HTTP proxy asks for
 *
 * RFC 9112 3.2: "CONNECT host:port" (authority-form), "GET http://host/path"
 * (absolute-form), and "GET /path" (origin-form), which is for ourselves.
 */
#ifndef TP_DAEMON_PROXY_REQUEST_H
#define TP_DAEMON_PROXY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/http1.h"

enum proxy_form { PROXY_CONNECT, PROXY_FORWARD, PROXY_ORIGIN };

struct proxy_request {
    enum proxy_form form;
    char host[256];        /* CONNECT, FORWARD: a name or an address */
    uint16_t port;         /* the same */
    const char *authority; /* FORWARD: as written, authority_len bytes */
    size_t authority_len;
    const char *path; /* FORWARD, ORIGIN: in the head, "" is the root */
    /* FORWARD: how many bytes follow the head; UINT64_MAX: as many as the
     * chunks say. */
    uint64_t body;
};

/* Reads a head's target. 0, -EBADMSG, or -EPROTONOSUPPORT for another scheme
 * than http; r points into the head. */
int proxy_request_parse(struct proxy_request *r, const struct http1_head *head);

/* Appends the head as the server gets it: origin-form, the target's Host,
 * nothing that was meant for this hop, "Connection: close". old: the client
 * speaks HTTP/1.0. 0, -ENOBUFS or -ENOMEM. */
int proxy_request_rewrite(const struct proxy_request *r,
                          const struct http1_head *head, bool old,
                          struct buf *out);

/* "host", "host:port" or "[v6]:port", len bytes; *port stays if none is
 * given. 0 or -EBADMSG. */
int proxy_authority_parse(const char *text, size_t len, char host[256],
                          uint16_t *port);

#endif
