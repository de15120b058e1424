#include "fuse/read.h"

#include <errno.h>
#include <string.h>

#include "fuse/memory.h"
#include "fuse/ops.h"
#include "sftp/status.h"
#include "fuse/prefetch.h"
#include "fuse/write.h"

#define WINDOW_FIRST (2 * PIECE_BYTES)
#define WINDOW_MIN   (2u << 20) /* of the limit, as long as rates are guesses */
#define SLACK_BYTES  (256u * 1024) /* the kernel's own requests overtake */
#define TRIES_MAX    64
#define PARTS_MAX    66 /* a request of pages, each from another block */

struct block {
    TAILQ_ENTRY(block) entry; /* of the file's */
    struct file *file;        /* with a reference while it is under way */
    uint64_t off;
    uint32_t want, got, served;
    bool ready, orphan;
    int err;
    unsigned tries, which;
    uint8_t *data;
};

struct read_op {
    TAILQ_ENTRY(read_op) entry;
    fuse_req_t req;
    struct file *file;
    uint64_t off;
    size_t size;
    bool draining;
    uint32_t short_seq; /* the node's, when it last ended too early */
    bool busy;          /* being looked at: blocks may fail at once */
};

static void step(struct read_op *op);
static void send_block_cb(void *arg, int err);

static void block_free(struct block *b)
{
    if (!b->orphan)
        TAILQ_REMOVE(&b->file->blocks, b, entry);
    b->file->m->read_bytes -= b->want;
    free(b->data);
    free(b);
}

/* Out of the file's list; one under way is freed when its answer comes. */
static void block_drop(struct block *b)
{
    if (b->ready) {
        block_free(b);
        return;
    }
    TAILQ_REMOVE(&b->file->blocks, b, entry);
    b->orphan = true;
}

void read_drop_blocks(struct file *f)
{
    struct block *b;

    while ((b = TAILQ_FIRST(&f->blocks)))
        block_drop(b);
}

static void step_all(struct file *f)
{
    struct read_op *op, *next;

    f->refs++;
    for (op = TAILQ_FIRST(&f->ops); op; op = next) {
        next = TAILQ_NEXT(op, entry);
        if (!op->draining)
            step(op);
    }
    file_unref(f);
}

static void block_done(struct block *b, int err)
{
    struct file *f = b->file;

    b->ready = true;
    b->err = err == -ECONNRESET || err == -ETIMEDOUT ? -EIO : err;
    window_count(&f->speed, b->got, conn_rtt(f->m->conns[META]));
    if (b->orphan)
        block_free(b);
    step_all(f);
    file_unref(f);
}

static void block_cb(void *arg, const struct reply *reply)
{
    struct block *b = arg;
    struct file *f = b->file;

    if (reply->err == -ECONNRESET && ++b->tries < TRIES_MAX) {
        b->got = 0;
        file_use(f, b->which = f->which, send_block_cb, b);
        return;
    }
    b->got += reply->err ? 0 : reply->len;
    /* Less than was asked for is the end only if it is known to be: a server
     * may answer with as little as it likes. */
    if (reply->err || reply->len == 0 || b->got == b->want ||
        b->off + b->got == f->node->attr.size) {
        block_done(b, reply->err == SFTP_ERR_EOF ? 0 : reply->err);
        return;
    }
    send_block_cb(b, 0);
}

static void send_block_cb(void *arg, int err)
{
    struct block *b = arg;
    struct conn_call_args call = {.request = {.type = SFTP_READ},
                                  .expect = SFTP_DATA,
                                  .flags = CONN_HANDLE,
                                  .cb = block_cb,
                                  .arg = b};

    if (err || b->orphan) {
        block_done(b, err);
        return;
    }
    call.request.handle = file_handle(b->file, b->which);
    call.request.offset = b->off + b->got;
    call.request.count = b->want - b->got;
    call.sink = b->data + b->got;
    conn_call(b->file->m->conns[b->which], &call);
}

static struct block *block_start(struct file *f, uint64_t off, uint32_t want)
{
    struct block *b = mem_alloc(sizeof(*b)), *after;

