/*
 * dns_ask.h - one query: what is to become of it, and what its answer
 *
 * dns_ask_make() decides: it is answered here, or asked of the cluster or of
 * the upstream resolver, as it is or by another name. Whoever asks gives what
 * comes back to dns_ask_take(), which makes the answer to the client's question
 * of it and lets the cache keep it. Both carriers, UDP and TCP, do the same.
 */
#ifndef TP_DAEMON_DNS_ASK_H
#define TP_DAEMON_DNS_ASK_H

#include "daemon/dns_cache.h"
#include "daemon/dns_internal.h"
#include "daemon/dns_rewrite.h"

/* Who asked, as far as his answer depends on it. */
struct dns_client {
    size_t max;                  /* bytes of an answer by UDP that he takes */
    size_t end;                  /* of head */
    uint8_t head[DNS_MAX_ERROR]; /* his header and question, as he wrote it */
};

struct dns_ask {
    struct dns_client client;
    enum dns_kind kind;
    bool shared;      /* key is set: the cache may know the answer */
    bool local_name;  /* one label: a name of Docker's, which may go any time */
    unsigned version; /* of the configuration that decided */
    struct dns_key key;
    enum dns_rename rename;
    const uint8_t *msg; /* what is asked: the query, or in `renamed` */
    size_t len, end;    /* of it and of its question */
};

/* Reads a query; `renamed` is where another one is made if need be. Both must
 * stay where they are as long as ask->msg is used. 0, or -EBADMSG. */
int dns_ask_make(const struct dns *d, struct dns_ask *ask, const uint8_t *msg,
                 size_t len, uint8_t renamed[DNS_RENAMED_MAX]);

/* The answer if it is known here: its length, or 0. `out` has room for
 * DNS_MAX_MSG. */
size_t dns_ask_answer(struct dns *d, const struct dns_ask *ask, uint8_t *out);

/* Makes the answer of what was answered to ask->msg (dns_msg_answers() is
 * true), in `out`, which has room for DNS_MAX_MSG. 0: it is of no use. */
size_t dns_ask_take(struct dns *d, const struct dns_ask *ask,
                    const uint8_t *msg, size_t len, uint8_t *out);

/* Gives an answer the id and the question that this client used; by UDP one
 * that is too long for him becomes a truncated one. Returns its length. */
size_t dns_client_fit(const struct dns_client *client, bool udp, uint8_t *msg,
                      size_t len);

#endif
