/*
 * New names. The call that makes one and LSTAT, or the file's handle, travel
 * together: one round trip. With async_names the kernel is answered at once and
 * what goes wrong is kept for close (files) or logged.
 */
#include "fuse/ops.h"

#include <fcntl.h>
#include <string.h>

#include "fuse/directory.h"
#include "fuse/file.h"
#include "fuse/memory.h"

struct make_op {
    struct mount *m;
    fuse_req_t req;    /* NULL: answered already */
    struct node *node; /* the new one, with a reference */
    struct file *file; /* of CREATE, with a reference */
    struct fuse_file_info fi;
    unsigned left; /* answers to come */
    int err, stat_err;
    bool asked_again;
    bool mknod; /* the handle is closed at once */
};

static struct make_op *make_op_create(fuse_req_t req, fuse_ino_t parent,
                                      const char *name, char *path)
{
    struct mount *m = mount_of(req);
    struct node *dir = mount_node(m, parent), *old;
    struct make_op *op;
    int rc = mount_path(m, dir, name, path);

    if (rc < 0) {
        fuse_reply_err(req, -rc);
        return NULL;
    }
    op = mem_alloc(sizeof(*op));
    op->m = m;
    op->req = req;
    op->left = 2;
    /* What had the name is gone, or the kernel would not ask. */
    old = node_find(m->nodes, dir, name, strlen(name));
    if (old) {
        node_remove(m->nodes, old);
        node_tidy(m->nodes, old);
    }
    op->node = node_get(m->nodes, dir, name, strlen(name));
    node_ref(op->node);
    return op;
}

static void reply_made(struct make_op *op)
{
    struct fuse_entry_param e;

    if (!op->file) {
        attributes_reply_entry(op->m, op->req, op->node);
        return;
    }
    attributes_entry(op->m, op->node, &e);
    op->fi.fh = (uintptr_t)op->file;
    op->node->lookups++;
    op->file->refs++;
    if (fuse_reply_create(op->req, &e, &op->fi) < 0) {
        node_forget(op->m->nodes, op->node, 1);
        file_unref(op->file);
    }
}

static void end(struct make_op *op, int err)
{
    struct mount *m = op->m;
    struct node *n = op->node;

    if (!op->req && err) {
        log_error("%.*s: it was not made: %s", (int)n->name_len, n->name,
                  strerror(-err));
        if (!op->file)
            m->lost++;
        directory_note_removed(m, n->parent, n->name);
        node_remove(m->nodes, n);
    } else if (op->req && err) {
        fuse_reply_err(op->req, errno_of(err));
        node_remove(m->nodes, n);
    } else if (op->req) {
        directory_note_created(m, n);
        reply_made(op);
    }
    if (op->file)
        file_unref(op->file);
    node_unref(m->nodes, n);
    free(op);
}

static void explained_cb(void *arg, int err)
{
    end(arg, err);
}

static void asked_cb(void *arg, int err);

static void answered(struct make_op *op)
{
    char path[SFTP_PATH_BYTES];

    if (--op->left > 0)
        return;
    if (op->err == -EIO && mount_path(op->m, op->node, NULL, path) == 0) {
        failure_explain(op->m, path, true, op->err, explained_cb, op);
    } else if (!op->err && op->stat_err == -ENOENT && !op->asked_again) {
        /* A server that does things in another order. */
        op->asked_again = true;
        op->left = 1;
        attributes_ask(op->m, op->node, asked_cb, op);
    } else {
        end(op, op->err ? op->err : op->stat_err);
    }
}

static void asked_cb(void *arg, int err)
{
    struct make_op *op = arg;

    op->stat_err = err;
    answered(op);
}

static void made_cb(void *arg, const struct reply *reply)
{
    struct make_op *op = arg;

    op->err = reply->err;
    answered(op);
}

/* What the new thing will look like, for an answer before the server's. */
static void answer_early(struct make_op *op, mode_t mode)
{
    struct node *n = op->node, *dir = n->parent;

    if (!op->m->o->async_names)
        return;
    n->attr.mode = mode;
    n->attr.uid = dir->attr.uid;
    n->attr.gid = dir->attr.gid;
    n->attr.atime = n->attr.mtime = (uint32_t)time(NULL);
    n->attr_at = mount_now(op->m);
    n->write_seq++;
    directory_note_created(op->m, n);
    directory_note_changed(op->m, n);
    reply_made(op);
    op->req = NULL;
}

