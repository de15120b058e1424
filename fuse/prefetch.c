#include "fuse/prefetch.h"

#include <errno.h>
#include <string.h>

#include "fuse/file.h"
#include "fuse/memory.h"
#include "sftp/status.h"

#define CONTENT_MS  1000
#define AHEAD_FIRST 4
#define AHEAD_MAX   256
#define BYTES_MAX   (READS_MAX / 2)

struct content {
    TAILQ_ENTRY(content) entry; /* of the mount's, while it is its node's */
    struct mount *m;
    struct node *node; /* with a reference */
    unsigned refs;
    unsigned left; /* answers to come */
    bool offered;  /* it is the node's: may be taken */
    uint64_t at;   /* ms: when it was there */
    int err;
    uint32_t size, len;
    uint32_t seq; /* the node's, from before */
    uint8_t *data;
    attributes_cb *cb; /* one waiter: who took it */
    void *arg;
};

void content_drop(struct node *n)
{
    struct content *c = n->io->content;
    struct mount *m = c->m;

    n->io->content = NULL;
    c->offered = false;
    TAILQ_REMOVE(&m->contents, c, entry);
    content_unref(m, c);
}

void content_unref(struct mount *m, struct content *c)
{
    if (!c || --c->refs > 0)
        return;
    m->read_bytes -= c->size;
    m->content_bytes -= c->size;
    free(c->data);
    node_unref(m->nodes, c->node);
    free(c);
}

void content_sweep(struct mount *m)
{
    struct content *c;

    while ((c = TAILQ_FIRST(&m->contents)) && c->left == 0 &&
           mount_now(m) - c->at > CONTENT_MS)
        content_drop(c->node);
}

struct content *content_take(struct mount *m, struct node *n)
{
    struct content *c = n->io ? n->io->content : NULL;

    if (!c)
        return NULL;
    if (c->left == 0 && (c->err || mount_now(m) - c->at > CONTENT_MS)) {
        content_drop(n);
        return NULL;
    }
    c->refs++;
    content_drop(n); /* one open file has it; the next one asks again */
    return c;
}

void content_wait(struct content *c, attributes_cb *cb, void *arg)
{
    if (c->left == 0) {
        cb(arg, c->err);
        return;
    }
    c->cb = cb;
    c->arg = arg;
}

void content_reply(const struct content *c, fuse_req_t req, size_t size,
                   uint64_t off)
{
    if (off >= c->len)
        size = 0;
    else if (size > c->len - off)
        size = (size_t)(c->len - off);
    fuse_reply_buf(req, size ? (const char *)c->data + off : NULL, size);
}

static void answered(struct content *c, int err)
{
    struct mount *m = c->m;

    if (err && !c->err)
        c->err = err;
    if (--c->left == 0) {
        c->at = mount_now(m);
        if (c->cb)
            c->cb(c->arg, c->err);
    }
    content_unref(m, c);
}

static void data_cb(void *arg, const struct reply *reply)
{
    struct content *c = arg;

    int err = reply->err == SFTP_ERR_EOF ? 0 : reply->err;

    c->len = reply->err ? 0 : reply->len;
    if (err == 0 && c->len != c->size)
        err = -EAGAIN; /* it changes: not ahead of its time */
    answered(c, err);
}

/* The attributes of the very file that is read: it must be all of it. */
static void stat_cb(void *arg, const struct reply *reply)
{
    struct content *c = arg;
    struct sftp_reader body = reply->body;
    struct sftp_attrs attrs;
    struct attr a;

    if (reply->err) {
        answered(c, reply->err);
    } else if (sftp_decode_attrs(&body, &attrs) < 0 ||
               !attr_from_sftp(&a, &attrs) || !S_ISREG(a.mode)) {
        answered(c, -EIO);
    } else {
        attributes_set(c->m, c->node, &a, c->seq);
        answered(c, a.size == c->size ? 0 : -EAGAIN);
    }
}

static void closed_cb(void *arg, const struct reply *reply)
{
    (void)arg;
    (void)reply;
}

