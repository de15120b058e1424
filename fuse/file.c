#include "fuse/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fuse/memory.h"
#include "fuse/prefetch.h"
#include "fuse/read.h"

#define PROMOTE_BYTES (1u << 20)

struct file *file_create(struct mount *m, struct node *n, int flags)
{
    struct file *f = mem_alloc(sizeof(*f));

    f->m = m;
    f->node = n;
    f->refs = 1;
    f->flags = flags;
    /* A file that is mapped for writing was opened O_RDWR: then the kernel's
     * offsets count, or its pages would go to the end. */
    f->append = (flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY;
    TAILQ_INIT(&f->blocks);
    TAILQ_INIT(&f->ops);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        STAILQ_INIT(&f->h[i].waiters);
    node_ref(n);
    LIST_INSERT_HEAD(&node_io(n)->files, f, entry);
    m->files++;
    return f;
}

static void closed_cb(void *arg, const struct reply *reply)
{
    struct mount *m = arg;

    if (reply->err && reply->err != -ECONNRESET) {
        log_warn("closing a file: %s", strerror(-reply->err));
        m->lost++;
    }
}

void file_close_handle(struct mount *m, unsigned which, struct sftp_text handle)
{
    struct conn_call_args call = {
        .request = {.type = SFTP_CLOSE, .handle = handle},
        .expect = SFTP_STATUS,
        .flags = CONN_HANDLE,
        .cb = closed_cb,
        .arg = m};

    conn_call(m->conns[which], &call);
}

bool file_has_handle(const struct file *f, unsigned which)
{
    return f->h[which].state == HANDLE_OPEN &&
           f->h[which].generation == conn_generation(f->m->conns[which]);
}

void file_unref(struct file *f)
{
    struct mount *m = f->m;

    if (--f->refs > 0)
        return;
    read_drop_blocks(f);
    content_unref(m, f->content);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        if (file_has_handle(f, i))
            file_close_handle(m, i, file_handle(f, i));
    if (f->write_err && !f->write_told) {
        log_error("%.*s: what was written last is lost: %s",
                  (int)f->node->name_len, f->node->name,
                  strerror(-f->write_err));
        m->lost++;
    }
    LIST_REMOVE(f, entry);
    node_unref(m->nodes, f->node);
    m->files--;
    free(f);
}

struct sftp_text file_handle(const struct file *f, unsigned which)
{
    return (struct sftp_text){(const char *)f->h[which].data, f->h[which].len};
}

uint32_t file_open_flags(const struct file *f)
{
    uint32_t flags = 0;

    if ((f->flags & O_ACCMODE) != O_WRONLY)
        flags |= SFTP_FLAG_READ;
    if ((f->flags & O_ACCMODE) != O_RDONLY)
        flags |= SFTP_FLAG_WRITE;
    if (f->append)
        flags |= SFTP_FLAG_APPEND;
    return flags;
}

/* Tells those who wait; they may ask again at once. */
static void wake(struct file *f, unsigned which, int err)
{
    struct handle *h = &f->h[which];
    struct handle_waiter *w;
    STAILQ_HEAD(, handle_waiter) due = STAILQ_HEAD_INITIALIZER(due);

    STAILQ_CONCAT(&due, &h->waiters);
    f->refs++;
    while ((w = STAILQ_FIRST(&due))) {
        STAILQ_REMOVE_HEAD(&due, entry);
        w->cb(w->arg, err);
        free(w);
    }
    file_unref(f);
}

void file_set_handle(struct file *f, unsigned which, uint32_t generation,
                     struct sftp_text handle)
{
    struct handle *h = &f->h[which];

