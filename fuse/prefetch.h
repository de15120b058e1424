/*
 * prefetch.h - small files, read as a whole before they are opened
 *
 * When files of a directory are opened one after the other, by name or in the
 * server's order, the next ones are read ahead: OPEN, then FSTAT, READ and
 * CLOSE at once, for up to 256 files and a budget of bytes. Contents that are
 * not opened within a second are thrown away.
 */
#ifndef TP_FUSE_PREFETCH_H
#define TP_FUSE_PREFETCH_H

#include "fuse/mount.h"

struct content;
struct file;

/* An open of a regular file for reading: follows its directory's order. */
void prefetch_note_open(struct mount *m, struct node *n);

/* The content that was read ahead for this node, with a reference for the
 * caller, young enough and without error (or still under way); or NULL. */
struct content *content_take(struct mount *m, struct node *n);
/* cb when it is there; at once if it is. */
void content_wait(struct content *c, attributes_cb *cb, void *arg);
void content_reply(const struct content *c, fuse_req_t req, size_t size,
                   uint64_t off);
void content_unref(struct mount *m, struct content *c); /* NULL is fine */
/* Nobody shall take it any more: the file was changed. */
void content_drop(struct node *n);
/* Throws away what was not wanted in time. */
void content_sweep(struct mount *m);

#endif
