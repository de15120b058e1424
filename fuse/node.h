/*
 * node.h - files and directories that the kernel knows, by name
 *
 * A node is what the kernel's nodeid points at. It lives while the kernel has
 * looked it up (lookups), while a child, an open file or a call refers to it
 * (refs). Its path is made of its ancestors' names, so that a rename moves a
 * whole tree. A node whose name was removed or replaced has no parent any more
 * (node_is_gone()) and can only be reached by open handles.
 */
#ifndef TP_FUSE_NODE_H
#define TP_FUSE_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "fuse/window.h"
#include "sftp/sftp.h"

struct file;
struct listing;
struct content;
struct fetch;
struct write_piece;
struct drain;
LIST_HEAD(file_list, file);
TAILQ_HEAD(piece_list, write_piece);
TAILQ_HEAD(drain_list, drain);

/* What the server says, as small as it is. */
struct attr {
    uint64_t size;
    uint32_t mode, uid, gid, atime, mtime;
};

/* False if it is something that is not shown: a device, a socket, a pipe; or if
 * the server said too little. */
bool attr_from_sftp(struct attr *a, const struct sftp_attrs *s);

/* What regular files and directories have more than links. */
struct node_io {
    struct file_list files;   /* open */
    struct piece_list writes; /* waiting or in flight, in their order */
    struct drain_list drains; /* who waits for them */
    uint64_t write_number;    /* of the last piece */
    uint64_t writing;         /* bytes under way */
    struct window written;    /* how fast they go */
    struct listing *listing;  /* directory: its entries, or NULL */
    uint64_t told_size;       /* what pages in the kernel's cache belong to */
    uint32_t told_mtime;
    bool pages_safe;         /* and it cannot have changed unnoticed */
    uint64_t changed_at;     /* ms: by us; listings from before are wrong */
    struct content *content; /* read ahead, of a small file */
    /* directory: how its files are opened, for the prefetch */
    struct fetch *fetch; /* of its listing, while it runs */
    uint32_t last_rank, last_index, ahead_to;
    uint16_t run, ahead;
    bool by_index;
    uint64_t missed_at; /* ms, of the last lookup that had to ask */
};

struct node {
    struct node *parent, *hash_next;
    struct node_io *io; /* made when first needed */
    uint64_t ino;       /* what stat(2) shows */
    uint64_t lookups;
    uint64_t attr_at; /* ms of the loop; 0: attr is not known */
    struct attr attr;
    uint32_t hash, refs;
    uint32_t write_seq; /* counts our own changes of size and mtime */
    uint16_t name_len;
    bool gone;
    char *name; /* of its own, or behind the struct */
    char inline_name[];
};

struct node_table;

struct node_table *node_table_create(void);
void node_table_destroy(struct node_table *t);
struct node *node_root(struct node_table *t);
unsigned node_count(const struct node_table *t);

/* NULL if it is not there. */
struct node *node_find(struct node_table *t, const struct node *parent,
                       const char *name, size_t len);
/* Finds or makes it, without a reference. */
struct node *node_get(struct node_table *t, struct node *parent,
                      const char *name, size_t len);

/* The inode number that a name has or would have. */
uint64_t node_number(const struct node *parent, const char *name, size_t len);

void node_ref(struct node *n);
/* Frees it if nobody needs it any more, and then perhaps its parents. */
void node_unref(struct node_table *t, struct node *n);
/* The kernel forgets it that many times. */
void node_forget(struct node_table *t, struct node *n, uint64_t count);
/* Frees it if it was made for an answer that did not need it. */
void node_tidy(struct node_table *t, struct node *n);

/* The name is no more: another node may take it. */
void node_remove(struct node_table *t, struct node *n);
/* Takes another name; what had it is removed. */
void node_rename(struct node_table *t, struct node *n, struct node *parent,
                 const char *name, size_t len);
bool node_is_gone(const struct node *n);

struct node_io *node_io(struct node *n);

/* The path below base. 0, or -ENAMETOOLONG, or -ESTALE if it has none. */
int node_path(const struct node *n, const char *base, char *out, size_t size);
/* How deep below the mount's root. */
unsigned node_depth(const struct node *n);

static inline bool node_is_dir(const struct node *n)
{
    return S_ISDIR(n->attr.mode);
}

#endif
