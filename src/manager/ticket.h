/*
 * ticket.h - a user's identity, carried from one link to another
 *
 * A direct link does not pass the API server, so nobody there says who the user
 * is. Instead of asking him for a credential of the cluster (which would make
 * the manager a place where tokens are found), a manager gives a ticket on a
 * link that the API server has authenticated; any replica takes it on the
 * direct port within a minute. It says who he is, not what he may: rights are
 * asked for at the direct link as at any other.
 *
 *     BASE64(JSON) "." HEX(HMAC-SHA256(key, BASE64(JSON)))     (RFC 2104)
 *
 * The key comes from a secret that all replicas have.
 */
#ifndef TP_MANAGER_TICKET_H
#define TP_MANAGER_TICKET_H

#include <stdint.h>

#include "base/error.h"
#include "manager/identity.h"

#define TICKET_SECONDS 60
/* Of the text: it is one line of a head (32 KiB). A user in so many groups that
 * it does not fit has no direct link. */
#define TICKET_MAX  16384
#define TICKET_KEY  32
#define TICKET_NAME 64

struct ticket {
    struct identity who;
    char ns[TICKET_NAME], name[TICKET_NAME]; /* of the session */
    int64_t expires;                         /* EPOCH */
};

/* From the PEM of the authority's (or, without one, the certificate's) key. 0
 * or -EIO. */
int ticket_derive_key(uint8_t key[TICKET_KEY], const char *secret_pem);

/* NULL with err filled (-EMSGSIZE, -ENOMEM); else the caller frees it by
 * secret_free(). */
char *ticket_make(const uint8_t key[TICKET_KEY], const struct ticket *ticket,
                  struct tp_error *err);
/* 0, or -EACCES with err: not one of ours, or too old at `now` (EPOCH).
 * Nothing of the text is interpreted before its code is checked. Release also
 * after a failure. */
int ticket_read(struct ticket *out, const uint8_t key[TICKET_KEY],
                const char *text, int64_t now, struct tp_error *err);
void ticket_release(struct ticket *ticket);

#endif
