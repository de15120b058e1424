/* What the kernel gets of a listing: its buffers, as they were filled. */
#include <string.h>

#include "fuse/directory.h"
#include "fuse/memory.h"
#include "fuse/ops.h"

/* One entry into the kernel's buffer. False if it does not fit. */
static bool put_entry(struct dir *d, fuse_req_t req, char *buf, size_t *used,
                      size_t size, uint32_t i, bool plus)
{
    struct mount *m = d->m;
    const struct listing_entry *e = d->listing->entries[i];
    struct fuse_entry_param p = {.attr = {.st_mode = e->attr.mode}};
    struct node *n = NULL;
    char name[256];
    size_t len;

    memcpy(name, e->name, e->name_len);
    name[e->name_len] = '\0';
    if (plus && node_count(m->nodes) < NODES_MAX) {
        n = node_get(m->nodes, d->node, name, e->name_len);
        p.attr.st_ino = n->ino;
        if (directory_adopt(m, n, d->listing, e))
            attributes_entry(m, n, &p);
    } else {
        p.attr.st_ino = node_number(d->node, name, e->name_len);
    }
    len = plus ? fuse_add_direntry_plus(req, buf + *used, size - *used, name,
                                        &p, (off_t)i + 3)
               : fuse_add_direntry(req, buf + *used, size - *used, name,
                                   &p.attr, (off_t)i + 3);
    if (len <= size - *used && n && p.ino)
        n->lookups++;
    if (n)
        node_tidy(m->nodes, n);
    if (len > size - *used)
        return false;
    *used += len;
    return true;
}

static bool put_dots(struct dir *d, fuse_req_t req, char *buf, size_t *used,
                     size_t size, off_t i, bool plus)
{
    struct node *up = d->node->parent ? d->node->parent : d->node;
    struct fuse_entry_param p = {
        .attr = {.st_mode = S_IFDIR, .st_ino = i ? up->ino : d->node->ino}};
    const char *name = i ? ".." : ".";
    size_t len = plus ? fuse_add_direntry_plus(req, buf + *used, size - *used,
                                               name, &p, i + 1)
                      : fuse_add_direntry(req, buf + *used, size - *used, name,
                                          &p.attr, i + 1);

    if (len > size - *used)
        return false;
    *used += len;
    return true;
}

struct readdir_op {
    struct dir *d;
    fuse_req_t req;
    size_t size;
    off_t off;
    bool plus;
};

static void fill(struct readdir_op *op)
{
    struct listing *l = op->d->listing;
    char *buf = mem_alloc(op->size);
    size_t used = 0;
    off_t at = op->off;

    for (; at < 2; at++)
        if (!put_dots(op->d, op->req, buf, &used, op->size, at, op->plus))
            break;
    for (; at >= 2 && (uint64_t)at - 2 < l->count; at++)
        if (!l->entries[at - 2]->removed &&
            !put_entry(op->d, op->req, buf, &used, op->size, (uint32_t)(at - 2),
                       op->plus))
            break;
    /* What was read before a failure is given; then the failure. */
    if (used == 0 && l->complete && l->err)
        fuse_reply_err(op->req, errno_of(l->err));
    else
        fuse_reply_buf(op->req, buf, used);
    free(buf);
    free(op);
}

static void more_cb(void *arg)
{
    struct readdir_op *op = arg;
    struct listing *l = op->d->listing;
    struct node *n = op->d->node;

    if (!l->complete && (uint64_t)op->off + BATCH_MIN > l->count &&
        n->io->fetch)
        directory_wait(n, more_cb, op);
    else
        fill(op);
}

void directory_read(struct dir *d, fuse_req_t req, size_t size, off_t off,
                    bool plus)
{
    struct readdir_op *op;

    if (node_is_gone(d->node)) {
        fuse_reply_buf(req, NULL, 0); /* removed: not even "." is in it */
        return;
    }
    if (!d->listing || off == 0) {
        listing_unref(d->listing);
        d->listing = directory_list(d->m, d->node, d->m->o->strict);
        if (!d->listing) {
            fuse_reply_err(req, ESTALE);
            return;
        }
        listing_ref(d->listing);
    }
    op = mem_alloc(sizeof(*op));
    op->d = d;
    op->req = req;
    op->size = size < READDIR_BYTES ? size : READDIR_BYTES;
    op->off = off;
    op->plus = plus;
    more_cb(op);
}
