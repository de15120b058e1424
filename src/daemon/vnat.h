/*
 * vnat.h - virtual addresses for what cannot be captured as it is
 *
 * A subnet of the cluster that this namespace or its host has, too, is given a
 * virtual subnet of the same size: each address in it stands for the one at the
 * same offset. Programs are only told virtual addresses (answers of DNS,
 * variables), only these are captured, and the data path dials what they stand
 * for. The real ones stay what they are here.
 *
 * Longer prefixes win here as everywhere: an address of a smaller subnet that
 * is captured as it is, or never captured, has no virtual one.
 */
#ifndef TP_DAEMON_VNAT_H
#define TP_DAEMON_VNAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "daemon/route_policy.h"

/* Where virtual subnets are taken from by default: class E, which nobody uses
 * and Linux routes since 2.6.25; a unique local prefix (RFC 4193). */
#define VNAT_POOL_V4 "246.0.0.0/8"
#define VNAT_POOL_V6 "fd74:7076:6e74::/48"

struct vnat_pair {
    struct subnet real, virt;
};

struct vnat {
    struct vnat_pair *pairs;
    size_t n;
    struct subnet_list plain; /* subnets that have no virtual addresses */
};

/* All zero is an empty one. */
void vnat_release(struct vnat *v);
/* 0 or -ENOMEM. */
int vnat_copy(struct vnat *to, const struct vnat *from);

/* Gives `real` a virtual subnet out of `pool` that overlaps with none of
 * `taken` and with none that was given already; the one that it has in
 * `former` (or NULL), if that is still possible. 0, -EEXIST: it has one,
 * -ENOSPC, -ENOMEM; err filled. */
int vnat_add(struct vnat *v, const struct subnet *real,
             const struct subnet_list *pool, const struct subnet_list *taken,
             const struct vnat *former, struct tp_error *err);
/* The pair of exactly that real subnet, or NULL. */
const struct vnat_pair *vnat_pair_of(const struct vnat *v,
                                     const struct subnet *real);
/* The first one whose virtual subnet overlaps with net, or NULL. */
const struct vnat_pair *vnat_overlap(const struct vnat *v,
                                     const struct subnet *net);

/* A part of a real subnet as a part of the virtual one: false if net is not
 * inside a pair's real subnet. */
bool vnat_map_subnet(const struct vnat *v, const struct subnet *net,
                     struct subnet *out);

/* Change *addr, which keeps its port; false, and nothing changed: it has no
 * counterpart. v may be NULL. */
bool vnat_to_real(const struct vnat *v, union sockaddr_any *addr);
bool vnat_to_virtual(const struct vnat *v, union sockaddr_any *addr);

/* The same for text that is an address, perhaps with a port, perhaps in a URL:
 * "10.43.0.7", "10.43.0.7:80", "[fd00::7]:80", "tcp://10.43.0.7:80/x". The text
 * with the virtual address, to be freed; NULL: it stays as it is. */
char *vnat_text(const struct vnat *v, const char *text);

#endif
