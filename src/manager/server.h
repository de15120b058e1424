/*
 * server.h - a small HTTP/1.1 server, plain or TLS
 *
 * For the aggregated API and for health and metrics: requests with short
 * answers, and upgrades, after which the connection's byte stream belongs to
 * someone else. Bodies of requests are read and dropped, unless
 * server_set_limits() says to keep them. A request is answered exactly once,
 * now or later, by server_respond() or server_upgrade(); it is valid until
 * then, even if its connection is gone.
 *
 * Limits: 256 connections, 32 of one address that are not trusted yet, 10 s for
 * the handshake, for a head and for a body, 120 s idle. A connection that was
 * upgraded is not counted any more.
 */
#ifndef TP_MANAGER_SERVER_H
#define TP_MANAGER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "net/http1.h"
#include "net/stream.h"

struct server;
struct server_request;
struct tls_ctx;

typedef void server_request_cb(void *arg, struct server_request *req);

/* tls NULL: plain HTTP. NULL with err filled. */
struct server *server_create(uv_loop_t *loop, const union sockaddr_any *listen,
                             bool tls, server_request_cb *cb, void *arg,
                             struct tp_error *err);

/* A zero stands for what is said above. */
struct server_limits {
    size_t connections;
    size_t untrusted; /* of one address */
    /* Of a request; 413 above. Of all requests together four times that are
     * kept, 503 above. 0: bodies, up to 1 MiB, are dropped. */
    size_t body_max;
};

/* Before the loop runs. */
void server_set_limits(struct server *s, const struct server_limits *limits);

/* The context for connections from now on (borrowed; NULL: none is accepted).
 * With drop_idle connections that are between requests are closed, because
 * they were let in by rules that hold no more. */
void server_set_tls(struct server *s, struct tls_ctx *tls, bool drop_idle);

void server_get_addr(const struct server *s, union sockaddr_any *addr);

/* No callback comes any more. Requests must still be answered; the memory goes
 * with the last connection. NULL is fine. */
void server_close(struct server *s);

const struct http1_head *server_request_head(const struct server_request *req);
/* The whole body, NUL-terminated, borrowed until the request is answered; ""
 * if there is none or bodies are dropped. */
const char *server_request_body(const struct server_request *req, size_t *len);
/* The verified client certificate's common name; 0 or -ENOENT. */
int server_request_peer_name(const struct server_request *req, char *name,
                             size_t size);
/* Where the connection comes from. Borrowed. */
const union sockaddr_any *server_request_peer(const struct server_request *req);
/* The connection's peer has shown who it is: no limit per address. */
void server_request_trust(struct server_request *req);

/* `headers` are further lines with CRLF, or NULL. A status of 400 and above is
 * the last answer on a connection that is not trusted. */
void server_respond(struct server_request *req, int status,
                    const char *content_type, const char *headers,
                    const char *body);

/* Answers 101 with `headers` (lines with CRLF) and hands the stream over, which
 * cb owns from then on; NULL if the connection is gone. */
typedef void server_upgrade_cb(void *arg, struct stream *stream);
void server_upgrade(struct server_request *req, const char *headers,
                    server_upgrade_cb *cb, void *arg);

#endif
