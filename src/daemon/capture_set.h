/*
 * capture_set.h - which addresses are captured
 *
 * Capture and bypass subnets may nest in any depth; the longest prefix that
 * holds an address decides, and of two equal ones the bypass. nftables'
 * interval sets know no longest match, so the result is computed here as
 * disjoint, sorted ranges, used both for the kernel's sets and for checks in
 * the daemon.
 */
#ifndef TP_DAEMON_CAPTURE_SET_H
#define TP_DAEMON_CAPTURE_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/sockaddr.h"

/* More subnets than this are refused (computing is quadratic). */
#define CAPTURE_SET_MAX 1024

struct capture_range {
    uint8_t first[16], last[16]; /* network order, 4 or 16 bytes, inclusive */
};

struct capture_set {
    struct capture_range *v4, *v6; /* sorted, disjoint, not adjacent */
    size_t n_v4, n_v6;
};

/* Fills *set (any former content is not freed). -E2BIG, -ENOMEM, -EINVAL. */
int capture_set_build(struct capture_set *set, const struct subnet *capture,
                      size_t n_capture, const struct subnet *bypass,
                      size_t n_bypass, struct tp_error *err);
void capture_set_release(struct capture_set *set);

/* IPv4-mapped addresses must have been unmapped. */
bool capture_set_contains(const struct capture_set *set,
                          const union sockaddr_any *addr);

#endif
