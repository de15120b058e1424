/*
 * selfsigned.h - a key pair with a certificate of its own, to be pinned
 *
 * Ed25519 (RFC 8410), for TLS 1.3 between two programs that were given each
 * other's certificate beforehand: it is its only anchor. It does not expire.
 */
#ifndef TP_NET_SELFSIGNED_H
#define TP_NET_SELFSIGNED_H

#include "base/error.h"

struct selfsigned {
    char *cert_pem;
    char *key_pem; /* wiped when it is released */
};

/* name: what the certificate is for, also as a DNS name. Release it in any
 * case. -ENOMEM, -EIO. */
int selfsigned_make(struct selfsigned *s, const char *name,
                    struct tp_error *err);
void selfsigned_release(struct selfsigned *s);

/* SHA-256 of the certificate, 64 hex digits. -EINVAL if it is none. */
int selfsigned_fingerprint(const char *cert_pem, char out[65],
                           struct tp_error *err);

#endif
