#include "fuse/node.h"

#include <errno.h>
#include <string.h>

#include "fuse/memory.h"

#define FIRST_BUCKETS 1024

struct node_table {
    struct node **buckets;
    unsigned n_buckets, n_nodes;
    struct node *root;
};

bool attr_from_sftp(struct attr *a, const struct sftp_attrs *s)
{
    memset(a, 0, sizeof(*a));
    if (!(s->flags & SFTP_ATTR_PERMISSIONS) ||
        (!S_ISREG(s->mode) && !S_ISDIR(s->mode) && !S_ISLNK(s->mode)))
        return false;
    if (s->flags & SFTP_ATTR_SIZE && s->size > INT64_MAX)
        return false;
    a->mode = s->mode & (S_IFMT | 07777);
    a->size = s->size;
    a->uid = s->uid;
    a->gid = s->gid;
    a->atime = s->atime;
    a->mtime = s->mtime;
    return true;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

/* FNV-1a from the parent's number on: the same path has the same inode number
 * in every mount (git compares them). */
static uint64_t number_of(uint64_t parent, const char *name, size_t len)
{
    uint64_t h = parent ^ 0xcbf29ce484222325ull;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
    h = mix(h);
    return h > 1 ? h : h + 2;
}

static uint32_t hash_of(const struct node *parent, const char *name, size_t len)
{
    return (uint32_t)mix(number_of((uintptr_t)parent, name, len));
}

static struct node **bucket_of(struct node_table *t, uint32_t hash)
{
    return &t->buckets[hash & (t->n_buckets - 1)];
}

struct node_table *node_table_create(void)
{
    struct node_table *t = mem_alloc(sizeof(*t));

    t->n_buckets = FIRST_BUCKETS;
    t->buckets = mem_alloc(t->n_buckets * sizeof(*t->buckets));
    t->root = mem_alloc(sizeof(*t->root) + 1);
    t->root->name = t->root->inline_name;
    t->root->refs = 1;
    t->root->ino = 1;
    t->root->attr.mode = S_IFDIR | 0755;
    return t;
}

void node_table_destroy(struct node_table *t)
{
    if (!t)
        return;
    free(t->root->io);
    free(t->root);
    free(t->buckets);
    free(t);
}

struct node *node_root(struct node_table *t)
{
    return t->root;
}

unsigned node_count(const struct node_table *t)
{
    return t->n_nodes;
}

struct node *node_find(struct node_table *t, const struct node *parent,
                       const char *name, size_t len)
{
    uint32_t hash = hash_of(parent, name, len);

    for (struct node *n = *bucket_of(t, hash); n; n = n->hash_next)
        if (n->hash == hash && n->parent == parent && n->name_len == len &&
            !memcmp(n->name, name, len))
            return n;
    return NULL;
}

static void link_node(struct node_table *t, struct node *n)
{
    struct node **b;

    n->hash = hash_of(n->parent, n->name, n->name_len);
    b = bucket_of(t, n->hash);
    n->hash_next = *b;
    *b = n;
}

static void unlink_node(struct node_table *t, struct node *n)
{
    struct node **p = bucket_of(t, n->hash);

    while (*p && *p != n)
        p = &(*p)->hash_next;
    if (*p)
        *p = n->hash_next;
}

static void grow(struct node_table *t)
{
    struct node **old = t->buckets;
    unsigned n_old = t->n_buckets;

    t->n_buckets *= 2;
    t->buckets = mem_alloc(t->n_buckets * sizeof(*t->buckets));
    for (unsigned i = 0; i < n_old; i++) {
        for (struct node *n = old[i], *next; n; n = next) {
            struct node **b = bucket_of(t, n->hash);

            next = n->hash_next;
            n->hash_next = *b;
            *b = n;
        }
    }
    free(old);
}

struct node *node_get(struct node_table *t, struct node *parent,
                      const char *name, size_t len)
{
    struct node *n = node_find(t, parent, name, len);

    if (n)
        return n;
    if (t->n_nodes >= t->n_buckets)
        grow(t);
    n = mem_alloc(sizeof(*n) + len + 1);
    n->name = n->inline_name;
    memcpy(n->name, name, len);
    n->name_len = (uint16_t)len;
    n->parent = parent;
    n->ino = number_of(parent->ino, name, len);
    node_ref(parent);
    link_node(t, n);
    t->n_nodes++;
    return n;
}

uint64_t node_number(const struct node *parent, const char *name, size_t len)
{
    return number_of(parent->ino, name, len);
}

void node_ref(struct node *n)
{
    n->refs++;
}

void node_tidy(struct node_table *t, struct node *n)
{
    while (n != t->root && n->refs == 0 && n->lookups == 0) {
        struct node *parent = n->parent;

        if (!n->gone)
            unlink_node(t, n);
        if (n->name != n->inline_name)
            free(n->name);
        free(n->io);
        free(n);
        t->n_nodes--;
        parent->refs--;
        n = parent;
    }
}

void node_unref(struct node_table *t, struct node *n)
{
    n->refs--;
    node_tidy(t, n);
}

void node_forget(struct node_table *t, struct node *n, uint64_t count)
{
    n->lookups -= count < n->lookups ? count : n->lookups;
    node_tidy(t, n);
}

void node_remove(struct node_table *t, struct node *n)
{
    if (n->gone || n == t->root)
        return;
    unlink_node(t, n);
    n->gone = true;
}

void node_rename(struct node_table *t, struct node *n, struct node *parent,
                 const char *name, size_t len)
{
    struct node *old = node_find(t, parent, name, len), *left = n->parent;
    char *copy;

    if (n->gone || old == n)
        return;
    if (old)
        node_remove(t, old);
    unlink_node(t, n);
    copy = mem_alloc(len + 1);
    memcpy(copy, name, len);
    if (n->name != n->inline_name)
        free(n->name);
    n->name = copy;
    n->name_len = (uint16_t)len;
    node_ref(parent);
    n->parent = parent;
    link_node(t, n);
    if (old)
        node_tidy(t, old);
    node_unref(t, left);
}

bool node_is_gone(const struct node *n)
{
    for (; n; n = n->parent)
        if (n->gone)
            return true;
    return false;
}

struct node_io *node_io(struct node *n)
{
    if (!n->io) {
        n->io = mem_alloc(sizeof(*n->io));
        LIST_INIT(&n->io->files);
        TAILQ_INIT(&n->io->writes);
        TAILQ_INIT(&n->io->drains);
    }
    return n->io;
}

int node_path(const struct node *n, const char *base, char *out, size_t size)
{
    size_t base_len = strlen(base), at = size;

    if (node_is_gone(n))
        return -ESTALE;
    out[--at] = '\0';
    for (; n->parent; n = n->parent) {
        if ((size_t)n->name_len + 1 > at - base_len - 1)
            return -ENAMETOOLONG;
        at -= n->name_len;
        memcpy(out + at, n->name, n->name_len);
        out[--at] = '/';
    }
    if (base_len > 1 || at == size - 1) { /* not "/" and a path below it */
        at -= base_len;
        memcpy(out + at, base, base_len);
    }
    memmove(out, out + at, size - at);
    return 0;
}

unsigned node_depth(const struct node *n)
{
    unsigned depth = 0;

    for (; n->parent; n = n->parent)
        depth++;
    return depth;
}