static void opened_cb(void *arg, const struct reply *reply)
{
    struct content *c = arg;
    struct conn *conn = c->m->conns[META];
    struct sftp_reader body = reply->body;
    struct conn_call_args call = {.request = {.type = SFTP_FSTAT},
                                  .expect = SFTP_ATTRS,
                                  .flags = CONN_HANDLE,
                                  .cb = stat_cb,
                                  .arg = c};
    struct sftp_text handle;

    if (reply->err || sftp_decode_handle(&body, &handle) < 0) {
        answered(c, reply->err ? reply->err : -EIO);
        return;
    }
    call.request.handle = handle;
    c->left += 2;
    c->refs += 2;
    conn_call(conn, &call);
    call.request.type = SFTP_READ;
    call.request.count = c->size + 1; /* one more: it may have grown */
    call.expect = SFTP_DATA;
    call.cb = data_cb;
    call.sink = c->data;
    conn_call(conn, &call);
    call.request.type = SFTP_CLOSE;
    call.expect = SFTP_STATUS;
    call.cb = closed_cb;
    conn_call(conn, &call);
    answered(c, 0);
}

static void start(struct mount *m, struct node *n, uint32_t size)
{
    struct content *c = mem_alloc(sizeof(*c));
    struct conn_call_args call = {
        .request = {.type = SFTP_OPEN, .flags = SFTP_FLAG_READ},
        .expect = SFTP_HANDLE,
        .flags = CONN_REPEAT,
        .cb = opened_cb,
        .arg = c};
    char path[SFTP_PATH_BYTES];

    c->m = m;
    c->node = n;
    c->size = size;
    c->seq = n->write_seq;
    c->data = mem_check(malloc(size + 1));
    c->refs = 2; /* the node's, and the call's */
    c->left = 1;
    c->offered = true;
    node_ref(n);
    node_io(n)->content = c;
    TAILQ_INSERT_TAIL(&m->contents, c, entry);
    m->read_bytes += size;
    m->content_bytes += size;
    if (mount_path(m, n, NULL, path) < 0) {
        answered(c, -ENAMETOOLONG);
        return;
    }
    call.request.path = text_of(path);
    conn_call(m->conns[META], &call);
}

/* One entry of the directory. False when the budget is used up. */
static bool consider(struct mount *m, struct node *dir,
                     const struct listing_entry *e)
{
    struct node *n;

    if (e->removed || !S_ISREG(e->attr.mode) || e->attr.size > SMALL_BYTES - 1)
        return true;
    if (m->content_bytes + e->attr.size > BYTES_MAX ||
        m->read_bytes + e->attr.size > READS_MAX ||
        conn_calls(m->conns[META]) > CALLS_SOFT / 2)
        return false;
    n = node_get(m->nodes, dir, e->name, e->name_len);
    if (n->io && (n->io->content || !TAILQ_EMPTY(&n->io->writes) ||
                  !LIST_EMPTY(&n->io->files)))
        return true;
    if (n->attr_at == 0 && n->write_seq == 0)
        n->attr = e->attr; /* its age is not known: attr_at stays 0 */
    start(m, n, (uint32_t)e->attr.size);
    return true;
}

static void fetch_ahead(struct mount *m, struct node *dir, uint32_t from)
{
    struct node_io *io = dir->io;
    struct listing *l = io->listing;
    uint32_t count = io->by_index ? l->count : l->n_sorted;
    uint32_t to = from + io->ahead < count ? from + io->ahead : count;

    if (io->ahead_to > from)
        from = io->ahead_to;
    for (; from < to; from++) {
        uint32_t i = io->by_index ? from : l->sorted[from];

        if (!consider(m, dir, l->entries[i]))
            break;
    }
    io->ahead_to = from;
}

/* Whether this open goes on where the last one was. */
static bool follows(struct node_io *io, uint32_t rank, uint32_t index)
{
    bool by_rank = rank == io->last_rank + 1;
    bool by_index = index == io->last_index + 1;

    if (!by_rank && !by_index)
        return false;
    if (io->by_index ? !by_index : !by_rank) {
        io->by_index = by_index && !by_rank;
        io->ahead_to = 0;
    }
    return true;
}

void prefetch_note_open(struct mount *m, struct node *n)
{
    struct node *dir = n->parent;
    struct node_io *io = dir ? dir->io : NULL;
    uint32_t rank, index;

    content_sweep(m);
    if (!io || !io->listing || m->o->strict || node_is_gone(n) ||
        !listing_place(io->listing, n->name, n->name_len, &rank, &index))
        return;
    if (follows(io, rank, index)) {
        io->ahead = (uint16_t)(io->ahead ? io->ahead * 2 : AHEAD_FIRST);
        if (io->ahead > AHEAD_MAX)
            io->ahead = AHEAD_MAX;
        fetch_ahead(m, dir, (io->by_index ? index : rank) + 1);
    } else if (rank != io->last_rank) {
        io->ahead = 0;
        io->ahead_to = 0;
    }
    io->last_rank = rank;
    io->last_index = index;
}
