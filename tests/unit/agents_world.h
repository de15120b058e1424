/*
 * agents_world.h - for the tests of agents and links: a manager's agents port
 * with real TLS, links on real sockets, and the peers of both in one loop
 *
 * Two things are not real: who a token's bearer is (a table instead of the API
 * server) and which engagements there are (a list instead of a watch).
 */
#ifndef TP_TESTS_AGENTS_WORLD_H
#define TP_TESTS_AGENTS_WORLD_H

#include <check.h>
#include <uv.h>

#include "manager/agent_pod.h"
#include "manager/agents.h"
#include "manager/certificate.h"
#include "manager/engagements.h"
#include "manager/identity.h"
#include "manager/info.h"
#include "manager/links.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "pki.h"
#include "tunnel_pair.h"

struct tls_ctx;

/* In the place of the manager's. */
struct engagements {
    struct engagement list[8];
    size_t count;
    unsigned pokes;
    unsigned files; /* streams */
};

/* What the API server would say of a token. */
struct known_pod {
    const char *token;
    const char *name, *uid;
    const char *workload; /* a Deployment in "shop" */
    const char *config;
    int status; /* instead of 0 */
};

struct world {
    uv_loop_t loop;
    uv_timer_t turn;
    struct metrics metrics;
    struct info info;
    struct parts parts;
    struct engagements engagements;
    struct known_pod pods[4];
    struct pki_pair ca;
    struct certificate certificate;
    struct tls_ctx *server_tls, *client_tls;
    struct server *server;
    uint16_t port;
};

void world_init(struct world *w);
/* Ends everything and checks that the loop is empty. */
void world_close(struct world *w);
void world_turn(struct world *w);
/* Turns of the loop of the variable `w` until the condition holds. */
#define UNTIL(condition)                                                       \
    do {                                                                       \
        for (int until_i_ = 0; !(condition); until_i_++) {                     \
            ck_assert_msg(until_i_ < 60000, "never: %s", #condition);          \
            world_turn(&w);                                                    \
        }                                                                      \
    } while (0)
/* So many turns in which something that must not happen could. */
void world_settle(struct world *w);

#define ID_1 "aaaaaaaaaaaaaaaaaaaaaaaaa1"
#define ID_2 "aaaaaaaaaaaaaaaaaaaaaaaaa2"
#define ID_3 "aaaaaaaaaaaaaaaaaaaaaaaaa3"

extern struct identity alice, bob;

/* An intercept of TCP 8080 and UDP 5353, toPod TCP 5432 and UDP 53. */
struct engagement *world_engage(struct world *w, const char *id,
                                const char *workload,
                                const struct identity *who,
                                const char *session);

/* A peer: an agent's connection or a client's link. */
struct peer {
    struct world *world;
    struct dial *dial;
    int dialled;     /* 1: upgraded, negative: refused */
    int http_status; /* of the refusal */
    struct tunnel *tunnel;
    bool client, ended;
    /* what it was told by events */
    char list[8192], replicas[512];
    unsigned lists;
    bool drain;
    /* the last answer to a request of its own */
    int status;
    char answer[2048];
    /* the last thing it was asked, and how it answers */
    char asked[128]; /* "POST /tp/v1/hello", "tcp NAME 8080", ... */
    unsigned hellos, opened;
    const char *hello_answer; /* NULL: the right one */
    struct user *next;        /* serves the next stream */
    int udp_fd;               /* the other end of its UDP flows */
};

/* Dials the agents' port; out: with hello and events, until it has both. */
void peer_dial_agent(struct world *w, struct peer *p, const char *token,
                     const char *upgrade);
/* The whole of the headers: Upgrade is added. */
void peer_dial(struct world *w, struct peer *p, const char *method,
               const char *path, const char *upgrade, const char *headers);
void peer_open_link(struct world *w, struct peer *p, const struct identity *who,
                    const char *session, enum link_direction direction);
/* As links_open(). */
bool peer_try_link(struct world *w, struct peer *p, const struct identity *who,
                   const char *session, enum link_direction direction);
void peer_request(struct peer *p, const char *method, const char *path,
                  const char *body);
void peer_close(struct peer *p);

/* A user on a new stream to an engagement. */
void peer_open(struct peer *p, struct user *u, const char *name, uint16_t port);

#endif
