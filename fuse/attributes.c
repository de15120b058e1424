#include <errno.h>
#include <string.h>

#include "fuse/file.h"
#include "fuse/memory.h"
#include "fuse/mount.h"

int mount_path(struct mount *m, const struct node *n, const char *name,
               char out[SFTP_PATH_BYTES])
{
    int rc = node_path(n, m->base, out, SFTP_PATH_BYTES);
    size_t len, more;

    if (rc == -ESTALE && name)
        return -ENOENT; /* in a directory that was removed there is nothing */
    if (rc < 0 || !name)
        return rc;
    len = strlen(out);
    more = strlen(name);
    if (more > 255 || len + more + 2 > SFTP_PATH_BYTES)
        return -ENAMETOOLONG;
    if (out[len - 1] != '/')
        out[len++] = '/';
    memcpy(out + len, name, more + 1);
    return 0;
}

static bool is_writing(const struct node *n)
{
    return n->io && !TAILQ_EMPTY(&n->io->writes);
}

void attributes_set(struct mount *m, struct node *n, const struct attr *a,
                    uint32_t seq)
{
    struct attr before = n->attr;

    n->attr = *a;
    n->attr_at = mount_now(m);
    if (!is_writing(n) && n->write_seq == seq)
        return;
    if (before.size > n->attr.size)
        n->attr.size = before.size;
    if (before.mtime > n->attr.mtime)
        n->attr.mtime = before.mtime;
    if (!is_writing(n))
        n->attr_at = 0; /* ask again when it matters */
}

bool attributes_fresh(const struct mount *m, const struct node *n)
{
    if (is_writing(n))
        return true;
    return n->attr_at && mount_now(m) - n->attr_at < m->ttl;
}

double attributes_timeout(const struct mount *m, const struct node *n)
{
    uint64_t age = mount_now(m) - n->attr_at;

    if (is_writing(n) || n->attr_at == 0 || age >= m->ttl)
        return 0;
    return (double)(m->ttl - age) / 1000;
}

/* Bits that would give rights to who runs the file. This is the one way by
 * which a mode gets to the kernel, so no answer of a server, however late,
 * brings them there. Of directories they say something else. */
static uint32_t shown_mode(const struct mount *m, const struct node *n)
{
    if (m->o->no_setid && S_ISREG(n->attr.mode))
        return n->attr.mode & ~(uint32_t)(S_ISUID | S_ISGID);
    return n->attr.mode;
}

void attributes_stat(const struct mount *m, const struct node *n,
                     struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = n->ino;
    st->st_mode = shown_mode(m, n);
    st->st_nlink = 1; /* SFTP 3 does not say */
    st->st_uid = n->attr.uid;
    st->st_gid = n->attr.gid;
    st->st_size = (off_t)n->attr.size;
    st->st_blksize = 4096;
    st->st_blocks = (blkcnt_t)((n->attr.size + 511) / 512);
    st->st_atime = n->attr.atime;
    st->st_mtime = n->attr.mtime;
    st->st_ctime = n->attr.mtime;
}

void attributes_entry(const struct mount *m, struct node *n,
                      struct fuse_entry_param *e)
{
    memset(e, 0, sizeof(*e));
    e->ino = n->parent ? (fuse_ino_t)(uintptr_t)n : FUSE_ROOT_ID;
    e->attr_timeout = e->entry_timeout = attributes_timeout(m, n);
    attributes_stat(m, n, &e->attr);
}

void attributes_reply_entry(struct mount *m, fuse_req_t req, struct node *n)
{
    struct fuse_entry_param e;

    attributes_entry(m, n, &e);
    n->lookups++;
    if (fuse_reply_entry(req, &e) < 0)
        node_forget(m->nodes, n, 1);
}

void attributes_changed(struct mount *m, struct node *n)
{
    n->write_seq++;
    n->attr.mtime = (uint32_t)time(NULL);
    n->attr_at = n->attr_at ? n->attr_at : mount_now(m);
    node_io(n)->changed_at = mount_now(m);
}

struct ask {
    struct mount *m;
    struct node *n;
    uint32_t seq;
    attributes_cb *cb;
    void *arg;
    struct file *file; /* whose handle is asked, if it has no path */
};

static void ask_done(struct ask *q, int err)
{
    attributes_cb *cb = q->cb;
    void *arg = q->arg;
    struct mount *m = q->m;
    struct node *n = q->n;

    if (q->file)
        file_unref(q->file);
    free(q);
    cb(arg, err);
    node_unref(m->nodes, n);
}

static void asked_cb(void *arg, const struct reply *reply)
{
    struct ask *q = arg;
    struct sftp_reader body = reply->body;
    struct sftp_attrs attrs;
    struct attr a;

    if (reply->err) {
        ask_done(q, reply->err);
        return;
    }
    if (sftp_decode_attrs(&body, &attrs) < 0 || !attr_from_sftp(&a, &attrs)) {
        ask_done(q, -EIO);
        return;
    }
    if (q->n->attr.mode && (a.mode & S_IFMT) != (q->n->attr.mode & S_IFMT)) {
        ask_done(q, -ESTALE); /* another thing has its name now */
        return;
    }
    attributes_set(q->m, q->n, &a, q->seq);
    ask_done(q, 0);
}

static void ask_handle_cb(void *arg, int err)
{
    struct ask *q = arg;
    struct conn_call_args call = {.request = {.type = SFTP_FSTAT},
                                  .expect = SFTP_ATTRS,
                                  .flags = CONN_HANDLE,
                                  .cb = asked_cb,
                                  .arg = q};
    unsigned which = q->file->which;

    if (err) {
        ask_done(q, err);
        return;
    }
    call.request.handle = file_handle(q->file, which);
    conn_call(q->m->conns[which], &call);
}

void attributes_ask(struct mount *m, struct node *n, attributes_cb *cb,
                    void *arg)
{
    struct ask *q = mem_alloc(sizeof(*q));
    struct conn_call_args call = {.request = {.type = SFTP_LSTAT},
                                  .expect = SFTP_ATTRS,
                                  .flags = CONN_REPEAT,
                                  .cb = asked_cb,
                                  .arg = q};
    char path[SFTP_PATH_BYTES];
    int rc = mount_path(m, n, NULL, path);

    q->m = m;
    q->n = n;
    q->seq = n->write_seq;
    q->cb = cb;
    q->arg = arg;
    node_ref(n);
    if (rc == 0) {
        call.request.path = text_of(path);
        conn_call(m->conns[META], &call);
    } else if (n->io && (q->file = LIST_FIRST(&n->io->files))) {
        q->file->refs++;
        file_use(q->file, q->file->which, ask_handle_cb, q);
    } else if (node_is_gone(n) && node_is_dir(n)) {
        ask_done(q, 0); /* removed, but open: what was last known of it */
    } else {
        ask_done(q, rc);
    }
}
