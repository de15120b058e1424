#include "fuse/block.h"

#include <errno.h>

#include "fuse/memory.h"
#include "fuse/prefetch.h"
#include "fuse/read.h"
#include "sftp/status.h"

#define TRIES_MAX 64

static void send_block_cb(void *arg, int err);

void block_free(struct block *b)
{
    if (!b->orphan)
        TAILQ_REMOVE(&b->file->blocks, b, entry);
    b->file->m->read_bytes -= b->want;
    free(b->data);
    free(b);
}

void block_drop(struct block *b)
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

static void block_done(struct block *b, int err)
{
    struct file *f = b->file;

    b->ready = true;
    b->err = err == -ECONNRESET || err == -ETIMEDOUT ? -EIO : err;
    window_count(&f->speed, b->got, conn_rtt(f->m->conns[META]));
    if (b->orphan)
        block_free(b);
    read_go_on(f);
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

struct block *block_start(struct file *f, uint64_t off, uint32_t want)
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

void block_ask(struct block *b)
{
    file_use(b->file, b->which, send_block_cb, b);
}

struct block *block_find(struct file *f, uint64_t at, uint64_t *gap)
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
