/*
 * dial.h - from a URL to an upgraded byte stream
 *
 * Resolves, connects (each address in turn, RFC 8305 in small), passes an
 * HTTP(S) proxy by CONNECT if there is one, does TLS, sends one HTTP/1.1
 * upgrade request and hands over the stream that begins after the answer's
 * head. One time-out covers everything.
 */
#ifndef TP_NET_DIAL_H
#define TP_NET_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/stream.h"
#include "net/tls.h"

struct dial_proxy {
    const char *host;
    uint16_t port;
    bool tls;                  /* an https:// proxy */
    const char *authorization; /* value of Proxy-Authorization, or NULL */
    struct tls_ctx *tls_ctx;   /* of an https:// proxy; NULL: who is in the
                                * system's trust store is trusted */
};

struct dial_config {
    const char *host; /* where to connect: a name or an IP literal */
    uint16_t port;
    const char *server_name;        /* verified name; NULL: host */
    struct tls_ctx *tls;            /* NULL: plain */
    const struct dial_proxy *proxy; /* NULL: direct */
    uint32_t mark;                  /* SO_MARK of the socket; 0: none */
    unsigned timeout_ms;

    /* The upgrade. method NULL: no HTTP at all, hand over the stream. */
    const char *method; /* "POST" or "GET" */
    const char *path;
    const char *upgrade; /* "tp/1" or "websocket" */
    const char *headers; /* further lines, each with CRLF; may hold a token */
};

/* status: -EACCES for 401, 403 and 407, -ENOENT for 404, -EPROTO for other
 * refusals, -EHOSTUNREACH for a name that does not resolve, tls.h's errors and
 * those of connect(). After "websocket" the frames are not yet taken off: the
 * caller puts websocket_create() on the stream. */
struct dial_result {
    int status;            /* 0, or a negative errno */
    int http_status;       /* of a refused upgrade, else 0 */
    const char *text;      /* one line for a person */
    const char *body;      /* of a refused upgrade, at most 8 KiB, or NULL */
    struct stream *stream; /* on success; the callee owns it */
};

/* Called once, from the loop. What result points to lives until it returns. */
typedef void dial_cb(void *arg, const struct dial_result *result);

struct dial;

/* Copies config. NULL only when out of memory. */
struct dial *dial_start(uv_loop_t *loop, const struct dial_config *config,
                        dial_cb *cb, void *arg);
/* No callback comes any more. Not allowed after the callback. */
void dial_cancel(struct dial *d);

/* A plain non-blocking TCP connect of one address, for the manager's dialling
 * and the tests: cb gets 0 and the connected socket, or a negative errno
 * (-ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, ...) and -1. */
typedef void connect_cb(void *arg, int status, int fd);
struct connect_op;
union sockaddr_any;
struct connect_op *connect_start(uv_loop_t *loop,
                                 const union sockaddr_any *addr, uint32_t mark,
                                 unsigned timeout_ms, connect_cb *cb,
                                 void *arg);
/* The same with a non-blocking socket that the caller made, which is owned from
 * here on; a negative errno instead of a socket is what cb will get. */
struct connect_op *connect_start_fd(uv_loop_t *loop, int fd,
                                    const union sockaddr_any *addr,
                                    unsigned timeout_ms, connect_cb *cb,
                                    void *arg);
void connect_cancel(struct connect_op *op);

#endif