    h->state = HANDLE_OPEN;
    h->generation = generation;
    h->len = (uint16_t)handle.len;
    memcpy(h->data, handle.data, handle.len);
}

void file_opening(struct file *f, unsigned which)
{
    f->h[which].state = HANDLE_OPENING;
}

static void open_handle(struct file *f, unsigned which);

void file_opened(struct file *f, unsigned which, int err)
{
    bool lost = !err && !file_has_handle(f, which);

    if (err || lost)
        f->h[which].state = HANDLE_NONE;
    if (!lost)
        wake(f, which, err);
    else if (!STAILQ_EMPTY(&f->h[which].waiters))
        open_handle(f, which); /* the link went before it was checked */
}

/* OPEN of a handle, with LSTAT behind it: is it still the same file? */
struct opening {
    struct file *f;
    unsigned which;
    int err;
    unsigned left;  /* answers to come */
    uint64_t acked; /* when it was asked: more may be there by now */
};

static void opening_done(struct opening *o)
{
    struct file *f = o->f;

    if (--o->left > 0)
        return;
    if (o->err) {
        if (file_has_handle(f, o->which))
            file_close_handle(f->m, o->which, file_handle(f, o->which));
    }
    file_opened(f, o->which, o->err);
    file_unref(f);
    free(o);
}

static void opened_cb(void *arg, const struct reply *reply)
{
    struct opening *o = arg;
    struct sftp_reader body = reply->body;
    struct sftp_text handle;

    if (reply->err)
        o->err = reply->err == -ENOENT ? -ESTALE : reply->err;
    else if (sftp_decode_handle(&body, &handle) < 0)
        o->err = -EIO;
    else
        file_set_handle(o->f, o->which,
                        conn_generation(o->f->m->conns[o->which]), handle);
    opening_done(o);
}

/* Not the one that we had: what we wrote is missing, or it was changed while
 * nobody watched. */
static bool is_another(const struct file *f, uint64_t acked,
                       const struct attr *a)
{
    if (acked > f->acked) /* truncated since */
        acked = f->acked;
    if (!S_ISREG(a->mode) || a->size < acked)
        return true;
    return f->seen && !f->wrote && f->node->write_seq == 0 &&
           (a->size != f->seen_size || a->mtime != f->seen_mtime);
}

static void same_cb(void *arg, const struct reply *reply)
{
    struct opening *o = arg;
    struct sftp_reader body = reply->body;
    struct sftp_attrs attrs;
    struct attr a;

    if (reply->err == 0 && sftp_decode_attrs(&body, &attrs) == 0 &&
        (!attr_from_sftp(&a, &attrs) || is_another(o->f, o->acked, &a)) &&
        !o->err)
        o->err = -ESTALE;
    opening_done(o);
}

static void open_handle(struct file *f, unsigned which)
{
    struct opening *o = mem_alloc(sizeof(*o));
    struct conn_call_args call = {
        .request = {.type = SFTP_OPEN, .flags = file_open_flags(f)},
        .expect = SFTP_HANDLE,
        .flags = CONN_REPEAT,
        .cb = opened_cb,
        .arg = o};
    char path[SFTP_PATH_BYTES];

    o->f = f;
    o->which = which;
    o->acked = f->acked;
    f->refs++;
    file_opening(f, which);
    o->err = mount_path(f->m, f->node, NULL, path);
    o->left = 1;
    if (o->err) {
        opening_done(o);
        return;
    }
    o->left = 2;
    call.request.path = text_of(path);
    conn_call(f->m->conns[which], &call);
    call.request.type = SFTP_LSTAT;
    call.expect = SFTP_ATTRS;
    call.cb = same_cb;
    conn_call(f->m->conns[which], &call);
}

void file_use(struct file *f, unsigned which, file_cb *cb, void *arg)
{
    struct handle_waiter *w;

    if (file_has_handle(f, which)) {
        cb(arg, 0);
        return;
    }
    w = mem_alloc(sizeof(*w));
    w->cb = cb;
    w->arg = arg;
    STAILQ_INSERT_TAIL(&f->h[which].waiters, w, entry);
    if (f->h[which].state != HANDLE_OPENING)
        open_handle(f, which);
}

static void promoted_cb(void *arg, int err)
{
    struct file *f = arg;

    if (err == 0)
        f->which = BULK;
    else
        f->moved = 0; /* perhaps later */
    file_unref(f);
}

void file_promote(struct file *f)
{
    if (f->which == BULK || f->append ||
        f->m->conns[META] == f->m->conns[BULK] || f->moved < PROMOTE_BYTES ||
        f->h[BULK].state == HANDLE_OPENING || node_is_gone(f->node))
        return;
    f->refs++;
    file_use(f, BULK, promoted_cb, f);
}
