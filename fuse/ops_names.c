/* Names: found, removed, moved, and what links say. */
#include "fuse/ops.h"

#include <stdio.h>
#include <string.h>

#include "fuse/directory.h"
#include "fuse/memory.h"

struct name_op {
    struct mount *m;
    fuse_req_t req;            /* NULL: it was answered already (async_names) */
    struct node *dir, *to_dir; /* with references */
    struct node *node;         /* lookup: with a reference */
    bool is_dir, again, waited;
    unsigned flags;
    char name[256], to_name[256];
};

static struct name_op *name_op_create(fuse_req_t req, fuse_ino_t parent,
                                      const char *name)
{
    struct mount *m = mount_of(req);
    struct name_op *op;

    if (strlen(name) > 255) {
        fuse_reply_err(req, ENAMETOOLONG);
        return NULL;
    }
    op = mem_alloc(sizeof(*op));
    op->m = m;
    op->req = req;
    op->dir = mount_node(m, parent);
    node_ref(op->dir);
    snprintf(op->name, sizeof(op->name), "%s", name);
    return op;
}

static void name_op_free(struct name_op *op)
{
    node_unref(op->m->nodes, op->dir);
    if (op->to_dir)
        node_unref(op->m->nodes, op->to_dir);
    free(op);
}

static void name_op_end(struct name_op *op, int err)
{
    if (op->req) {
        fuse_reply_err(op->req, errno_of(err));
    } else if (err) {
        log_error("%s: a change that was answered early failed: %s", op->name,
                  strerror(-err));
        op->m->lost++;
    }
    name_op_free(op);
}

static void look_up(struct name_op *op);

static void looked_cb(void *arg, int err)
{
    struct name_op *op = arg;
    struct node *n = op->node;
    struct mount *m = op->m;

    op->node = NULL;
    if (err == -ESTALE && !op->again) {
        /* Another kind of thing has the name: another node. */
        op->again = true;
        node_remove(m->nodes, n);
        node_unref(m->nodes, n);
        look_up(op);
        return;
    }
    if (err == 0) {
        attributes_reply_entry(m, op->req, n);
        name_op_free(op);
    } else {
        if (err == -ENOENT)
            node_remove(m->nodes, n);
        name_op_end(op, err);
    }
    node_unref(m->nodes, n);
}

static void listed_cb(void *arg)
{
    struct name_op *op = arg;

    op->waited = true;
    look_up(op);
}

/* A directory that cannot be listed is not listed again and again. */
static bool asks_listing(const struct name_op *op)
{
    return !op->again && (!op->waited || directory_is_known(op->m, op->dir));
}

static void look_up(struct name_op *op)
{
    struct mount *m = op->m;
    struct node *n = node_find(m->nodes, op->dir, op->name, strlen(op->name));
    int rc;

    if (n && attributes_fresh(m, n)) {
        attributes_reply_entry(m, op->req, n);
        name_op_free(op);
        return;
    }
    rc = asks_listing(op) ? directory_lookup(m, op->dir, op->name, &n) : 0;
    if (rc == 1) {
        attributes_reply_entry(m, op->req, n);
        name_op_free(op);
    } else if (rc == -ENOENT) {
        name_op_end(op, rc);
    } else if (rc == -EAGAIN) {
        directory_wait(op->dir, listed_cb, op);
    } else {
        op->node = node_get(m->nodes, op->dir, op->name, strlen(op->name));
        node_ref(op->node);
        attributes_ask(m, op->node, looked_cb, op);
    }
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct name_op *op = name_op_create(req, parent, name);

    if (op)
        look_up(op);
}

static void note_removed(struct name_op *op)
{
    struct mount *m = op->m;
    struct node *n = node_find(m->nodes, op->dir, op->name, strlen(op->name));

    directory_note_removed(m, op->dir, op->name);
    if (n) {
        node_remove(m->nodes, n);
        node_tidy(m->nodes, n);
    }
}

static void removed_cb(void *arg, const struct reply *reply)
{
    struct name_op *op = arg;
    int err = reply->err;

    /* FAILURE: of what can be wrong with RMDIR, this is it. */
    if (err == -EIO && op->is_dir)
        err = -ENOTEMPTY;
    if (err == 0 && op->req)
        note_removed(op);
    name_op_end(op, err);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name,
                        bool is_dir)
{
    struct name_op *op = name_op_create(req, parent, name);
    struct conn_call_args call = {
        .request = {.type = is_dir ? SFTP_RMDIR : SFTP_REMOVE},
        .expect = SFTP_STATUS,
        .cb = removed_cb,
        .arg = op};
    char path[SFTP_PATH_BYTES];
    int rc;

    if (!op)
        return;
    op->is_dir = is_dir;
    rc = mount_path(op->m, op->dir, name, path);
    if (rc < 0) {
        name_op_end(op, rc);
        return;
    }
    call.request.path = text_of(path);
    conn_call(op->m->conns[META], &call);
    if (op->m->o->async_names && !is_dir) {
        note_removed(op);
        fuse_reply_err(op->req, 0);
        op->req = NULL;
    }
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, false);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, true);
}

