/*
 * sshkey.h - ed25519 key pairs as OpenSSH writes them, without a library of it
 *
 * RFC 8709 (ssh-ed25519); the private form is that of OpenSSH's PROTOCOL.key,
 * not encrypted, which libssh, libssh2 and OpenSSH read.
 */
#ifndef TP_NET_SSHKEY_H
#define TP_NET_SSHKEY_H

#include <stdbool.h>

#include "base/error.h"

struct sshkey_pair {
    char *public_line; /* "ssh-ed25519 BASE64" */
    char *private_pem; /* wiped when it is released */
};

/* Release it in any case. -ENOMEM, -EIO. */
int sshkey_make(struct sshkey_pair *k, struct tp_error *err);
void sshkey_release(struct sshkey_pair *k);

/* Exactly a public_line, without comment or newline? */
bool sshkey_is_public(const char *line);

#endif
