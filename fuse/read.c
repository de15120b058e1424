#include "fuse/read.h"

#include <errno.h>
#include <string.h>

#include "fuse/block.h"
#include "fuse/memory.h"
#include "fuse/ops.h"
#include "fuse/prefetch.h"
#include "fuse/write.h"

#define PARTS_MAX 66 /* a request of pages, each from another block */

struct read_op {
    TAILQ_ENTRY(read_op) entry;
    fuse_req_t req;
    struct file *file;
    uint64_t off;
    size_t size;
    bool draining;
    uint32_t short_seq; /* the node's, when it last ended too early */
};

static void step(struct read_op *op);

/* What comes while it runs, or while a request looks at its blocks, is seen to
 * afterwards: requests and blocks stay where they are until then. */
void read_go_on(struct file *f)
{
    struct read_op *op, *next;

    f->go_on = true;
    if (f->gathering || f->going_on)
        return;
    f->refs++;
    f->going_on = true;
    while (f->go_on) {
        f->go_on = false;
        for (op = TAILQ_FIRST(&f->ops); op; op = next) {
            next = TAILQ_NEXT(op, entry);
            if (!op->draining)
                step(op);
        }
    }
    f->going_on = false;
    file_unref(f);
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
    while (at < end && (b = block_find(op->file, at, &gap)) && !b->err &&
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
        struct block *b = block_find(f, at, &gap);
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
static bool gather_all(struct read_op *op)
{
    struct file *f = op->file;
    uint64_t at = op->off, end = op->off + op->size, gap;
    bool here = true;

    while (at < end) {
        struct block *b = block_find(f, at, &gap);

        if (!b) {
            uint64_t want = f->window ? PIECE_BYTES : end - at;

            want = want < gap ? want : gap;
            want = want < PIECE_BYTES ? want : PIECE_BYTES;
            /* Not more than is needed of what is being written. */
            if (want > end - at && write_overlaps(f->node, at, want))
                want = end - at;
            b = block_start(f, at, (uint32_t)want);
            block_ask(b); /* may fail at once */
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

static bool gather(struct read_op *op)
{
    bool here;

    op->file->gathering = true;
    here = gather_all(op);
    op->file->gathering = false;
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
    if (gather(op)) {
        if (ends_early(op)) {
            op->draining = true;
            drop_useless(f, op->off, op->off + op->size);
            write_drain(f->node, drained_cb, op);
        } else {
            op_reply(op);
            drop_useless(f, op->off, op->off + op->size);
            op_end(op);
        }
    }
    if (f->go_on)
        read_go_on(f);
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
    read_follow(f, off, size);
    read_drop_passed(f);
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
