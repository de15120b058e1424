/* worker.h - the process that serves the mount; see helper.h */
#ifndef TP_FUSE_WORKER_H
#define TP_FUSE_WORKER_H

#include "fuse/options.h"

/* Confines itself, connects, serves until it is unmounted, writes what is left.
 * Returns the program's status: 0 only if everything that was accepted is at
 * the server. quiet: log to the system's log once it is mounted. */
int worker_run(const struct mount_options *o, int sock);

#endif
