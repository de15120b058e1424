/*
 * block.h - the contents of an open file that are asked for or here
 */
#ifndef TP_FUSE_BLOCK_H
#define TP_FUSE_BLOCK_H

#include "fuse/file.h"

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

/* For these bytes, of which none is in another block of the file's. */
struct block *block_start(struct file *f, uint64_t off, uint32_t want);
/* Asks for them. It may fail at once: then read_go_on() is called within. */
void block_ask(struct block *b);

/* The block at this place, or how much there is to the next one. */
struct block *block_find(struct file *f, uint64_t at, uint64_t *gap);

/* Of one that is ready. */
void block_free(struct block *b);

/* Out of the file's list; one under way is freed when its answer comes. */
void block_drop(struct block *b);

#endif
