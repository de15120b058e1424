#include "fuse/write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fuse/directory.h"
#include "fuse/lanes.h"
#include "fuse/memory.h"
#include "fuse/read.h"

#define FIRST_PIECE 4096u
#define TRIES_MAX   64
#define WINDOW_MIN  (512u << 10)

struct held_write {
    TAILQ_ENTRY(held_write) entry;
    fuse_req_t req;
    size_t len;
};

/* One request in strict mode: answered when its last piece is. */
struct strict_write {
    fuse_req_t req;
    size_t len;
    unsigned left;
    int err;
};

struct write_piece {
    TAILQ_ENTRY(write_piece) entry;
    struct file *file;
    struct strict_write *strict;
    uint64_t off;
    uint32_t len, size;
    uint8_t *data;
    bool started;
    unsigned which; /* connection, once started */
    unsigned tries;
    uint64_t number;
};

struct drain {
    TAILQ_ENTRY(drain) entry;
    uint64_t number; /* pieces up to here */
    file_cb *cb;
    void *arg;
};

static void kick(struct node *n);

static bool overlap(const struct write_piece *p, uint64_t off, uint64_t len)
{
    return off < p->off + p->len && p->off < off + len;
}

bool write_overlaps(const struct node *n, uint64_t off, uint64_t len)
{
    const struct write_piece *p;

    if (!n->io)
        return false;
    TAILQ_FOREACH(p, &n->io->writes, entry)
    if (overlap(p, off, len))
        return true;
    return false;
}

int write_take_error(struct file *f)
{
    int err = f->write_err;

    f->write_err = 0;
    return err;
}

int write_show_error(struct file *f)
{
    f->write_told = true;
    return f->write_err;
}

static void release_held(struct mount *m)
{
    struct held_write *h;

    while (m->write_bytes <= WRITES_SOFT && (h = TAILQ_FIRST(&m->held))) {
        TAILQ_REMOVE(&m->held, h, entry);
        fuse_reply_write(h->req, h->len);
        free(h);
    }
}

static void wake_drains(struct node *n)
{
    struct write_piece *first = TAILQ_FIRST(&n->io->writes);
    TAILQ_HEAD(, drain) due = TAILQ_HEAD_INITIALIZER(due);
    struct drain *d, *next;

    for (d = TAILQ_FIRST(&n->io->drains); d; d = next) {
        next = TAILQ_NEXT(d, entry);
        if (first && first->number <= d->number)
            continue;
        TAILQ_REMOVE(&n->io->drains, d, entry);
        TAILQ_INSERT_TAIL(&due, d, entry);
    }
    while ((d = TAILQ_FIRST(&due))) {
        TAILQ_REMOVE(&due, d, entry);
        d->cb(d->arg, 0);
        free(d);
    }
}

static void strict_done(struct strict_write *s, int err)
{
    if (!s)
        return;
    if (err && !s->err)
        s->err = err;
    if (--s->left > 0)
        return;
    if (s->err)
        fuse_reply_err(s->req, -s->err);
    else
        fuse_reply_write(s->req, s->len);
    free(s);
}

static void keep_error(struct write_piece *p, int err)
{
    struct file *f = p->file;

    if (err)
        log_warn("%.*s: writing %u bytes at %llu: %s (attempt %u)",
                 (int)f->node->name_len, f->node->name, p->len,
                 (unsigned long long)p->off, strerror(-err), p->tries + 1);
    if (err == -ECONNRESET || err == -ETIMEDOUT)
        err = -EIO;
    if (err && !p->strict && !f->write_err) {
        f->write_err = err;
        f->write_told = false;
    }
    strict_done(p->strict, err);
}

static void start(struct write_piece *p, unsigned which)
{
    p->started = true;
    p->which = which;
    p->file->node->io->writing += p->len;
    p->file->m->lane_bytes[which] += p->len;
}

static void stop(struct write_piece *p)
{
    p->started = false;
    p->file->node->io->writing -= p->len;
    p->file->m->lane_bytes[p->which] -= p->len;
}

/* The piece is at the server, or lost. */
static void piece_end(struct write_piece *p, int err)
{
    struct file *f = p->file;
    struct node *n = f->node;
    struct mount *m = f->m;

    stop(p);
    window_count(&n->io->written, p->len, conn_rtt(m->conns[META]));
    keep_error(p, err);
    if (err == 0 && !f->append && p->off + p->len > f->acked)
        f->acked = p->off + p->len;
    TAILQ_REMOVE(&n->io->writes, p, entry);
    m->write_bytes -= p->size;
    if (TAILQ_EMPTY(&n->io->writes)) { /* the server's own mtime counts now */
        n->attr_at = 0;
        n->write_seq++;
        directory_note_changed(m, n);
    }
    free(p->data);
    free(p);
    node_ref(n);
    kick(n);
    wake_drains(n);
    release_held(m);
    file_unref(f);
    node_unref(m->nodes, n);
}

static void explained_cb(void *arg, int err)
{
    piece_end(arg, err);
}

static void written_cb(void *arg, const struct reply *reply)
{
    struct write_piece *p = arg;
    struct file *f = p->file;

    if (reply->err == -ECONNRESET && !f->append && ++p->tries < TRIES_MAX) {
        stop(p);
        f->refs++;
        kick(f->node);
        file_unref(f);
    } else if (reply->err == -EIO) {
        failure_explain(f->m, NULL, false, reply->err, explained_cb, p);
    } else {
        piece_end(p, reply->err);
    }
}

