/*
 * mount.h - one mounted directory: what its parts share
 *
 * One loop, in one thread; SSH for bulk has threads of its own. The kernel's
 * requests come in from /dev/fuse, become calls on SFTP connections (metadata
 * and small files; bulk), and are answered when these are. Budgets: see the
 * numbers; beyond them the kernel's requests are not read, which holds its
 * callers.
 */
#ifndef TP_FUSE_MOUNT_H
#define TP_FUSE_MOUNT_H

#include <sys/queue.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <uv.h>

#include "fuse/conn.h"
#include "fuse/listing.h"
#include "fuse/node.h"
#include "fuse/options.h"

#define PIECE_BYTES (128u * 1024) /* of one READ or WRITE on the wire */
#define SMALL_BYTES PIECE_BYTES   /* files up to here are read as a whole */
#define WRITE_BYTES (256u * 1024) /* of one request of the kernel's */

/* Budgets of memory for contents, together below 32 MiB. */
#define WRITES_SOFT   (14u << 20) /* beyond: writers are answered later */
#define WRITES_HARD   (18u << 20) /* beyond: nothing is read from the kernel */
#define READS_MAX     (13u << 20) /* beyond: nothing is read ahead */
#define LISTINGS_MAX  (8u << 20)  /* beyond: the oldest are dropped */
#define NODES_MAX     60000       /* beyond: entries are listed without nodes */
#define READDIR_BYTES (64u * 1024)
#define LISTING_MS    30000 /* names for the prefetch */

#define CALLS_SOFT 4096 /* on one connection */

/* Connections: one for names and small files, then those for bulk (lanes). */
enum { META, BULK, CONNS_MAX = BULK + 4 };

TAILQ_HEAD(listing_list, listing);
struct held_write;
TAILQ_HEAD(held_list, held_write);
TAILQ_HEAD(content_list, content);

struct mount {
    const struct mount_options *o;
    uv_loop_t *loop;
    struct fuse_session *se;
    struct conn *conns[CONNS_MAX]; /* META and BULK may be the same */
    unsigned n_conns;
    struct conn_config lane_config; /* of those that are dialled later */
    uint64_t lane_bytes[CONNS_MAX]; /* written, not acknowledged yet */
    char base[SFTP_PATH_BYTES / 2];
    struct node_table *nodes;
    struct listing_list listings; /* the oldest first */
    size_t listing_bytes;
    size_t write_bytes;   /* accepted, not yet at the server */
    size_t read_bytes;    /* asked for or here, not yet with the kernel */
    size_t content_bytes; /* of these, of files read ahead */
    struct content_list contents; /* the oldest first */
    struct held_list held;
    unsigned files; /* structs of open files */
    unsigned lost;  /* errors that nobody was told of */
    uint64_t ttl;   /* ms that names and attributes are kept */
};

static inline uint64_t mount_now(const struct mount *m)
{
    return uv_now(m->loop);
}

static inline struct node *mount_node(struct mount *m, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? node_root(m->nodes)
                               : (struct node *)(uintptr_t)ino;
}

static inline bool mount_has(const struct mount *m, uint32_t extension)
{
    return conn_extensions(m->conns[META]) & extension;
}

/* Calls by path, on the metadata connection. The path of the node, and of name
 * in it unless NULL, is put into out and into q->path. */
int mount_path(struct mount *m, const struct node *n, const char *name,
               char out[SFTP_PATH_BYTES]);

static inline struct sftp_text text_of(const char *s)
{
    return (struct sftp_text){s, (uint32_t)strlen(s)};
}

/* attributes.c: what is known about a node. */

/* Takes over what the server said; seq is the node's write_seq from before the
 * question: an answer from before our own write does not undo it. */
void attributes_set(struct mount *m, struct node *n, const struct attr *a,
                    uint32_t seq);
/* They are young enough, or we are writing the file ourselves. */
bool attributes_fresh(const struct mount *m, const struct node *n);
/* For how long the kernel may keep them, seconds. */
double attributes_timeout(const struct mount *m, const struct node *n);
/* What stat(2) shows. */
void attributes_stat(const struct mount *m, const struct node *n,
                     struct stat *st);
void attributes_entry(const struct mount *m, struct node *n,
                      struct fuse_entry_param *e);
/* Answers a lookup and counts it. */
void attributes_reply_entry(struct mount *m, fuse_req_t req, struct node *n);
/* The size or mtime was changed by us. */
void attributes_changed(struct mount *m, struct node *n);

/* LSTAT of the node, or FSTAT if it has no name any more; then cb. */
typedef void attributes_cb(void *arg, int err);
void attributes_ask(struct mount *m, struct node *n, attributes_cb *cb,
                    void *arg);

/* failure.c: SFTP has one code for many failures. Asks what is the matter:
 * -EEXIST if the path exists and that would be the reason, -ENOSPC if there is
 * no space, else err. Then cb. */
void failure_explain(struct mount *m, const char *path, bool exists, int err,
                     attributes_cb *cb, void *arg);

#endif
