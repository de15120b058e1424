/* Reading ahead of who reads from front to back. */
#include "fuse/block.h"
#include "fuse/read.h"
#include "fuse/write.h"

#define WINDOW_FIRST (2 * PIECE_BYTES)
#define WINDOW_MIN   (2u << 20) /* of the limit, as long as rates are guesses */
#define SLACK_BYTES  (256u * 1024) /* the kernel's own requests overtake */

static uint32_t window_limit(const struct file *f)
{
    uint64_t limit =
        window_bytes(&f->speed, conn_rtt(f->m->conns[META]), WINDOW_MIN);
    size_t writes = f->m->write_bytes;
    uint64_t most = writes < READS_MAX ? READS_MAX - writes / 2 : READS_MAX / 2;

    return (uint32_t)(limit < most ? limit : most);
}

void read_follow(struct file *f, uint64_t off, size_t size)
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

void read_drop_passed(struct file *f)
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

void read_ahead(struct file *f)
{
    uint64_t size = f->node->attr.size, end = f->next + f->window;

    if (f->window == 0)
        return;
    if (f->ahead_to < f->next)
        f->ahead_to = f->next;
    while (f->ahead_to < end && f->ahead_to < size &&
           f->m->read_bytes + PIECE_BYTES <= READS_MAX) {
        uint64_t gap, left = size - f->ahead_to;
        struct block *b = block_find(f, f->ahead_to, &gap);

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
        block_ask(b);
    }
}
