/*
 * server_internal.h - what server.c, server_conn.c, server_answer.c share
 *
 * A connection:
 *
 *   HANDSHAKE -> HEAD -> BODY -> BUSY -> WRITE -> HEAD ...
 *                                             \-> handed over (upgrade)
 *
 * HANDSHAKE  TLS only
 * HEAD       reading a head; without any byte of it the connection is idle
 * BODY       reading the request's body
 * BUSY       the request is with its handler; nothing is read or written, so
 *            that the handler's pointer stays good
 * WRITE      writing the answer
 */
#ifndef TP_MANAGER_SERVER_INTERNAL_H
#define TP_MANAGER_SERVER_INTERNAL_H

#include <sys/queue.h>

#include "base/buf.h"
#include "manager/server.h"
#include "manager/server_body.h"

#define SERVER_HEAD_MS    10000
#define SERVER_ANSWER_MAX (4 * 1024 * 1024)

enum server_conn_state { HANDSHAKE, HEAD, BODY, BUSY, WRITE, CLOSING };

/* The request's handler sees a connection as its request. */
struct server_request {
    struct server *server;
    TAILQ_ENTRY(server_request) entry;
    enum server_conn_state state;
    union sockaddr_any peer;
    struct stream *stream;
    uint64_t deadline; /* uv_now(); 0: none */
    bool trusted;
    bool close_after; /* the answer that is being written */
    struct buf in, out;
    struct http1_head *head; /* of the request that is being answered */
    struct server_body body;
    size_t body_counted; /* of server->body_bytes */
    server_upgrade_cb *upgrade_cb;
    void *upgrade_arg;
};

struct server {
    uv_loop_t *loop;
    struct listener *listener;
    uv_timer_t sweep;
    bool use_tls, closing, sweep_closed;
    struct tls_ctx *tls;
    server_request_cb *cb;
    void *arg;
    TAILQ_HEAD(, server_request) conns;
    size_t count;
    struct server_limits limits;
    size_t body_bytes; /* that are kept, of all connections */
};

/* Frees s if it is closed and has no connections. */
void server_free_if_done(struct server *s);

/* In the list, without a stream yet. NULL when out of memory. */
struct server_request *server_conn_create(struct server *s,
                                          const union sockaddr_any *peer);

/* Takes fd over: TLS if the server has it, then the first head. False: out of
 * memory, fd is closed and c is gone. */
bool server_conn_start(struct server_request *c, int fd);

/* Not while BUSY. It is freed later. */
void server_conn_close(struct server_request *c);
/* Its stream is somebody else's, or was closed. */
void server_conn_free(struct server_request *c);

/* timeout_ms 0: none. */
void server_conn_set_state(struct server_request *c,
                           enum server_conn_state state, unsigned timeout_ms,
                           unsigned events);

/* The next head, if it has come already. */
void server_conn_read_head(struct server_request *c);

/* Head and body of the request that was answered or refused. */
void server_conn_release_request(struct server_request *c);

/* WRITE: what the stream takes; then the next request, or the end. */
void server_conn_write(struct server_request *c);

#endif
