/*
 * proxy_internal.h - the parts of the host's proxy
 *
 *   proxy.c        listeners, who is let in, what the cluster is
 *   proxy_conn.c   a client's connection, from its first byte to its relay
 *   proxy_socks.c  what is said in SOCKS
 *   proxy_http.c   what is said in HTTP
 *   proxy_udp.c    associations and their datagrams
 *   proxy_dial.c, proxy_lookup.c, proxy_access.c, proxy_request.c, proxy_pac.c
 */
#ifndef TP_DAEMON_PROXY_INTERNAL_H
#define TP_DAEMON_PROXY_INTERNAL_H

#include <sys/queue.h>

#include "base/buf.h"
#include "daemon/proxy.h"
#include "daemon/proxy_dial.h"
#include "net/forward.h"
#include "net/http1.h"
#include "net/http1_chunks.h"
#include "net/pipes.h"

#define PROXY_CONNS_MAX 1024
#define PROXY_ASSOC_MAX 64

struct listener;
struct proxy_conn;
struct proxy_assoc;
struct proxy_udp;

struct proxy {
    struct proxy_env env;
    struct pipes pipes;
    struct listener *unix_listener, *tcp_listener;
    struct proxy_udp *udp;
    char *path;
    /* What the port is on the host, see proxy_open(). */
    union sockaddr_any address;
    char *password; /* NULL: none is asked for */
    bool open;
    bool wide;     /* it is not on the host's loopback alone */
    char why[512]; /* it is not open, "" if it need not be */
    const struct proxy_cluster *cluster;
    LIST_HEAD(, proxy_conn) conns;
    LIST_HEAD(, proxy_relay) relays;
    unsigned count;   /* connections and relays */
    unsigned handles; /* conns that are closing and relays that end */
    bool destroyed;
};

bool proxy_may_reach(struct proxy *p, const union sockaddr_any *addr);
const char *proxy_namespace(const struct proxy *p);
const char *proxy_domain(const struct proxy *p);
/* Frees p after proxy_destroy() when nobody uses it any more. */
void proxy_let_go(struct proxy *p);

/* One joined pair of sockets. */
struct proxy_relay {
    LIST_ENTRY(proxy_relay) entry;
    struct proxy *p;
    struct forward *forward;
    struct http1_chunks chunks; /* of the client's request */
};

/* ---- proxy_conn.c ---- */

enum proxy_state {
    PROXY_FIRST,      /* no byte yet: which protocol? */
    PROXY_METHODS,    /* SOCKS: the greeting */
    PROXY_PASSWORD,   /* SOCKS: RFC 1929 */
    PROXY_REQUEST,    /* SOCKS: the request */
    PROXY_HEAD,       /* HTTP: the head */
    PROXY_DIALLING,   /* nothing is read */
    PROXY_ASSOCIATED, /* SOCKS: the UDP association lives as long as this */
    PROXY_ENDING,     /* an answer goes out, then the end is awaited */
};

struct proxy_conn {
    LIST_ENTRY(proxy_conn) entry;
    struct proxy *p;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
    bool closing;
    enum proxy_state state;
    union sockaddr_any peer; /* unmapped; family AF_UNIX: from inside */
    bool trusted;            /* no password is asked for */
    bool local;              /* the web pages are for it */
    bool http;
    struct buf in, out;
    struct proxy_dial *dial;
    struct proxy_assoc *assoc;
    /* For when it is connected: what goes to the server first, and how much of
     * the client's may follow (UINT64_MAX: all, or, of a chunked body, as much
     * as its chunks say). */
    struct buf up;
    uint64_t limit;
    bool chunked;
    struct http1_chunks chunks;
};

/* fd is owned; `trusted`: see above. */
void proxy_conn_create(struct proxy *p, int fd, const union sockaddr_any *peer,
                       bool trusted, bool local);
/* Resets it. */
void proxy_conn_abort(struct proxy_conn *c);
/* Queues bytes for the client. 0, or a negative errno: it is closed. */
int proxy_conn_say(struct proxy_conn *c, const void *data, size_t len);
/* Ends it when all that was queued is out. */
void proxy_conn_end(struct proxy_conn *c);
/* Dials; *_connected() or *_failed() below follow. */
void proxy_conn_dial(struct proxy_conn *c, const char *host, uint16_t port);

/* ---- proxy_socks.c: input in the states METHODS, PASSWORD, REQUEST. 1: a
 * message was taken, 0: it is not complete, < 0: no SOCKS, or c has gone. */
int proxy_socks_input(struct proxy_conn *c);
/* fd: the server's. */
int proxy_socks_connected(struct proxy_conn *c, int fd);
void proxy_socks_failed(struct proxy_conn *c, int status);

/* ---- proxy_http.c: the same for HEAD. */
int proxy_http_input(struct proxy_conn *c);
int proxy_http_connected(struct proxy_conn *c);
void proxy_http_failed(struct proxy_conn *c, int status);

/* ---- proxy_udp.c ---- */

/* The port for datagrams; NULL with err. */
struct proxy_udp *proxy_udp_create(struct proxy *p, uint16_t port,
                                   struct tp_error *err);
/* There are no associations any more. */
void proxy_udp_destroy(struct proxy_udp *u);

/* An association for a client with that address (any port). NULL: there are
 * too many, or out of memory. */
struct proxy_assoc *proxy_assoc_create(struct proxy_udp *u,
                                       const union sockaddr_any *peer);
void proxy_assoc_destroy(struct proxy_assoc *a);

#endif