static void submit(struct make_op *op, struct sftp_request *q, reply_cb *cb)
{
    struct conn_call_args call = {.request = *q,
                                  .expect = q->type == SFTP_OPEN ? SFTP_HANDLE
                                                                 : SFTP_STATUS,
                                  .cb = cb,
                                  .arg = op};

    conn_call(op->m->conns[META], &call);
    attributes_ask(op->m, op->node, asked_cb, op);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    char path[SFTP_PATH_BYTES];
    struct make_op *op = make_op_create(req, parent, name, path);
    struct sftp_request q = {.type = SFTP_MKDIR};

    if (!op)
        return;
    q.path = text_of(path);
    q.attrs.flags = SFTP_ATTR_PERMISSIONS;
    q.attrs.mode = mode & 07777;
    submit(op, &q, made_cb);
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                const char *name)
{
    char path[SFTP_PATH_BYTES];
    struct make_op *op = make_op_create(req, parent, name, path);
    struct sftp_request q = {.type = SFTP_SYMLINK};

    if (!op)
        return;
    q.path = text_of(path);
    q.target = text_of(link);
    submit(op, &q, made_cb);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
             const char *newname)
{
    struct mount *m = mount_of(req);
    struct sftp_request q = {.type = SFTP_EXTENDED,
                             .extension = SFTP_HAS_HARDLINK};
    char from[SFTP_PATH_BYTES], path[SFTP_PATH_BYTES];
    int rc = mount_path(m, mount_node(m, ino), NULL, from);
    struct make_op *op;

    if (rc == 0 && !mount_has(m, SFTP_HAS_HARDLINK))
        rc = -EPERM;
    if (rc < 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    op = make_op_create(req, newparent, newname, path);
    if (!op)
        return;
    q.path = text_of(from);
    q.target = text_of(path);
    submit(op, &q, made_cb);
}

/* The handle of a new file is kept; or closed, for mknod(2). */
static void opened_cb(void *arg, const struct reply *reply)
{
    struct make_op *op = arg;
    struct sftp_reader body = reply->body;
    struct sftp_text handle;

    op->err = reply->err;
    if (!op->err && sftp_decode_handle(&body, &handle) < 0)
        op->err = -EPROTO;
    if (!op->err && op->mknod)
        file_close_handle(op->m, META, handle);
    else if (!op->err)
        file_set_handle(op->file, META, conn_generation(op->m->conns[META]),
                        handle);
    if (op->file && op->err && !op->req)
        op->file->write_err = op->err;
    if (op->file)
        file_opened(op->file, META, op->err);
    answered(op);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t rdev)
{
    char path[SFTP_PATH_BYTES];
    struct sftp_request q = {.type = SFTP_OPEN,
                             .flags = SFTP_FLAG_WRITE | SFTP_FLAG_CREAT |
                                      SFTP_FLAG_EXCL};
    struct make_op *op;

    (void)rdev;
    if (!S_ISREG(mode)) {
        fuse_reply_err(req, EPERM); /* nothing else is shown */
        return;
    }
    op = make_op_create(req, parent, name, path);
    if (!op)
        return;
    op->mknod = true;
    q.path = text_of(path);
    q.attrs.flags = SFTP_ATTR_PERMISSIONS;
    q.attrs.mode = mode & 07777;
    submit(op, &q, opened_cb);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
    char path[SFTP_PATH_BYTES];
    struct make_op *op = make_op_create(req, parent, name, path);
    struct sftp_request q = {.type = SFTP_OPEN};

    if (!op)
        return;
    op->fi = *fi;
    op->file = file_create(op->m, op->node, fi->flags);
    q.flags = file_open_flags(op->file) | SFTP_FLAG_CREAT;
    if (fi->flags & O_EXCL)
        q.flags |= SFTP_FLAG_EXCL;
    if (fi->flags & O_TRUNC)
        q.flags |= SFTP_FLAG_TRUNC;
    q.path = text_of(path);
    q.attrs.flags = SFTP_ATTR_PERMISSIONS;
    q.attrs.mode = mode & 07777;
    file_opening(op->file, META);
    submit(op, &q, opened_cb);
    answer_early(op, S_IFREG | (mode & 07777));
}
