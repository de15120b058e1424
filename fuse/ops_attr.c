/* Attributes: asked for and set; and of the file system. */
#include "fuse/ops.h"

#include <string.h>
#include <sys/statvfs.h>

#include "fuse/directory.h"
#include "fuse/file.h"
#include "fuse/memory.h"
#include "fuse/read.h"
#include "fuse/write.h"

struct attr_op {
    struct mount *m;
    fuse_req_t req;
    struct node *node; /* with a reference */
    struct file *file; /* whose handle is used; with a reference */
    struct sftp_attrs set;
    unsigned left;
    int err;
};

static struct attr_op *attr_op_create(fuse_req_t req, fuse_ino_t ino)
{
    struct attr_op *op = mem_alloc(sizeof(*op));

    op->m = mount_of(req);
    op->req = req;
    op->node = mount_node(op->m, ino);
    node_ref(op->node);
    return op;
}

static void end(struct attr_op *op, int err)
{
    struct stat st;

    if (err) {
        fuse_reply_err(op->req, errno_of(err));
    } else {
        attributes_stat(op->m, op->node, &st);
        fuse_reply_attr(op->req, &st, attributes_timeout(op->m, op->node));
    }
    if (op->file)
        file_unref(op->file);
    node_unref(op->m->nodes, op->node);
    free(op);
}

static void asked_cb(void *arg, int err)
{
    end(arg, err);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct attr_op *op = attr_op_create(req, ino);

    (void)fi;
    if (attributes_fresh(op->m, op->node))
        end(op, 0);
    else
        attributes_ask(op->m, op->node, asked_cb, op);
}

static void answered(struct attr_op *op, int err)
{
    if (err && !op->err)
        op->err = err;
    if (--op->left == 0)
        end(op, op->err);
}

static void stat_cb(void *arg, int err)
{
    answered(arg, err);
}

static void set_cb(void *arg, const struct reply *reply)
{
    struct attr_op *op = arg;
    /* FAILURE hides EPERM here, mostly: not the owner. */
    int err = reply->err == -EACCES && !(op->set.flags & SFTP_ATTR_SIZE)
                  ? -EPERM
                  : reply->err;

    answered(op, err);
}

/* Our own knowledge first: an answer that was under way before is older. */
static void note_set(struct attr_op *op)
{
    struct node *n = op->node;

    n->write_seq++;
    node_io(n)->changed_at = mount_now(op->m);
    directory_note_changed(op->m, n);
    if (op->set.flags & SFTP_ATTR_PERMISSIONS)
        n->attr.mode = (n->attr.mode & S_IFMT) | op->set.mode;
    if (op->set.flags & SFTP_ATTR_UIDGID) {
        n->attr.uid = op->set.uid;
        n->attr.gid = op->set.gid;
    }
    if (op->set.flags & SFTP_ATTR_ACMODTIME) {
        n->attr.atime = op->set.atime;
        n->attr.mtime = op->set.mtime;
    }
    if (op->set.flags & SFTP_ATTR_SIZE) {
        struct file *f;

        n->attr.size = op->set.size;
        LIST_FOREACH(f, &n->io->files, entry)
        if (f->acked > op->set.size)
            f->acked = op->set.size;
    }
}

static void set_by_handle_cb(void *arg, int err)
{
    struct attr_op *op = arg;
    struct file *f = op->file;
    struct conn_call_args call = {.request = {.type = SFTP_FSETSTAT},
                                  .expect = SFTP_STATUS,
                                  .flags = CONN_HANDLE,
                                  .cb = set_cb,
                                  .arg = op};

    if (err) {
        end(op, err);
        return;
    }
    note_set(op);
    op->left = 2;
    call.request.handle = file_handle(f, f->which);
    call.request.attrs = op->set;
    conn_call(op->m->conns[f->which], &call);
    if (f->which == META || op->m->conns[META] == op->m->conns[BULK]) {
        attributes_ask(op->m, op->node, stat_cb, op);
        return;
    }
    /* By the other connection it could be overtaken: no question, the answer
     * is what was set. */
    op->node->attr_at = 0;
    answered(op, 0);
}

static void set_by_path(struct attr_op *op)
{
    struct conn_call_args call = {.request = {.type = SFTP_SETSTAT},
                                  .expect = SFTP_STATUS,
                                  .flags = CONN_REPEAT,
                                  .cb = set_cb,
                                  .arg = op};
    char path[SFTP_PATH_BYTES];
    int rc = mount_path(op->m, op->node, NULL, path);

    if (rc == 0 && S_ISLNK(op->node->attr.mode)) {
        if (op->set.flags & SFTP_ATTR_PERMISSIONS ||
            !mount_has(op->m, SFTP_HAS_LSETSTAT))
            rc = -EOPNOTSUPP;
        call.request.type = SFTP_EXTENDED;
        call.request.extension = SFTP_HAS_LSETSTAT;
    }
    if (rc < 0) {
        end(op, rc);
        return;
    }
    note_set(op);
    op->left = 2;
    call.request.path = text_of(path);
    call.request.attrs = op->set;
    conn_call(op->m->conns[META], &call);
    attributes_ask(op->m, op->node, stat_cb, op);
}

