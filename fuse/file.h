/*
 * file.h - open files and their handles
 *
 * A file has at most one handle on each connection; which one new reads and
 * writes take is `which` (writes of bulk: see lanes.h). Handles are opened when
 * they are first needed (file_use()), and again when their link was lost.
 */
#ifndef TP_FUSE_FILE_H
#define TP_FUSE_FILE_H

#include "fuse/mount.h"
#include "fuse/window.h"

typedef void file_cb(void *arg, int err);

enum handle_state {
    HANDLE_NONE, /* or of a link that is gone: it is opened on use */
    HANDLE_OPENING,
    HANDLE_OPEN,
};

struct handle_waiter {
    STAILQ_ENTRY(handle_waiter) entry;
    file_cb *cb;
    void *arg;
};

struct handle {
    enum handle_state state;
    uint32_t generation;
    uint16_t len;
    uint8_t data[SFTP_HANDLE_MAX];
    STAILQ_HEAD(, handle_waiter) waiters;
};

struct block;
struct read_op;
TAILQ_HEAD(block_list, block);
TAILQ_HEAD(read_op_list, read_op);
struct content;

struct file {
    LIST_ENTRY(file) entry; /* of its node's */
    struct mount *m;
    struct node *node;
    unsigned refs; /* the kernel's, and of what is under way */
    int flags;     /* of open(2) */
    bool append;   /* the server puts writes at the end */
    unsigned which;
    struct handle h[CONNS_MAX];
    uint64_t moved;     /* bytes read and written */
    uint64_t acked;     /* the file is at least that long: written by us */
    uint64_t seen_size; /* when it was opened */
    uint32_t seen_mtime;
    bool seen, wrote, one_lane;
    int write_err;           /* of writes that were accepted */
    bool write_told;         /* a close has shown it */
    struct content *content; /* the whole of a small file, read ahead */
    /* read.c */
    struct block_list blocks;
    struct read_op_list ops; /* waiting */
    bool gathering, go_on, going_on;
    uint64_t next, ahead_to;
    uint32_t window;     /* that is wanted ahead; 0: it jumps */
    struct window speed; /* of what is read */
};

/* With one reference; without a handle. */
struct file *file_create(struct mount *m, struct node *n, int flags);
static inline bool file_writes(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY;
}
/* The last reference closes its handles; errors of writes that nobody asked
 * for are logged and counted. */
void file_unref(struct file *f);

/* cb when there is a handle on that connection, or why there is none: at once
 * if there is. */
void file_use(struct file *f, unsigned which, file_cb *cb, void *arg);
struct sftp_text file_handle(const struct file *f, unsigned which);
/* OPEN's answer. */
void file_set_handle(struct file *f, unsigned which, uint32_t generation,
                     struct sftp_text handle);
/* For who sends OPEN himself: those who use the handle meanwhile wait. */
void file_opening(struct file *f, unsigned which);
void file_opened(struct file *f, unsigned which, int err);
bool file_has_handle(const struct file *f, unsigned which);
/* It is big: from now on its bytes go by the other connection. */
void file_promote(struct file *f);
/* The flags for OPEN, without CREAT, TRUNC and EXCL. */
uint32_t file_open_flags(const struct file *f);
/* CLOSE of a handle that no file has. */
void file_close_handle(struct mount *m, unsigned which,
                       struct sftp_text handle);

#endif
