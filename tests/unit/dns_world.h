/*
 * dns_world.h - the dns module between two resolvers on loopback, one of them
 * behind a tunnel
 */
#ifndef TP_TESTS_DNS_WORLD_H
#define TP_TESTS_DNS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/dns.h"
#include "daemon/dns_msg.h"
#include "tunnel_pair.h"

/* A resolver on loopback: answers with the query itself, QR set and a tag in
 * the AA bit, by UDP and TCP on one port. */
struct fake {
    union sockaddr_any addr;
    int udp, tcp, conn;
    bool tag, silent, truncate;
    unsigned queries, conns;
    uint16_t last_id;
    char last_name[DNS_NAME_TEXT];
    uint8_t rcode;
    const void *records; /* what follows the question, */
    size_t records_len;
    uint8_t n_answers, n_authority; /* so many of these; 0: the query's rest */
};

extern struct pair pair;
extern struct fake cluster, upstream;
extern struct dns *dns;

struct answer {
    unsigned n;
    uint16_t id;
    uint8_t flags, rcode;
    size_t len;
    uint8_t msg[1024];
};

/* Writes a query and returns its length. */
size_t dns_world_query(uint8_t *out, uint16_t id, const char *name,
                       uint16_t type);
void fake_serve(struct fake *f);

void dns_world_setup(void);
void dns_world_teardown(void);
/* "cluster.local" at 10.43.0.10. */
void dns_world_configure(unsigned timeout_ms);

void dns_world_reply_cb(void *arg, const void *msg, size_t len);
/* By UDP, type A; *a must live until it is answered. */
void dns_world_ask(struct answer *a, uint16_t id, const char *name);

int dns_world_open_tcp(void);
void dns_world_send_tcp(int fd, uint16_t id, const char *name);
/* One answer, if it is there whole. */
bool dns_world_recv_tcp(int fd, struct answer *a);

#define SERVE_UNTIL(condition)                                                 \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            pair_turn(&pair);                                                  \
            fake_serve(&cluster);                                              \
            fake_serve(&upstream);                                             \
        }                                                                      \
    } while (0)

#endif