/* A size needs a handle that may write, if there is one: the file's mode may
 * forbid what the handle allows. So does a file without a name. */
static struct file *pick_file(struct attr_op *op, struct fuse_file_info *fi)
{
    struct file *given = fi ? (struct file *)(uintptr_t)fi->fh : NULL, *f;

    if (given && file_writes(given))
        return given;
    if (!node_is_gone(op->node) || !op->node->io)
        return NULL;
    LIST_FOREACH(f, &op->node->io->files, entry)
    if (file_writes(f))
        return f;
    return LIST_FIRST(&op->node->io->files);
}

static void set(struct attr_op *op)
{
    if (op->set.flags & SFTP_ATTR_SIZE)
        read_forget(op->node, 0, UINT64_MAX);
    if (op->file)
        file_use(op->file, op->file->which, set_by_handle_cb, op);
    else
        set_by_path(op);
}

static void drained_cb(void *arg, int err)
{
    (void)err;
    set(arg);
}

static void set_times(struct sftp_attrs *s, const struct attr *now,
                      const struct stat *st, int to_set)
{
    const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
                      FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
    uint32_t clock = (uint32_t)time(NULL);

    if (!(to_set & times))
        return;
    s->flags |= SFTP_ATTR_ACMODTIME;
    s->atime = now->atime;
    s->mtime = now->mtime;
    if (to_set & FUSE_SET_ATTR_ATIME)
        s->atime = (uint32_t)st->st_atime;
    if (to_set & FUSE_SET_ATTR_MTIME)
        s->mtime = (uint32_t)st->st_mtime;
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        s->atime = clock;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        s->mtime = clock;
}

static void fill_set(struct sftp_attrs *s, const struct attr *now,
                     const struct stat *st, int to_set)
{
    if (to_set & FUSE_SET_ATTR_MODE) {
        s->flags |= SFTP_ATTR_PERMISSIONS;
        s->mode = st->st_mode & 07777;
    }
    if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
        s->flags |= SFTP_ATTR_UIDGID;
        s->uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : now->uid;
        s->gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : now->gid;
    }
    if (to_set & FUSE_SET_ATTR_SIZE) {
        s->flags |= SFTP_ATTR_SIZE;
        s->size = (uint64_t)st->st_size;
    }
    set_times(s, now, st, to_set);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                struct fuse_file_info *fi)
{
    struct attr_op *op = attr_op_create(req, ino);

    fill_set(&op->set, &op->node->attr, st, to_set);
    op->file = pick_file(op, fi);
    if (op->file)
        op->file->refs++;
    /* Writes from before must not come behind it: neither longer nor later. */
    if (op->set.flags & (SFTP_ATTR_SIZE | SFTP_ATTR_ACMODTIME))
        write_drain(op->node, drained_cb, op);
    else
        set(op);
}

static void statvfs_cb(void *arg, const struct reply *reply)
{
    fuse_req_t req = arg;
    struct sftp_reader body = reply->body;
    struct sftp_statvfs s;
    struct statvfs st = {0};

    if (reply->err || sftp_decode_statvfs(&body, &s) < 0) {
        fuse_reply_err(req, reply->err ? errno_of(reply->err) : EIO);
        return;
    }
    st.f_bsize = s.bsize;
    st.f_frsize = s.frsize;
    st.f_blocks = s.blocks;
    st.f_bfree = s.bfree;
    st.f_bavail = s.bavail;
    st.f_files = s.files;
    st.f_ffree = s.ffree;
    st.f_favail = s.favail;
    st.f_namemax = s.namemax;
    fuse_reply_statfs(req, &st);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *m = mount_of(req);
    struct statvfs none = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
    struct conn_call_args call = {
        .request = {.type = SFTP_EXTENDED, .extension = SFTP_HAS_STATVFS},
        .expect = SFTP_EXTENDED_REPLY,
        .flags = CONN_REPEAT,
        .cb = statvfs_cb,
        .arg = req};
    char path[SFTP_PATH_BYTES];

    if (!mount_has(m, SFTP_HAS_STATVFS) ||
        mount_path(m, mount_node(m, ino), NULL, path) < 0) {
        fuse_reply_statfs(req, &none);
        return;
    }
    call.request.path = text_of(path);
    conn_call(m->conns[META], &call);
}
