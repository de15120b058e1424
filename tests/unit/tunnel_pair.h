/*
 * tunnel_pair.h - for the tunnel's tests: both ends of a link in one loop
 *
 * The link is a real TCP connection on loopback. The server end dials for real
 * what the client asks for, so tests work with sockets: pair_dial() gives the
 * application's end of a conversation with a listener.
 */
#ifndef TP_TESTS_TUNNEL_PAIR_H
#define TP_TESTS_TUNNEL_PAIR_H

#include <uv.h>

#include "tunnel/tunnel.h"

struct pair {
    uv_loop_t *loop; /* set before pair_init(): another pair's */
    uv_loop_t own_loop;
    uv_timer_t turn;
    struct tunnel *client, *server;
    int client_ended, server_ended; /* closed_cb calls */
    int client_status, server_status;
    char why[160];
    struct tunnel_config config; /* for both but the role */
    /* Instead of the built-in one, which dials TCP. */
    int (*open_cb)(struct pair *p, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    int refuse;                      /* answer with this */
    char opened_text[SOCKADDR_TEXT]; /* what the last stream asked for */
    void *arg;
    unsigned relays; /* that have not ended */
};

void pair_init(struct pair *p);
/* A new client in p->client; its peer is the socket that is returned. */
int pair_client(struct pair *p);
/* One turn of the loop, of a few milliseconds at most: the test's own sockets
 * are looked at between turns. */
void pair_turn(struct pair *p);
/* Turns of the loop of the variable `pair` until the condition holds. */
#define RUN_UNTIL(condition)                                                   \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            pair_turn(&pair);                                                  \
        }                                                                      \
    } while (0)

/* Destroys what is there and checks that the loop, if it is its own, is empty.
 */
void pair_close(struct pair *p);

/* Two connected TCP sockets. */
void tcp_pair(int fds[2]);
/* A listening socket on loopback and its address. */
int tcp_listen(union sockaddr_any *addr);

/* Opens a conversation with addr and joins a socket to it: the other end of
 * this socket. *status is 1 when open, or a negative errno. */
int pair_dial(struct pair *p, const union sockaddr_any *addr, int *status);

/* The built-in answer: dial, answer, relay. */
int pair_serve(struct pair *p, struct tunnel_stream *s,
               const struct tunnel_open *open);

/* A stream's user without a socket. */
enum user_event {
    USER_OPENED,
    USER_PULL,
    USER_PUSH,
    USER_EOF,
    USER_CLOSED,
    USER_EVENTS
};

struct user {
    struct tunnel_stream *stream; /* NULL after closed_cb */
    uint64_t offer;               /* bytes that it still sends, then the end */
    bool keep_open;               /* no end after them */
    bool stall;                   /* takes nothing */
    uint64_t sent, received;
    bool bad; /* received something else than what was sent */
    int opened, open_status, eofs, closed, status;
    void (*hook_cb)(struct user *u, enum user_event event);
    struct pair *pair;
};

extern const struct tunnel_stream_ops user_ops;

/* A user on a new stream of the client. */
void user_open(struct user *u, struct pair *p);
/* For pair.open_cb: answers with the user in p->arg and moves it on. */
int user_serve(struct pair *p, struct tunnel_stream *s,
               const struct tunnel_open *open);

/* FNV-1a, 64 bits, going on from h (0: start). */
uint64_t hash_bytes(uint64_t h, const void *data, size_t len);

#endif