    b->data = mem_check(malloc(want));
    b->file = f;
    b->off = off;
    b->want = want;
    b->which = f->which;
    f->refs++;
    f->m->read_bytes += want;
    TAILQ_FOREACH(after, &f->blocks, entry)
    if (after->off > off)
        break;
    if (after)
        TAILQ_INSERT_BEFORE(after, b, entry);
    else
        TAILQ_INSERT_TAIL(&f->blocks, b, entry);
    return b;
}

/* The block at this place, or how much there is to the next one. */
static struct block *find_block(struct file *f, uint64_t at, uint64_t *gap)
{
    struct block *b;

    *gap = UINT64_MAX;
    TAILQ_FOREACH(b, &f->blocks, entry)
    {
        if (b->off > at) {
            *gap = b->off - at;
            return NULL;
        }
        if (at < b->off + b->want)
            return b;
    }
    return NULL;
}

static uint32_t window_limit(const struct file *f)
{
    uint64_t limit =
        window_bytes(&f->speed, conn_rtt(f->m->conns[META]), WINDOW_MIN);
    size_t writes = f->m->write_bytes;
    uint64_t most = writes < READS_MAX ? READS_MAX - writes / 2 : READS_MAX / 2;

    return (uint32_t)(limit < most ? limit : most);
}

/* Is it read from front to back? */
static void follow(struct file *f, uint64_t off, size_t size)
{
    bool near = f->window && off + SLACK_BYTES >= f->next &&
                off <= f->next + SLACK_BYTES;
    uint32_t limit = window_limit(f);

    if (off == f->next || near) {
        f->window = f->window ? f->window * 2 : WINDOW_FIRST;
        if (f->window > limit)
            f->window = limit;
        if (off + size > f->next)
            f->next = off + size;
        return;
    }
    f->window = 0;
    f->next = off + size;
    f->ahead_to = 0;
}

/* Blocks that lie behind the reader, or that a reader who jumps left. */
static void drop_passed(struct file *f)
{
    struct block *b, *next;

    if (!TAILQ_EMPTY(&f->ops))
        return;
    for (b = TAILQ_FIRST(&f->blocks); b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (b->off + b->want + SLACK_BYTES < f->next ||
            b->off > f->next + READS_MAX || f->window == 0)
            block_drop(b);
    }
}

static void read_ahead(struct file *f)
{
    uint64_t size = f->node->attr.size, end = f->next + f->window;

    if (f->window == 0)
        return;
    if (f->ahead_to < f->next)
        f->ahead_to = f->next;
    while (f->ahead_to < end && f->ahead_to < size &&
           f->m->read_bytes + PIECE_BYTES <= READS_MAX) {
        uint64_t gap, left = size - f->ahead_to;
        struct block *b = find_block(f, f->ahead_to, &gap);

        if (b) {
            f->ahead_to = b->off + b->want;
            continue;
        }
        if (left < gap)
            gap = left;
        if (write_overlaps(f->node, f->ahead_to,
                           gap < PIECE_BYTES ? gap : PIECE_BYTES))
            return;
        b = block_start(f, f->ahead_to,
                        gap < PIECE_BYTES ? (uint32_t)gap : PIECE_BYTES);
        f->ahead_to += b->want;
        file_use(f, b->which, send_block_cb, b);
    }
}

static void op_end(struct read_op *op)
{
    struct file *f = op->file;

    TAILQ_REMOVE(&f->ops, op, entry);
    free(op);
    file_unref(f);
}

/* The contents end before the size that we know of: the answer is from before
 * a write of ours. The kernel would take it for the end of the file. */
static bool ends_early(struct read_op *op)
{
    struct node *n = op->file->node;
    uint64_t at = op->off, end = op->off + op->size, gap;
    struct block *b;

    if (end > n->attr.size)
        end = n->attr.size;
    while (at < end && (b = find_block(op->file, at, &gap)) && !b->err &&
           at < b->off + b->got)
        at = b->off + b->got;
    if (at >= end || n->write_seq == op->short_seq)
        return false;
    op->short_seq = n->write_seq;
    return true;
}

