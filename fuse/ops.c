#include "fuse/ops.h"

#include <errno.h>
#include <fcntl.h>

#include "fuse/directory.h"
#include "fuse/file.h"
#include "fuse/memory.h"
#include "fuse/read.h"
#include "fuse/write.h"

#define BACKGROUND_MAX 32 /* requests of 128 KiB that nobody waits for */

static void op_init(void *arg, struct fuse_conn_info *conn)
{
    (void)arg;
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
                              FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want |=
        conn->capable &
        (FUSE_CAP_READDIRPLUS | FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_AUTO_INVAL_DATA);
    conn->max_write = WRITE_BYTES;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX;
    conn->time_gran = 1000000000;
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    struct mount *m = mount_of(req);

    node_forget(m->nodes, mount_node(m, ino), count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
    struct mount *m = mount_of(req);

    for (size_t i = 0; i < count; i++)
        node_forget(m->nodes, mount_node(m, forgets[i].ino),
                    forgets[i].nlookup);
    fuse_reply_none(req);
}

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)ino;
    read_request(mount_of(req), req, file_of(fi), size, (uint64_t)off);
}

/* The kernel writes pages that were mapped by any handle that may write. */
static struct file *page_writer(struct file *f)
{
    struct file *other;

    if (!f->append)
        return f;
    LIST_FOREACH(other, &f->node->io->files, entry)
    if (file_writes(other) && !other->append)
        return other;
    return NULL;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data,
                     size_t size, off_t off, struct fuse_file_info *fi)
{
    struct file *f = fi->writepage ? page_writer(file_of(fi)) : file_of(fi);

    (void)ino;
    if (!f)
        fuse_reply_err(req, EIO);
    else
        write_request(mount_of(req), req, f, data, size, (uint64_t)off);
}

struct sync_op {
    fuse_req_t req;
    struct file *f;
};

static void sync_end(struct sync_op *op, int err)
{
    fuse_reply_err(op->req, errno_of(err));
    file_unref(op->f);
    free(op);
}

static void flushed_cb(void *arg, int err)
{
    struct sync_op *op = arg;

    (void)err;
    sync_end(op, write_show_error(op->f));
}

static struct sync_op *sync_op_create(fuse_req_t req, struct file *f)
{
    struct sync_op *op = mem_alloc(sizeof(*op));

    op->req = req;
    op->f = f;
    f->refs++;
    return op;
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct file *f = file_of(fi);

    (void)ino;
    write_drain(f->node, flushed_cb, sync_op_create(req, f));
}

static void synced_cb(void *arg, const struct reply *reply)
{
    sync_end(arg, reply->err);
}

static void sync_handle_cb(void *arg, int err)
{
    struct sync_op *op = arg;
    struct conn_call_args call = {
        .request = {.type = SFTP_EXTENDED, .extension = SFTP_HAS_FSYNC},
        .expect = SFTP_STATUS,
        .flags = CONN_HANDLE | CONN_SLOW,
        .cb = synced_cb,
        .arg = op};

    if (err) {
        sync_end(op, err);
        return;
    }
    call.request.handle = file_handle(op->f, op->f->which);
    conn_call(op->f->m->conns[op->f->which], &call);
}

static void sync_drained_cb(void *arg, int err)
{
    struct sync_op *op = arg;

    err = write_take_error(op->f);
    if (err || !mount_has(op->f->m, SFTP_HAS_FSYNC))
        sync_end(op, err);
    else
        file_use(op->f, op->f->which, sync_handle_cb, op);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                     struct fuse_file_info *fi)
{
    struct file *f = file_of(fi);

    (void)ino;
    (void)datasync;
    write_drain(f->node, sync_drained_cb, sync_op_create(req, f));
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    (void)ino;
    fuse_reply_err(req, 0);
    file_unref(file_of(fi));
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct dir *d = mem_alloc(sizeof(*d));

    d->m = m;
    d->node = mount_node(m, ino);
    node_ref(d->node);
    fi->fh = (uintptr_t)d;
    if (fuse_reply_open(req, fi) < 0) {
        node_unref(m->nodes, d->node);
        free(d);
    }
}

static struct dir *dir_of(const struct fuse_file_info *fi)
{
    return (struct dir *)(uintptr_t)fi->fh;
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)ino;
    directory_read(dir_of(fi), req, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
                           off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    directory_read(dir_of(fi), req, size, off, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino,
                          struct fuse_file_info *fi)
{
    struct dir *d = dir_of(fi);

    (void)ino;
    fuse_reply_err(req, 0);
    listing_unref(d->listing);
    node_unref(d->m->nodes, d->node);
    free(d);
}

/* Names are at the server when their request was answered; SFTP has no more. */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
                        struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    fuse_reply_err(req, 0);
}

/* What is not here is ENOSYS: extended attributes, and locks, which the kernel
 * then keeps itself. */
const struct fuse_lowlevel_ops mount_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .create = op_create,
};
