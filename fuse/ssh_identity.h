/*
 * ssh_identity.h - who we are and who the server must be
 *
 * Everything is read from files before the process is confined; later only
 * memory is needed.
 */
#ifndef TP_FUSE_SSH_IDENTITY_H
#define TP_FUSE_SSH_IDENTITY_H

#include <stddef.h>

#include <libssh2.h>

#include "base/error.h"
#include "fuse/options.h"

#define IDENTITY_KEYS 4

struct ssh_identity {
    char *user, *host;
    int port;
    char *keys[IDENTITY_KEYS]; /* PEM or OpenSSH's format */
    size_t n_keys;
    char *hostkey;     /* pinned; NULL: see known_hosts */
    char *known_hosts; /* text of the files, one after the other */
};

/* NULL with err filled: no key, an unreadable file. */
struct ssh_identity *ssh_identity_create(const struct mount_options *o,
                                         struct tp_error *err);
/* For one connection: this key, and only this host key (both copied). NULL: out
 * of memory. */
struct ssh_identity *ssh_identity_given(const char *hostkey, const char *key);
void ssh_identity_destroy(struct ssh_identity *id);

/* Before the handshake: ask for the kinds of host keys that we know. */
int ssh_identity_prefer(const struct ssh_identity *id, LIBSSH2_SESSION *s,
                        struct tp_error *err);

/* After it: -EACCES if the server is not who it must be. */
int ssh_identity_check(const struct ssh_identity *id, LIBSSH2_SESSION *s,
                       struct tp_error *err);

#endif
