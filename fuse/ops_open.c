/*
 * open(2): from a content that was read ahead, or by OPEN and LSTAT together.
 *
 * Close-to-open: LSTAT tells whether the file is the one whose pages the kernel
 * keeps (same size and time, and the time is old enough that a change within
 * the same second is impossible); if not, they are dropped.
 */
#include "fuse/ops.h"

#include <fcntl.h>

#include "fuse/directory.h"
#include "fuse/file.h"
#include "fuse/memory.h"
#include "fuse/prefetch.h"
#include "fuse/read.h"
#include "fuse/write.h"

#define SAFE_SECONDS 2

struct open_op {
    struct mount *m;
    fuse_req_t req;
    struct file *file; /* with the reference that becomes the kernel's */
    struct content *content;
    struct fuse_file_info fi;
    struct attr before;
    unsigned left;
    int err;
};

/* The pages that the kernel has are those of the file as it is now. */
static bool keeps_pages(struct node *n)
{
    struct node_io *io = node_io(n);
    bool same = io->pages_safe && io->told_size == n->attr.size &&
                io->told_mtime == n->attr.mtime;

    io->told_size = n->attr.size;
    io->told_mtime = n->attr.mtime;
    io->pages_safe = time(NULL) - (time_t)n->attr.mtime > SAFE_SECONDS;
    return same;
}

static void reply_open(struct open_op *op)
{
    struct file *f = op->file;
    struct node *n = f->node;

    f->seen = true;
    f->seen_size = n->attr.size;
    f->seen_mtime = n->attr.mtime;
    if (!op->m->o->strict)
        op->fi.keep_cache = keeps_pages(n);
    /* The kernel may believe in the old size until its copy is too old. With a
     * negative offset no page is touched, so nothing can wait for us. */
    if (n->attr.size != op->before.size || n->attr.mtime != op->before.mtime)
        fuse_lowlevel_notify_inval_inode(op->m->se, (fuse_ino_t)(uintptr_t)n,
                                         -1, 0);
    op->fi.fh = (uintptr_t)f;
    if (fuse_reply_open(op->req, &op->fi) < 0)
        file_unref(f);
    free(op);
}

static void fail(struct open_op *op, int err)
{
    fuse_reply_err(op->req, errno_of(err));
    file_unref(op->file);
    free(op);
}

static void answered(struct open_op *op, int err)
{
    if (err && !op->err)
        op->err = err;
    if (--op->left > 0)
        return;
    if (op->err)
        fail(op, op->err);
    else
        reply_open(op);
}

static void asked_cb(void *arg, int err)
{
    answered(arg, err);
}

static void opened_cb(void *arg, const struct reply *reply)
{
    struct open_op *op = arg;
    struct file *f = op->file;
    struct sftp_reader body = reply->body;
    struct sftp_text handle;
    int err = reply->err;

    if (!err && sftp_decode_handle(&body, &handle) < 0)
        err = -EIO;
    if (!err)
        file_set_handle(f, f->which, conn_generation(f->m->conns[f->which]),
                        handle);
    file_opened(f, f->which, err);
    answered(op, err);
}

static void open_at_server(struct open_op *op)
{
    struct file *f = op->file;
    struct mount *m = op->m;
    struct conn_call_args call = {
        .request = {.type = SFTP_OPEN, .flags = file_open_flags(f)},
        .expect = SFTP_HANDLE,
        .flags = CONN_REPEAT,
        .cb = opened_cb,
        .arg = op};
    char path[SFTP_PATH_BYTES];
    int rc = mount_path(m, f->node, NULL, path);

    if (rc < 0) {
        fail(op, rc);
        return;
    }
    if (op->fi.flags & O_TRUNC) {
        call.request.flags |= SFTP_FLAG_TRUNC;
        read_forget(f->node, 0, UINT64_MAX);
        attributes_changed(m, f->node);
        directory_note_changed(m, f->node);
        f->node->attr.size = 0;
        f->wrote = true;
    } else if (f->node->attr.size > SMALL_BYTES) {
        f->which = BULK;
    }
    op->left = 2;
    file_opening(f, f->which);
    call.request.path = text_of(path);
    conn_call(m->conns[f->which], &call);
    attributes_ask(m, f->node, asked_cb, op);
}

static void content_cb(void *arg, int err)
{
    struct open_op *op = arg;
    struct content *c = op->content;

    if (err == 0 && !write_overlaps(op->file->node, 0, SMALL_BYTES)) {
        op->file->content = c;
        reply_open(op);
        return;
    }
    content_unref(op->m, c);
    open_at_server(op);
}

static void drained_cb(void *arg, int err)
{
    (void)err;
    open_at_server(arg);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct node *n = mount_node(m, ino);
    struct open_op *op = mem_alloc(sizeof(*op));

    op->m = m;
    op->req = req;
    op->fi = *fi;
    op->before = n->attr;
    op->file = file_create(m, n, fi->flags);
    if ((fi->flags & (O_ACCMODE | O_TRUNC)) == O_RDONLY) {
        prefetch_note_open(m, n);
        op->content = content_take(m, n);
    }
    if (op->content)
        content_wait(op->content, content_cb, op);
    else if (fi->flags & O_TRUNC)
        write_drain(n, drained_cb, op);
    else
        open_at_server(op);
}
