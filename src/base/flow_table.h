/*
 * flow_table.h - conversations by their two addresses
 *
 * A hash table whose nodes lie in their users' structs. The hash is keyed at
 * random: whoever sends chooses ports, and must not be able to
 * choose buckets.
 */
#ifndef TP_BASE_FLOW_TABLE_H
#define TP_BASE_FLOW_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/sockaddr.h"

#define FLOW_TABLE_BUCKETS 4096

struct flow_key {
    uint64_t words[5]; /* source, destination, ports and family */
};

struct flow_node {
    struct flow_node *next;
    struct flow_key key;
};

struct flow_table {
    struct flow_node **buckets;
    uint64_t seed[2];
    size_t count;
};

/* 0 or -ENOMEM. */
int flow_table_init(struct flow_table *t);
/* The nodes are their owners' business. */
void flow_table_release(struct flow_table *t);

void flow_key_set(struct flow_key *key, const union sockaddr_any *src,
                  const union sockaddr_any *dst);

struct flow_node *flow_table_find(const struct flow_table *t,
                                  const struct flow_key *key);
/* node->key is set; it must not be in the table yet. */
void flow_table_insert(struct flow_table *t, struct flow_node *node);
/* Does nothing if the node is not in the table. */
void flow_table_remove(struct flow_table *t, struct flow_node *node);

#endif
