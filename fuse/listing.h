/*
 * listing.h - the entries of one directory, as READDIR gave them
 *
 * Grows while it is fetched; complete ones are sorted, so that names are found,
 * and follow our own changes. Positions (index) never move, so that
 * READDIR's offsets stay good.
 */
#ifndef TP_FUSE_LISTING_H
#define TP_FUSE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/node.h"

struct listing_entry {
    struct attr attr;
    uint8_t name_len;
    bool removed;
    bool stale;  /* we have changed the file since */
    char name[]; /* not NUL-terminated */
};

struct listing {
    TAILQ_ENTRY(listing) entry; /* of the mount's: see directory.c */
    struct node *owner;         /* whose io->listing it is; NULL: nobody's */
    unsigned refs;
    bool complete; /* no more comes */
    int err;       /* why it is complete without being whole */
    uint64_t began;
    uint64_t at; /* ms of the loop: when the last of it came */
    uint32_t count;
    uint32_t n_sorted;
    struct listing_entry **entries;
    uint32_t *sorted; /* of a complete one: indices by name */
    struct listing_chunk *chunks;
    size_t bytes, counted;
};

struct listing *listing_create(uint64_t now);
void listing_ref(struct listing *l);
void listing_unref(struct listing *l); /* NULL is fine */

/* False if it is full (LISTING_BYTES). */
bool listing_add(struct listing *l, const char *name, size_t len,
                 const struct attr *attr);
/* No more comes: sorts it, if err is 0. */
void listing_finish(struct listing *l, int err);

/* NULL if it is not there, or if the listing is not whole. */
struct listing_entry *listing_find(const struct listing *l, const char *name,
                                   size_t len);
/* Its place among the sorted names (of those that are there) and the order of
 * the server. False if it is not there. */
bool listing_place(struct listing *l, const char *name, size_t len,
                   uint32_t *rank, uint32_t *index);

/* Our own changes of a whole listing; otherwise nothing happens. */
void listing_note_created(struct listing *l, const char *name, size_t len,
                          const struct attr *attr);
void listing_note_changed(struct listing *l, const char *name, size_t len);
void listing_note_removed(struct listing *l, const char *name, size_t len);

static inline bool listing_is_whole(const struct listing *l)
{
    return l->complete && l->err == 0;
}

#endif
