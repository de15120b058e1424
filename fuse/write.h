/*
 * write.h - writing later: accepted at once, sent in pieces, errors kept
 *
 * A node has one queue of pieces in the order of the writes. A piece is sent
 * unless an earlier one that overlaps is on its way by another connection.
 * Its memory is kept until the server has acknowledged it: after a lost link
 * it is sent again. Pieces of a file that appends are not, for nobody knows
 * whether they were appended: they fail.
 */
#ifndef TP_FUSE_WRITE_H
#define TP_FUSE_WRITE_H

#include "fuse/file.h"

/* Takes the bytes and answers the request (in strict mode, and beyond the
 * budget, later). */
void write_request(struct mount *m, fuse_req_t req, struct file *f,
                   const char *data, size_t len, uint64_t off);

/* cb when everything that was written to the node until now is at the server
 * or has failed; at once if there is nothing. */
void write_drain(struct node *n, file_cb *cb, void *arg);

/* Whether something in this range is not at the server yet. */
bool write_overlaps(const struct node *n, uint64_t off, uint64_t len);

/* The file's kept error, 0 or a negative errno. Who writes or syncs takes it;
 * a flush only shows it, for any process that inherited the file may close it.
 */
int write_take_error(struct file *f);
int write_show_error(struct file *f);

/* More is accepted than the hard budget allows: read nothing from the kernel.
 */
static inline bool write_is_full(const struct mount *m)
{
    return m->write_bytes >= WRITES_HARD;
}

#endif
