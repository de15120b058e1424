/*
 * agent_manager.h - a manager for the agent's tests: real TLS, real links
 *
 * Replicas listen on 127.0.0.1, .2 and .3 at one port, as pods do. They take
 * both upgrades of doc/protocol.md 6 and say what the test wants.
 */
#ifndef TP_TESTS_AGENT_MANAGER_H
#define TP_TESTS_AGENT_MANAGER_H

#include <uv.h>

#include "net/listen.h"
#include "net/tls.h"
#include "pki.h"
#include "tunnel/tunnel.h"

#define FAKE_REPLICAS 3
#define FAKE_NAME     "tp-manager.tp-system.svc"

struct fake_manager;

struct fake_replica {
    struct fake_manager *m;
    char ip[24];
    struct listener *listener;    /* NULL: down */
    struct tunnel *out, *in;      /* as the agent calls them */
    struct tunnel_stream *events; /* of out */
    char pending[4096];           /* lines that the agent has not got */
    char hello[512];              /* answer; "": {"protocol":1,"replica":ip} */
    char token[256];              /* of the last upgrade */
    unsigned accepted;            /* TCP connections */
    unsigned heads;               /* HTTP heads that came */
    unsigned handshakes;          /* that succeeded */
    unsigned hellos;
    unsigned seconds; /* links that there were already */
    int refuse;       /* HTTP status instead of 101 */
    int out_status;
    char opened[SOCKADDR_TEXT]; /* CONNECT on out */
};

struct fake_manager {
    uv_loop_t *loop;
    struct tls_ctx *tls;
    struct pki_pair ca;
    uint16_t port;
    struct fake_replica replicas[FAKE_REPLICAS];
};

/* names: of the certificate (NULL: FAKE_NAME); ca: NULL: its own, which the
 * agent is to trust. */
void fake_init(struct fake_manager *m, uv_loop_t *loop, const char *name);
void fake_start(struct fake_replica *r);
/* Ends its links and listens no more. */
void fake_stop(struct fake_replica *r);
void fake_release(struct fake_manager *m);

/* A line to the agent's events. */
void fake_event(struct fake_replica *r, const char *line);

#endif
