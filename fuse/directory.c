#include "fuse/directory.h"

#include <errno.h>
#include <string.h>

#include "fuse/memory.h"
#include "sftp/status.h"

#define READDIRS 16    /* in flight */
#define MISS_MS  1000  /* two lookups that had to ask: list it all */
#define WAIT_MAX 20000 /* entries for which a lookup waits */
#define RETRIES  8

struct waiter {
    STAILQ_ENTRY(waiter) entry;
    directory_cb *cb;
    void *arg;
};

struct fetch {
    struct mount *m;
    struct node *node;       /* with a reference */
    struct listing *listing; /* with a reference */
    unsigned in_flight, tries;
    bool ended, dirty; /* dirty: we changed the directory meanwhile */
    int err;
    uint16_t handle_len;
    char handle[SFTP_HANDLE_MAX];
    STAILQ_HEAD(, waiter) waiters;
};

static void start(struct fetch *f);

static void set_listing(struct mount *m, struct node *n, struct listing *l)
{
    struct listing *old = node_io(n)->listing;

    if (old) {
        TAILQ_REMOVE(&m->listings, old, entry);
        m->listing_bytes -= old->counted;
        old->owner = NULL;
        listing_unref(old);
        n->io->listing = NULL;
        node_unref(m->nodes, n);
    }
    if (!l)
        return;
    l->owner = n;
    n->io->listing = l;
    node_ref(n);
    listing_ref(l);
    l->counted = l->bytes + l->count * 12;
    m->listing_bytes += l->counted;
    TAILQ_INSERT_TAIL(&m->listings, l, entry);
}

void directory_sweep(struct mount *m)
{
    struct listing *l;

    while (
        (l = TAILQ_FIRST(&m->listings)) &&
        (mount_now(m) - l->at > LISTING_MS || m->listing_bytes > LISTINGS_MAX))
        set_listing(m, l->owner, NULL);
}

static void wake(struct fetch *f)
{
    STAILQ_HEAD(, waiter) due = STAILQ_HEAD_INITIALIZER(due);
    struct waiter *w;

    STAILQ_CONCAT(&due, &f->waiters);
    while ((w = STAILQ_FIRST(&due))) {
        STAILQ_REMOVE_HEAD(&due, entry);
        w->cb(w->arg);
        free(w);
    }
}

static void closed_cb(void *arg, const struct reply *reply)
{
    (void)arg;
    (void)reply;
}

static void close_handle(struct fetch *f)
{
    struct conn_call_args call = {.request = {.type = SFTP_CLOSE},
                                  .expect = SFTP_STATUS,
                                  .flags = CONN_HANDLE,
                                  .cb = closed_cb};

    if (f->handle_len == 0)
        return;
    call.request.handle.data = f->handle;
    call.request.handle.len = f->handle_len;
    f->handle_len = 0;
    conn_call(f->m->conns[META], &call);
}

static void end(struct fetch *f)
{
    struct mount *m = f->m;
    struct node *n = f->node;
    struct listing *l = f->listing;

    close_handle(f);
    l->at = f->dirty ? 0 : mount_now(m);
    listing_finish(l, f->err);
    n->io->fetch = NULL;
    if (f->err == 0)
        set_listing(m, n, l);
    n->io->ahead_to = n->io->ahead = 0;
    wake(f);
    listing_unref(l);
    free(f);
    directory_sweep(m);
    node_unref(m->nodes, n);
}

/* All answers are there: the end, or once more after a lost link. */
static void settle(struct fetch *f)
{
    if (f->in_flight > 0)
        return;
    if (f->err == -ECONNRESET) {
        f->handle_len = 0;
        if (f->listing->count == 0 && ++f->tries < RETRIES) {
            f->err = 0;
            f->ended = false;
            start(f);
            return;
        }
        f->err = -EIO;
    }
    end(f);
}

static bool add_entry(struct fetch *f, const struct sftp_name *name)
{
    struct attr a;

    if ((name->name.len == 1 && name->name.data[0] == '.') ||
        (name->name.len == 2 && !memcmp(name->name.data, "..", 2)))
        return true;
    if (!sftp_name_is_entry(name->name)) {
        log_warn("the server lists a name that cannot be one");
        f->err = -EIO;
        return false;
    }
    if (!attr_from_sftp(&a, &name->attrs))
        return true; /* devices, pipes and sockets are not shown */
    if (!listing_add(f->listing, name->name.data, name->name.len, &a))
        f->err = -EOVERFLOW;
    return f->err == 0;
}

static void take_names(struct fetch *f, struct sftp_reader *body)
{
    struct sftp_name name;
    uint32_t left;
    int rc = sftp_decode_names(body, &left);

    while (rc == 0 && (rc = sftp_next_name(body, &left, &name)) > 0)
        rc = add_entry(f, &name) ? 0 : f->err;
    if (rc < 0 && !f->err)
        f->err = -EIO;
}

static void ask_more(struct fetch *f);

static void names_cb(void *arg, const struct reply *reply)
{
    struct fetch *f = arg;
    struct sftp_reader body = reply->body;

    f->in_flight--;
    if (reply->err == SFTP_ERR_EOF)
        f->ended = true;
    else if (reply->err)
        f->err = f->err ? f->err : reply->err;
    else
        take_names(f, &body);
    /* Nobody has it open any more, and it is not soon done. */
    if (!f->err && f->listing->refs == 1 && STAILQ_EMPTY(&f->waiters) &&
        f->listing->count > WAIT_MAX)
        f->err = -ECANCELED;
    if (f->err)
        f->ended = true;
    if (!f->ended)
        ask_more(f);
    if (f->in_flight > 0 && f->listing->count >= BATCH_MIN)
        wake(f);
    settle(f);
}