static void note_renamed(struct name_op *op)
{
    struct mount *m = op->m;
    struct node *n = node_find(m->nodes, op->dir, op->name, strlen(op->name));
    struct node *old =
        node_find(m->nodes, op->to_dir, op->to_name, strlen(op->to_name));

    directory_note_removed(m, op->dir, op->name);
    directory_note_removed(m, op->to_dir, op->to_name);
    if (n) {
        node_rename(m->nodes, n, op->to_dir, op->to_name, strlen(op->to_name));
        directory_note_created(m, n);
        directory_note_changed(m, n);
        return;
    }
    if (old) {
        node_remove(m->nodes, old);
        node_tidy(m->nodes, old);
    }
    if (node_io(op->to_dir)->listing)
        op->to_dir->io->listing->at = 0; /* it has a name that we do not know */
    if (op->to_dir->io->fetch)
        directory_note_removed(m, op->to_dir, op->to_name);
}

static void rename_explained_cb(void *arg, int err)
{
    name_op_end(arg, err);
}

static void renamed_cb(void *arg, const struct reply *reply)
{
    struct name_op *op = arg;
    struct node *target;
    char path[SFTP_PATH_BYTES];

    if (reply->err == 0 && op->req)
        note_renamed(op);
    if (reply->err != -EIO ||
        mount_path(op->m, op->to_dir, op->to_name, path)) {
        name_op_end(op, reply->err);
        return;
    }
    target =
        node_find(op->m->nodes, op->to_dir, op->to_name, strlen(op->to_name));
    if (target && node_is_dir(target) && !op->flags)
        name_op_end(op, -ENOTEMPTY);
    else
        failure_explain(op->m, path,
                        op->flags || !mount_has(op->m, SFTP_HAS_POSIX_RENAME),
                        -EIO, rename_explained_cb, op);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t newparent, const char *newname, unsigned flags)
{
    struct mount *m = mount_of(req);
    struct name_op *op = NULL;
    struct conn_call_args call = {
        .request = {.type = SFTP_EXTENDED, .extension = SFTP_HAS_POSIX_RENAME},
        .expect = SFTP_STATUS,
        .cb = renamed_cb};
    char from[SFTP_PATH_BYTES], to[SFTP_PATH_BYTES];
    int rc;

    if (flags & ~(unsigned)RENAME_NOREPLACE || strlen(newname) > 255) {
        fuse_reply_err(req, strlen(newname) > 255 ? ENAMETOOLONG : EINVAL);
        return;
    }
    op = name_op_create(req, parent, name);
    if (!op)
        return;
    call.arg = op;
    op->flags = flags;
    op->to_dir = mount_node(m, newparent);
    node_ref(op->to_dir);
    snprintf(op->to_name, sizeof(op->to_name), "%s", newname);
    rc = mount_path(m, op->dir, name, from);
    if (rc == 0)
        rc = mount_path(m, op->to_dir, newname, to);
    if (rc < 0) {
        name_op_end(op, rc);
        return;
    }
    /* The RENAME of SFTP 3 does not replace (draft 02, section 6.5). */
    if (flags || !mount_has(m, SFTP_HAS_POSIX_RENAME))
        call.request.type = SFTP_RENAME;
    call.request.path = text_of(from);
    call.request.target = text_of(to);
    conn_call(m->conns[META], &call);
    if (m->o->async_names && !flags) {
        note_renamed(op);
        fuse_reply_err(op->req, 0);
        op->req = NULL;
    }
}

/* A link may go up with leading ".." as far as the mount's root, and down. A
 * ".." behind a name could lead out, if the name is a link itself. */
static bool stays_inside(const struct node *n, const char *target)
{
    unsigned depth = node_depth(n), up = 1; /* the link's own directory */

    if (*target == '/')
        return false;
    while (!strncmp(target, "..", 2) && (!target[2] || target[2] == '/')) {
        if (++up > depth)
            return false;
        target += target[2] ? 3 : 2;
        target += strspn(target, "/");
    }
    for (; *target; target += strcspn(target, "/"), target += *target != 0)
        if (!strncmp(target, "..", 2) && (!target[2] || target[2] == '/'))
            return false;
    return true;
}

static void link_cb(void *arg, const struct reply *reply)
{
    struct name_op *op = arg;
    struct sftp_reader body = reply->body;
    struct sftp_name name;
    char target[SFTP_PATH_BYTES];
    uint32_t left;

    if (reply->err) {
        name_op_end(op, reply->err);
        return;
    }
    if (sftp_decode_names(&body, &left) < 0 || left != 1 ||
        sftp_next_name(&body, &left, &name) != 1 || name.name.len == 0 ||
        name.name.len >= sizeof(target) ||
        memchr(name.name.data, '\0', name.name.len)) {
        name_op_end(op, -EIO);
        return;
    }
    memcpy(target, name.name.data, name.name.len);
    target[name.name.len] = '\0';
    if (!op->m->o->follow_outside && !stays_inside(op->dir, target)) {
        name_op_end(op, -EPERM);
        return;
    }
    fuse_reply_readlink(op->req, target);
    name_op_free(op);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct name_op *op = name_op_create(req, ino, "");
    struct conn_call_args call = {.request = {.type = SFTP_READLINK},
                                  .expect = SFTP_NAME,
                                  .flags = CONN_REPEAT,
                                  .cb = link_cb,
                                  .arg = op};
    char path[SFTP_PATH_BYTES];
    int rc = mount_path(op->m, op->dir, NULL, path);

    if (rc < 0) {
        name_op_end(op, rc);
        return;
    }
    call.request.path = text_of(path);
    conn_call(op->m->conns[META], &call);
}
