/*
 * dns_tcp_internal.h - DNS over TCP, in three parts
 *
 *   dns_tcp.c      a client's connection and its queries
 *   dns_backend.c  where they go: a tunnel stream, or an upstream's socket
 *   dns_peer.c     a connected socket on the loop, and frames (RFC 1035 4.2.2)
 */
#ifndef TP_DAEMON_DNS_TCP_INTERNAL_H
#define TP_DAEMON_DNS_TCP_INTERNAL_H

#include "base/buf.h"
#include "daemon/dns_internal.h"

#define DNS_MAX_FRAME  (DNS_MAX_MSG + 2)
#define DNS_TCP_BUFFER (256 * 1024)
#define DNS_TCP_CHUNK  16384 /* of one read */

/* ---- dns_peer.c ---- */

struct dns_peer {
    uv_tcp_t tcp; /* first: freed through its handle */
    void *owner;
};

/* Owns fd, also on failure. */
struct dns_peer *dns_peer_create(uv_loop_t *loop, int fd, void *owner);
void dns_peer_close(struct dns_peer **peer);
/* Copies data into the socket's queue; -ENOBUFS when that is full. */
int dns_peer_write(struct dns_peer *peer, const void *data, size_t len);
/* For uv_read_start(): the reader frees buf->base. */
void dns_peer_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
/* The length of the first whole frame of a buffer, or 0. */
size_t dns_frame_len(const struct buf *b);

/* ---- dns_backend.c ---- */

struct dns_conn;
struct dns_flow;

struct dns_backend {
    struct dns_conn *conn;
    struct dns *d;
    enum dns_kind kind;
    struct buf in, out;
    struct dns_flow *flow;         /* DNS_CLUSTER */
    struct connect_op *connecting; /* DNS_UPSTREAM */
    struct dns_peer *peer;         /* DNS_UPSTREAM, connected */
};

void dns_backend_init(struct dns_backend *b, struct dns_conn *conn,
                      struct dns *d, enum dns_kind kind);
/* Queues one framed query, and connects first if need be. Negative: it could
 * not be queued. */
int dns_backend_send(struct dns_backend *b, const uint8_t *frame, size_t len);
/* Disconnects; may be used again. */
void dns_backend_release(struct dns_backend *b);

/* ---- dns_tcp.c, for its backends ---- */

/* A frame has come. Negative: close the connection. */
int dns_conn_answer(struct dns_conn *c, enum dns_kind kind,
                    const uint8_t *frame, size_t len);
/* The backend is gone: what it had not answered becomes SERVFAIL, and the next
 * query makes a new one. */
void dns_conn_backend_failed(struct dns_conn *c, enum dns_kind kind);
/* Stops everything at once; the memory lives until the loop comes round, so
 * that callers up the stack may still look at it. */
void dns_conn_close(struct dns_conn *c);

#endif
