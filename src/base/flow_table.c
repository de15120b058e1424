#include "base/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int flow_table_init(struct flow_table *t)
{
    memset(t, 0, sizeof(*t));
    t->buckets = calloc(FLOW_TABLE_BUCKETS, sizeof(*t->buckets));
    if (!t->buckets)
        return -ENOMEM;
    if (getrandom(t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed))
        t->seed[0] = (uint64_t)(uintptr_t)t->buckets;
    return 0;
}

void flow_table_release(struct flow_table *t)
{
    free(t->buckets);
    t->buckets = NULL;
    t->count = 0;
}

void flow_key_set(struct flow_key *key, const union sockaddr_any *src,
                  const union sockaddr_any *dst)
{
    memset(key, 0, sizeof(*key));
    memcpy(&key->words[0], sockaddr_bytes(src), sockaddr_width(src));
    memcpy(&key->words[2], sockaddr_bytes(dst), sockaddr_width(dst));
    key->words[4] = (uint64_t)sockaddr_port(src) << 32 |
                    (uint64_t)sockaddr_port(dst) << 16 | src->sa.sa_family;
}

/* Multiply and fold, as wyhash does; the seed makes it unpredictable. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t bucket_of(const struct flow_table *t, const struct flow_key *key)
{
    uint64_t h = t->seed[0];

    for (size_t i = 0; i < 5; i++)
        h = mix(h ^ key->words[i], t->seed[1] | 1) + t->seed[0];
    return (size_t)(h % FLOW_TABLE_BUCKETS);
}

struct flow_node *flow_table_find(const struct flow_table *t,
                                  const struct flow_key *key)
{
    struct flow_node *n = t->buckets[bucket_of(t, key)];

    while (n && memcmp(&n->key, key, sizeof(*key)) != 0)
        n = n->next;
    return n;
}

void flow_table_insert(struct flow_table *t, struct flow_node *node)
{
    struct flow_node **head = &t->buckets[bucket_of(t, &node->key)];

    node->next = *head;
    *head = node;
    t->count++;
}

void flow_table_remove(struct flow_table *t, struct flow_node *node)
{
    struct flow_node **at = &t->buckets[bucket_of(t, &node->key)];

    while (*at && *at != node)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = node->next;
    t->count--;
}
