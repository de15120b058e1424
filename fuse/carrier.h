/*
 * carrier.h - where the bytes of a connection go: TCP, a unix socket, or a
 * socket that was inherited
 */
#ifndef TP_FUSE_CARRIER_H
#define TP_FUSE_CARRIER_H

#include <stdbool.h>

#include "base/error.h"
#include "fuse/options.h"
#include "fuse/ssh_identity.h"

struct carrier;

/* Looks the host's name up, once: what speaks to the network later may open no
 * file. NULL with err filled. */
struct carrier *carrier_create(const struct mount_options *o,
                               struct tp_error *err);
void carrier_destroy(struct carrier *c);

/* What one connection of the carrier keeps between calls of carrier_open();
 * zeroed at first. */
struct carrier_turn {
    bool asked; /* the broker, which has not answered yet */
};

/* A non-blocking socket, connected or about to be (then it becomes writable),
 * owned by the caller. Each call takes the next of the host's addresses. A
 * negative errno with err filled; -ENOTCONN if there is no (further) inherited
 * socket; -EAGAIN if the broker has not answered yet: call again soon.
 * *identity: what to use on this socket instead of the mount's own, owned by
 * the caller, or NULL. */
int carrier_open(struct carrier *c, struct carrier_turn *turn,
                 struct ssh_identity **identity, struct tp_error *err);

/* Whether a lost connection can be made again; how many there may be. */
bool carrier_redials(const struct carrier *c);
int carrier_count(const struct carrier *c);
/* How many attempts try every address. */
unsigned carrier_addresses(const struct carrier *c);

#endif
