/*
 * carrier.h - where the bytes of a connection go: TCP, a unix socket, or a
 * socket that was inherited
 */
#ifndef TP_FUSE_CARRIER_H
#define TP_FUSE_CARRIER_H

#include <stdbool.h>

#include "base/error.h"
#include "fuse/options.h"

struct carrier;

/* Looks the host's name up, once: what speaks to the network later may open no
 * file. NULL with err filled. */
struct carrier *carrier_create(const struct mount_options *o,
                               struct tp_error *err);
void carrier_destroy(struct carrier *c);

/* A non-blocking socket, connected or about to be (then it becomes writable),
 * owned by the caller. Each call takes the next of the host's addresses. A
 * negative errno; -ENOTCONN if there is no (further) inherited socket. */
int carrier_open(struct carrier *c);

/* Whether a lost connection can be made again; how many there may be. */
bool carrier_redials(const struct carrier *c);
int carrier_count(const struct carrier *c);
/* How many attempts try every address. */
unsigned carrier_addresses(const struct carrier *c);

#endif
