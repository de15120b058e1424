/*
 * lanes.h - several bulk connections, where one is not enough
 *
 * A server of SSH grants a window (OpenSSH: 2 MiB); a path that holds more is
 * filled by more connections only. They are dialled when a writer has use for
 * them, and kept. A piece takes another lane only while the file has a handle
 * there; who writes again what is under way by one lane waits for it, so the
 * first lane is preferred as long as it is half empty.
 */
#ifndef TP_FUSE_LANES_H
#define TP_FUSE_LANES_H

#include "fuse/file.h"

/* The connection for the next piece of this file's, of which the path would
 * take so many bytes at once. */
unsigned lanes_pick(struct file *f, uint64_t window);

#endif
