/*
 * dns_rewrite.h - a question asked by another name, and its answer given by
 * the first
 *
 * A name that is mapped to another (DNS_RENAME_ALIAS) is answered as if it were
 * a CNAME of that; the reverse name of a virtual address (DNS_RENAME_OWNER) as
 * if the cluster knew it. Messages are written anew: names in records that may
 * hold compressed ones (RFC 3597 4) are spelled out, other data is copied.
 */
#ifndef TP_DAEMON_DNS_REWRITE_H
#define TP_DAEMON_DNS_REWRITE_H

#include "daemon/dns_msg.h"
#include "daemon/dns_record.h"

#define DNS_REST_MAX    64 /* bytes of a query behind its question */
#define DNS_RENAMED_MAX (DNS_MAX_ERROR + DNS_REST_MAX)
#define DNS_ALIAS_TTL   30 /* of what is known here */

enum dns_rename { DNS_RENAME_NONE, DNS_RENAME_ALIAS, DNS_RENAME_OWNER };

/* The query with `name` in place of its own, whose question is `end` bytes.
 * EDNS is kept, if it is short. Returns the length; *new_end: of its
 * question. */
size_t dns_rewrite_query(const uint8_t *query, size_t len, size_t end,
                         const char *name, uint8_t out[DNS_RENAMED_MAX],
                         size_t *new_end);

/* The answer `msg` to what dns_rewrite_query() made, as one to the query whose
 * header and question are `head`. Returns its length, -EBADMSG, or -E2BIG if it
 * is longer than DNS_MAX_MSG, which `out` has room for. */
int dns_rewrite_answer(enum dns_rename how, const uint8_t *head, size_t end,
                       const uint8_t *msg, size_t len, uint8_t *out);

/* An answer to that query made here: one record of `type` with len bytes of
 * data, or none if len is 0. `out` has room for DNS_MAX_ERROR and 32 more. */
size_t dns_make_answer(const uint8_t *head, size_t end, uint16_t type,
                       const void *data, size_t len, uint8_t *out);

#endif