static void ask_more(struct fetch *f)
{
    struct conn_call_args call = {.request = {.type = SFTP_READDIR},
                                  .expect = SFTP_NAME,
                                  .flags = CONN_HANDLE,
                                  .cb = names_cb,
                                  .arg = f};
    /* Most directories are one answer and the end. */
    unsigned most = f->listing->count == 0 ? 3 : READDIRS;

    call.request.handle.data = f->handle;
    call.request.handle.len = f->handle_len;
    while (f->in_flight < most) {
        f->in_flight++;
        conn_call(f->m->conns[META], &call);
    }
}

static void opened_cb(void *arg, const struct reply *reply)
{
    struct fetch *f = arg;
    struct sftp_reader body = reply->body;
    struct sftp_text handle;

    f->in_flight--;
    f->err = reply->err;
    if (!f->err && sftp_decode_handle(&body, &handle) < 0)
        f->err = -EIO;
    if (f->err) {
        settle(f);
        return;
    }
    memcpy(f->handle, handle.data, handle.len);
    f->handle_len = (uint16_t)handle.len;
    ask_more(f);
}

static void start(struct fetch *f)
{
    struct conn_call_args call = {.request = {.type = SFTP_OPENDIR},
                                  .expect = SFTP_HANDLE,
                                  .flags = CONN_REPEAT,
                                  .cb = opened_cb,
                                  .arg = f};
    char path[SFTP_PATH_BYTES];

    f->err = mount_path(f->m, f->node, NULL, path);
    if (f->err) {
        end(f);
        return;
    }
    call.request.path = text_of(path);
    f->in_flight++;
    conn_call(f->m->conns[META], &call);
}

struct listing *directory_list(struct mount *m, struct node *n, bool anew)
{
    struct node_io *io = node_io(n);
    struct fetch *f;

    if (io->fetch)
        return io->fetch->listing;
    if (!anew && io->listing && mount_now(m) - io->listing->at < m->ttl)
        return io->listing;
    f = mem_alloc(sizeof(*f));
    f->m = m;
    f->node = n;
    f->listing = listing_create(mount_now(m));
    STAILQ_INIT(&f->waiters);
    node_ref(n);
    io->fetch = f;
    start(f);
    return io->fetch ? f->listing : NULL;
}

void directory_wait(struct node *n, directory_cb *cb, void *arg)
{
    struct waiter *w = mem_alloc(sizeof(*w));

    w->cb = cb;
    w->arg = arg;
    STAILQ_INSERT_TAIL(&n->io->fetch->waiters, w, entry);
}

bool directory_adopt(struct mount *m, struct node *n, const struct listing *l,
                     const struct listing_entry *e)
{
    if (n->attr.mode && (n->attr.mode & S_IFMT) != (e->attr.mode & S_IFMT))
        return false;
    if (attributes_fresh(m, n))
        return true;
    if (e->stale || (n->io && n->io->changed_at >= l->began))
        return false;
    n->attr = e->attr;
    n->attr_at = l->complete ? l->at : mount_now(m);
    return attributes_fresh(m, n);
}

bool directory_is_known(const struct mount *m, const struct node *n)
{
    const struct node_io *io = n->io;

    return io && (io->fetch ||
                  (io->listing && mount_now(m) - io->listing->at < m->ttl));
}

int directory_lookup(struct mount *m, struct node *dir, const char *name,
                     struct node **out)
{
    struct node_io *io = node_io(dir);
    uint64_t now = mount_now(m);
    struct listing_entry *e;

    if (m->o->strict)
        return 0;
    if (io->listing && now - io->listing->at < m->ttl) {
        e = listing_find(io->listing, name, strlen(name));
        if (!e)
            return -ENOENT;
        *out = node_get(m->nodes, dir, name, strlen(name));
        if (directory_adopt(m, *out, io->listing, e))
            return 1;
        node_tidy(m->nodes, *out);
        return 0;
    }
    if (!io->fetch) {
        bool again = io->missed_at && now - io->missed_at < MISS_MS;

        io->missed_at = now;
        if (!again)
            return 0;
        directory_list(m, dir, true);
    }
    if (!io->fetch || io->fetch->dirty || io->fetch->listing->count > WAIT_MAX)
        return 0;
    return -EAGAIN;
}

/* A directory whose names change has a new time, by our clock until the server
 * is asked again (as with files that are written). */
static void touch(struct node *dir)
{
    uint32_t now = (uint32_t)time(NULL);

    dir->write_seq++; /* answers of before are older */
    if (dir->attr.mtime < now)
        dir->attr.mtime = now;
}

void directory_note_created(struct mount *m, struct node *n)
{
    struct node_io *io = node_io(n->parent);

    (void)m;
    touch(n->parent);
    if (io->fetch)
        io->fetch->dirty = true;
    if (io->listing)
        listing_note_created(io->listing, n->name, n->name_len, &n->attr);
}

void directory_note_removed(struct mount *m, struct node *dir, const char *name)
{
    struct node_io *io = node_io(dir);

    (void)m;
    touch(dir);
    if (io->fetch)
        io->fetch->dirty = true;
    if (io->listing)
        listing_note_removed(io->listing, name, strlen(name));
}

void directory_note_changed(struct mount *m, struct node *n)
{
    node_io(n)->changed_at = mount_now(m);
    if (n->parent && n->parent->io && n->parent->io->listing && !n->gone)
        listing_note_changed(n->parent->io->listing, n->name, n->name_len);
}
