/* conn_internal.h - shared by conn.c, conn_rx.c and conn_link.c */
#ifndef TP_FUSE_CONN_INTERNAL_H
#define TP_FUSE_CONN_INTERNAL_H

#include <sys/queue.h>

#include "fuse/conn.h"
#include "fuse/transport.h"

#define CALLS_MAX 8192 /* in flight; a power of two */
#define RX_BYTES  (64 * 1024)
#define TICK_MS   100

enum conn_state {
    CONN_DOWN,    /* no socket; dialled again at `dial_at` */
    CONN_OPENING, /* the transport's handshakes */
    CONN_VERSION, /* INIT sent */
    CONN_UP,      /* calls are sent */
};

struct call {
    TAILQ_ENTRY(call) entry;
    uint32_t id;
    unsigned flags;
    enum sftp_type expect;
    reply_cb *cb;
    void *arg;
    bool sent;        /* wholly */
    uint64_t made_at; /* ms */
    uint64_t sent_at; /* us */
    const uint8_t *payload;
    uint32_t payload_len;
    uint8_t *sink;
    uint32_t sink_size;
    unsigned repeats;
    int err; /* set when it is to end without an answer */
    uint16_t len;
    uint8_t packet[];
};

TAILQ_HEAD(call_list, call);

struct conn {
    struct conn_config config;
    enum conn_state state;
    struct transport *transport;
    uv_poll_t *poll; /* with the transport */
    struct carrier_turn turn;
    uv_timer_t tick;     /* time-outs; runs while something is awaited */
    uv_prepare_t before; /* sends what one turn of the loop has made */
    struct tp_error failure;
    uint64_t down_since, dial_at, last_rx; /* ms */
    unsigned backoff;                      /* ms */
    unsigned attempts;                     /* since it was up */
    uint32_t generation, extensions, next_id;
    uint64_t rtt, rtt_at; /* us, ms */
    unsigned in_flight, n_calls;
    unsigned slow; /* of those in flight, CONN_SLOW */
    bool destroyed;
    struct call_list queue; /* not (wholly) sent */
    size_t sent;            /* bytes of the queue's first call */
    struct call_list ended; /* err is set; their callbacks are due */
    struct call *flight[CALLS_MAX];
    /* receiving */
    uint8_t *rx;
    size_t rx_size, rx_at, rx_len;
    struct call *filling; /* DATA goes straight into its sink */
    uint32_t fill_at, fill_len;
};

/* Sends what can be sent. 0 or the link's error. */
int conn_send(struct conn *c);
/* Reads and handles packets until there is no more. As above. */
int conn_receive(struct conn *c);
/* The call in flight that has this id, or NULL. */
struct call *conn_find(struct conn *c, uint32_t id);
/* The answer of the first packet. */
int conn_greet(struct conn *c, struct sftp_reader *body);
void conn_lose(struct conn *c, int err, const char *why);
void conn_tick(uv_timer_t *timer);
void conn_end(struct conn *c, struct call *call, const struct reply *reply);
/* The call ends with err when the loop comes to it. */
void conn_end_later(struct conn *c, struct call *call, int err);
void conn_watch(struct conn *c);
int conn_start_link(struct conn *c);

#endif