static void op_reply(struct read_op *op)
{
    struct file *f = op->file;
    struct block *used[PARTS_MAX];
    struct iovec iov[PARTS_MAX];
    uint64_t at = op->off, end = op->off + op->size, gap;
    int n = 0, err = 0;

    while (at < end && n < PARTS_MAX) {
        struct block *b = find_block(f, at, &gap);
        uint64_t last;

        if (!b || (err = b->err) || at >= b->off + b->got)
            break;
        last = b->off + b->got < end ? b->off + b->got : end;
        iov[n].iov_base = b->data + (at - b->off);
        iov[n].iov_len = (size_t)(last - at);
        b->served += (uint32_t)(last - at);
        used[n++] = b;
        at = last;
        if (b->got < b->want)
            break;
    }
    /* Less than was asked for would be the end of the file to the kernel. */
    if (!err && n == PARTS_MAX && at < end)
        err = -EIO;
    if (err)
        fuse_reply_err(op->req, errno_of(err));
    else
        fuse_reply_iov(op->req, iov, n);
    for (int i = 0; i < n; i++)
        if (used[i]->served >= used[i]->got || used[i]->got < used[i]->want)
            block_free(used[i]);
}

/* Failed and short blocks are asked for again by the next read. */
static void drop_useless(struct file *f, uint64_t from, uint64_t to)
{
    struct block *b, *next;

    for (b = TAILQ_FIRST(&f->blocks); b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (b->ready && (b->err || b->got < b->want) && b->off < to &&
            from < b->off + b->want)
            block_free(b);
    }
}

static void drained_cb(void *arg, int err)
{
    struct read_op *op = arg;

    (void)err;
    op->draining = false;
    step(op);
}

/* Everything that the request needs is here or under way. */
static bool gather(struct read_op *op)
{
    struct file *f = op->file;
    uint64_t at = op->off, end = op->off + op->size, gap;
    bool here = true;

    while (at < end) {
        struct block *b = find_block(f, at, &gap);

        if (!b) {
            uint64_t want = f->window ? PIECE_BYTES : end - at;

            want = want < gap ? want : gap;
            want = want < PIECE_BYTES ? want : PIECE_BYTES;
            /* Not more than is needed of what is being written. */
            if (want > end - at && write_overlaps(f->node, at, want))
                want = end - at;
            b = block_start(f, at, (uint32_t)want);
            file_use(f, b->which, send_block_cb, b); /* may fail at once */
        }
        if (!b->ready) {
            here = false;
        } else if (b->err || b->got < b->want) {
            return here; /* nothing behind it counts */
        }
        at = b->off + b->want;
    }
    return here;
}

static void step(struct read_op *op)
{
    struct file *f = op->file;

    if (write_overlaps(f->node, op->off, op->size)) {
        op->draining = true;
        write_drain(f->node, drained_cb, op);
        return;
    }
    f->refs++;
    if (!op->busy) {
        op->busy = true;
        if (!gather(op)) {
            op->busy = false;
        } else if (ends_early(op)) {
            op->busy = false;
            op->draining = true;
            drop_useless(f, op->off, op->off + op->size);
            write_drain(f->node, drained_cb, op);
        } else {
            op_reply(op);
            drop_useless(f, op->off, op->off + op->size);
            op_end(op);
        }
    }
    file_unref(f);
}

void read_request(struct mount *m, fuse_req_t req, struct file *f, size_t size,
                  uint64_t off)
{
    struct read_op *op;

    (void)m;
    if (f->content) {
        content_reply(f->content, req, size, off);
        return;
    }
    f->moved += size;
    follow(f, off, size);
    drop_passed(f);
    op = mem_alloc(sizeof(*op));
    op->req = req;
    op->file = f;
    op->off = off;
    op->size = size;
    f->refs += 2;
    TAILQ_INSERT_TAIL(&f->ops, op, entry);
    step(op);
    read_ahead(f);
    file_promote(f);
    file_unref(f);
}

void read_forget(struct node *n, uint64_t off, uint64_t len)
{
    uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
    struct file *f;

    if (!n->io)
        return;
    if (n->io->content)
        content_drop(n);
    LIST_FOREACH(f, &n->io->files, entry)
    {
        struct block *b, *next;
        bool dropped = false;

        if (f->content) {
            content_unref(f->m, f->content);
            f->content = NULL;
        }
        for (b = TAILQ_FIRST(&f->blocks); b; b = next) {
            next = TAILQ_NEXT(b, entry);
            if (b->off < end && off < b->off + b->want) {
                block_drop(b);
                dropped = true;
            }
        }
        if (dropped)
            f->ahead_to = 0;
    }
}
