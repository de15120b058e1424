/*
 * tcp_capture_internal.h - what tcp_capture.c, tcp_conn.c and tcp_local.c share
 *
 * With a queue, a connection begins with its held SYN: the far end is dialled,
 * the verdict says what it said, and when the kernel then gives us the local
 * socket, it is joined with the stream that waits under the same addresses.
 * Without a queue (or if the two do not find each other) it begins with the
 * local socket, which is reset if the far end refuses.
 *
 * A SYN with the same addresses and the same sequence number is a retransmit;
 * with another number the client has given up and begun anew.
 */
#ifndef TP_DAEMON_TCP_CAPTURE_INTERNAL_H
#define TP_DAEMON_TCP_CAPTURE_INTERNAL_H

#include "base/flow_table.h"
#include "daemon/tcp_capture.h"
#include "net/pipes.h"

struct connect_op;
struct forward;
struct tcp_accept;

enum tcp_conn_state {
    CONN_WAITING,  /* no link; until one comes or the grace ends */
    CONN_DIALLING, /* the far end, or the local program, has not answered */
    CONN_OPEN,     /* far end open, SYN let through, socket to come */
    CONN_DONE,     /* refused; kept for the SYN's retransmits */
    CONN_DEAD,     /* only waits for its stream's closed_cb */
};

struct tcp_conn {
    struct flow_node node; /* first: found by it */
    struct tcp_conn *next, *prev;
    struct tcp_capture *tc;
    enum tcp_conn_state state;
    struct tunnel_stream *stream;
    union sockaddr_any dst; /* as the program sees it */
    uint64_t deadline;      /* uv_now() */
    uint32_t seq;
    uint32_t packet;
    bool held;             /* packet waits for a verdict */
    bool failed;           /* the stream ends by itself: no reset */
    bool eof;              /* the far end has nothing to say */
    int fd;                /* the local socket if it came first, else -1 */
    struct connect_op *op; /* to a local program */
    int local;             /* connected to it, else -1 */
    bool local_tried;
    enum hold_verdict verdict; /* of CONN_DONE */
};

/* One that was joined. */
struct tcp_relay {
    struct tcp_relay *next, *prev;
    struct tcp_capture *tc;
    struct relay *relay;
    struct forward *forward; /* to a local program, instead */
    union sockaddr_any dst;
};

struct tcp_capture {
    uv_loop_t *loop;
    struct dns *dns;
    struct tunnel *tunnel;
    uint64_t lost_at; /* when there was a link last; uv_now() */
    struct shortcuts shortcuts;
    struct hold_queue *queue;
    const struct capture_set *set;
    const struct vnat *vnat;
    union sockaddr_any dns_addr;
    struct tcp_accept *accept;
    uv_timer_t sweep;
    struct flow_table table;
    struct tcp_conn *conns; /* all, also CONN_DEAD */
    struct tcp_relay *relays;
    struct tcp_capture_stats stats;
    unsigned users; /* conns and relays whose end has not been told */
    bool closing, sweep_closed;
    struct pipes pipes; /* large; last */
};

/* Frees tc if it is closed and nothing is left of it. Whoever calls out of a
 * loop over its lists holds `users` meanwhile. */
void tcp_capture_free_if_done(struct tcp_capture *tc);

/* A connection in the table, CONN_DIALLING of nobody yet; NULL beyond
 * TCP_CAPTURE_PENDING_MAX or out of memory. */
struct tcp_conn *tcp_conn_create(struct tcp_capture *tc,
                                 const union sockaddr_any *src,
                                 const union sockaddr_any *dst);
struct tcp_conn *tcp_conn_find(struct tcp_capture *tc,
                               const union sockaddr_any *src,
                               const union sockaddr_any *dst);

/* What c->dst stands for (vnat.h). */
union sockaddr_any tcp_conn_far(const struct tcp_conn *c);

/* Dials the far end, or waits for a link. */
void tcp_conn_dial(struct tcp_conn *c);

/* The local socket and the stream have found each other: makes them a relay,
 * which owns both. The connection ends. */
void tcp_conn_join(struct tcp_conn *c, int fd);

/* The far end, or the local program, is there: the SYN passes. */
void tcp_conn_opened(struct tcp_conn *c);

/* tcp_local.c: begins to dial a local program; false if there is none for it,
 * or it was tried before. */
bool tcp_local_dial(struct tcp_conn *c);
void tcp_local_join(struct tcp_conn *c, int fd);
void tcp_local_end(struct tcp_conn *c);

/* An entry for what is joined, NULL if out of memory; and its end. */
struct tcp_relay *tcp_relay_add(struct tcp_capture *tc,
                                const union sockaddr_any *dst);
void tcp_relay_ended(struct tcp_relay *r);

/* Its deadline has passed. */
void tcp_conn_expire(struct tcp_conn *c);

/* Drops the held packet, resets socket and stream and takes the connection out
 * of the table; it is freed now, or when its stream has ended. */
void tcp_conn_end(struct tcp_conn *c);

#endif