static void send_piece_cb(void *arg, int err)
{
    struct write_piece *p = arg;
    struct conn_call_args call = {.request = {.type = SFTP_WRITE},
                                  .expect = SFTP_STATUS,
                                  .flags = CONN_HANDLE,
                                  .cb = written_cb,
                                  .arg = p};

    if (err) {
        piece_end(p, err);
        return;
    }
    call.request.handle = file_handle(p->file, p->which);
    call.request.offset = p->off;
    call.request.data.data = (const char *)p->data;
    call.request.data.len = p->len;
    call.payload = p->data;
    conn_call(p->file->m->conns[p->which], &call);
}

/* An earlier piece must be there first. Those of the same connection are, as
 * servers do what comes by one in order. */
static bool must_wait(struct node *n, const struct write_piece *p,
                      unsigned which)
{
    const struct write_piece *q;

    TAILQ_FOREACH(q, &n->io->writes, entry)
    {
        if (q == p)
            return false;
        if (overlap(q, p->off, p->len) &&
            (!q->started || q->which != which || q->file != p->file))
            return true;
    }
    return false;
}

/* The next piece that is not under way, if it may be. One that is not full
 * waits for the answer to an earlier one, so that small writes become large
 * ones; unless somebody waits for it. */
static struct write_piece *next_piece(struct node *n, unsigned *which)
{
    uint64_t window;
    struct write_piece *p;

    TAILQ_FOREACH(p, &n->io->writes, entry)
    if (!p->started)
        break;
    if (!p || (p->len < PIECE_BYTES && TAILQ_EMPTY(&n->io->drains) &&
               !p->strict && !TAILQ_NEXT(p, entry) && n->io->writing > 0))
        return NULL;
    window = window_bytes(&n->io->written, conn_rtt(p->file->m->conns[META]),
                          WINDOW_MIN);
    if (n->io->writing > 0 && n->io->writing + p->len > window)
        return NULL;
    *which = lanes_pick(p->file, window);
    return must_wait(n, p, *which) ? NULL : p;
}

/* Starts what may start. Each may change the list. */
static void kick(struct node *n)
{
    struct write_piece *p;
    unsigned which;

    while ((p = next_piece(n, &which))) {
        start(p, which);
        file_use(p->file, which, send_piece_cb, p);
    }
}

void write_drain(struct node *n, file_cb *cb, void *arg)
{
    struct write_piece *last;
    struct mount *m;
    struct drain *d;

    if (!n->io || TAILQ_EMPTY(&n->io->writes)) {
        cb(arg, 0);
        return;
    }
    last = TAILQ_LAST(&n->io->writes, piece_list);
    m = last->file->m;
    d = mem_alloc(sizeof(*d));
    d->number = last->number;
    d->cb = cb;
    d->arg = arg;
    TAILQ_INSERT_TAIL(&n->io->drains, d, entry);
    node_ref(n);
    kick(n);
    node_unref(m->nodes, n);
}

/* Goes on with the last piece, if that has not been started. */
static size_t append_to_last(struct file *f, const char *data, size_t len,
                             uint64_t off)
{
    struct write_piece *p = TAILQ_LAST(&f->node->io->writes, piece_list);
    size_t room;

    if (!p || p->started || p->file != f || p->strict || p->off + p->len != off)
        return 0;
    room = PIECE_BYTES - p->len;
    if (len > room)
        len = room;
    if (p->len + len > p->size) {
        uint32_t size = p->size;

        while (size < p->len + len)
            size *= 2;
        p->data = mem_check(realloc(p->data, size));
        f->m->write_bytes += size - p->size;
        p->size = size;
    }
    memcpy(p->data + p->len, data, len);
    p->len += (uint32_t)len;
    return len;
}

static size_t add_piece(struct file *f, const char *data, size_t len,
                        uint64_t off, struct strict_write *strict)
{
    struct write_piece *p = mem_alloc(sizeof(*p));
    uint32_t size = FIRST_PIECE;

    if (len > PIECE_BYTES)
        len = PIECE_BYTES;
    while (size < len)
        size *= 2;
    p->data = mem_check(malloc(size));
    p->size = size;
    memcpy(p->data, data, len);
    p->len = (uint32_t)len;
    p->off = off;
    p->file = f;
    p->strict = strict;
    p->number = ++node_io(f->node)->write_number;
    f->refs++;
    f->m->write_bytes += size;
    TAILQ_INSERT_TAIL(&f->node->io->writes, p, entry);
    if (strict)
        strict->left++;
    return len;
}

static void take_bytes(struct file *f, const char *data, size_t len,
                       uint64_t off, struct strict_write *strict)
{
    while (len > 0) {
        size_t n = strict ? 0 : append_to_last(f, data, len, off);

        if (n == 0)
            n = add_piece(f, data, len, off, strict);
        data += n;
        off += n;
        len -= n;
    }
}

static void hold(struct mount *m, fuse_req_t req, size_t len)
{
    struct held_write *h = mem_alloc(sizeof(*h));

    h->req = req;
    h->len = len;
    TAILQ_INSERT_TAIL(&m->held, h, entry);
}

void write_request(struct mount *m, fuse_req_t req, struct file *f,
                   const char *data, size_t len, uint64_t off)
{
    struct node *n = f->node;
    struct strict_write *strict = NULL;

    if (f->write_err) {
        fuse_reply_err(req, -write_take_error(f));
        return;
    }
    if (m->o->strict && len > 0) {
        strict = mem_alloc(sizeof(*strict));
        strict->req = req;
        strict->len = len;
    }
    f->wrote = true;
    f->moved += len;
    read_forget(n, off, len);
    take_bytes(f, data, len, off, strict);
    if (off + len > n->attr.size)
        n->attr.size = off + len;
    attributes_changed(m, n);
    f->refs++;
    kick(n);
    file_promote(f);
    file_unref(f);
    if (strict)
        return; /* answered with its last piece */
    if (m->write_bytes > WRITES_SOFT)
        hold(m, req, len);
    else
        fuse_reply_write(req, len);
}
