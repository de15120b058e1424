/*
 * subnets.h - a list of subnets, and single addresses as /32 and /128
 */
#ifndef TP_MANAGER_SUBNETS_H
#define TP_MANAGER_SUBNETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sockaddr.h"

/* Clusters of 5000 nodes with two families fit. */
#define SUBNETS_MAX 32768

struct subnets {
    struct subnet *items;
    size_t count, size;
    bool merged; /* sorted, without overlaps */
};

void subnets_release(struct subnets *list);

/* 0, -ENOMEM, or -ENOBUFS beyond the maximum. */
int subnets_add(struct subnets *list, const struct subnet *net);
int subnets_add_all(struct subnets *list, const struct subnets *more);
/* One CIDR or address; -EINVAL if it is neither. */
int subnets_add_text(struct subnets *list, const char *text);
/* "10.0.0.0/8,fd00::/8"; empty members are skipped. -EINVAL as above, with the
 * bad member copied to bad. */
int subnets_add_list(struct subnets *list, const char *text,
                     char bad[SUBNET_TEXT]);

/* Sorts, drops what is contained in another member and joins halves: the same
 * addresses by fewer subnets. Look-ups are fast afterwards. */
void subnets_merge(struct subnets *list);

bool subnets_contain(const struct subnets *list,
                     const union sockaddr_any *addr);

struct json_object;
/* ["10.43.0.0/16"]; the caller owns it. */
struct json_object *subnets_to_json(const struct subnets *list);

#endif
