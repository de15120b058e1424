/*
 * identity.h - who a user is, as the API server says it
 *
 * Taken from the front proxy's headers once, when a request comes in; a link
 * keeps it for life. Sessions belong to (user name, uid).
 */
#ifndef TP_MANAGER_IDENTITY_H
#define TP_MANAGER_IDENTITY_H

#include <stdbool.h>

#include "base/error.h"
#include "net/http1.h"

struct frontproxy;
struct json_object;

struct identity {
    char *user;
    char *uid;                  /* "" if the API server tells none */
    struct json_object *groups; /* ["system:authenticated"] */
    struct json_object *extra;  /* {"key": ["value"]} */
};

/* Reads the headers that fp names; the caller has checked the certificate.
 * 0, -EACCES without a user, -EBADMSG for two users or two uids, -ENOMEM.
 * Release also after a failure. */
int identity_from_headers(struct identity *id, const struct http1_head *head,
                          const struct frontproxy *fp, struct tp_error *err);
/* True if a header claims to come from a front proxy: on a port that it does
 * not use, where identity comes by a ticket or a token alone (SECURITY 5). */
bool identity_is_claimed(const struct http1_head *head);
int identity_copy(struct identity *to, const struct identity *from);
void identity_release(struct identity *id);

/* The same owner: user name and uid. */
bool identity_same_owner(const struct identity *a, const struct identity *b);

#endif
