/*
 * read.h - reads, and reading ahead
 *
 * Contents come in blocks. While a file is read from front to back, a window of
 * blocks ahead of the reader is kept under way; it doubles up to twice what the
 * path holds (rate * round trip). A block that the kernel has got is freed: the
 * kernel's page cache keeps it.
 */
#ifndef TP_FUSE_READ_H
#define TP_FUSE_READ_H

#include "fuse/file.h"

void read_request(struct mount *m, fuse_req_t req, struct file *f, size_t size,
                  uint64_t off);

/* What was read ahead of this range is not true any more, in all open files of
 * the node. */
void read_forget(struct node *n, uint64_t off, uint64_t len);

/* For block.c: something came, or failed. */
void read_go_on(struct file *f);

/* read_ahead.c: is it read from front to back? */
void read_follow(struct file *f, uint64_t off, size_t size);
/* Blocks that lie behind the reader, or that a reader who jumps left. */
void read_drop_passed(struct file *f);
void read_ahead(struct file *f);

/* For file_unref(): nobody waits for them. */
void read_drop_blocks(struct file *f);

#endif
