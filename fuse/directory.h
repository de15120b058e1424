/*
 * directory.h - listings of directories: fetched with many READDIRs in flight,
 * kept for a while, and used to answer lookups
 */
#ifndef TP_FUSE_DIRECTORY_H
#define TP_FUSE_DIRECTORY_H

#include "fuse/mount.h"

/* A directory that is open. */
struct dir {
    struct mount *m;
    struct node *node;
    struct listing *listing; /* NULL until it is first read */
};

#define BATCH_MIN 256 /* entries before a reader gets any */

/* Has a listing of this node fetched if there is none that is young enough (or
 * under way). Returns it; it may not be complete. The directory's. */
struct listing *directory_list(struct mount *m, struct node *n, bool anew);

/* cb each time more of the listing is there, until it is complete. */
typedef void directory_cb(void *arg);
void directory_wait(struct node *n, directory_cb *cb, void *arg);

/* readdir.c: a part of it for the kernel. */
void directory_read(struct dir *d, fuse_req_t req, size_t size, off_t off,
                    bool plus);

/* Takes over what the listing says of a node, if we do not know better. Whether
 * the node's attributes are young now. */
bool directory_adopt(struct mount *m, struct node *n, const struct listing *l,
                     const struct listing_entry *e);

/* It has a young listing, or one is under way. */
bool directory_is_known(const struct mount *m, const struct node *n);

/* What a young listing says about a name. 1: the node was made and has
 * attributes; -ENOENT: there is no such name; 0: ask the server; -EAGAIN: the
 * listing is under way, wait for it. */
int directory_lookup(struct mount *m, struct node *dir, const char *name,
                     struct node **out);

/* Our own changes. */
void directory_note_created(struct mount *m, struct node *n);
void directory_note_removed(struct mount *m, struct node *dir,
                            const char *name);
void directory_note_changed(struct mount *m, struct node *n);

/* Drops listings that are too old or too many. */
void directory_sweep(struct mount *m);

#endif
