/*
 * mounter.h - the background process that serves an engagement's files here
 *
 * It starts tp-mount and brings it connections (base/broker.h), and takes those
 * of --local-mount-port. Each of them is a process of its own that joins its
 * socket to `tp-daemon files NAME` by an exec of the Engine API: whatever
 * engine it is, near or far, no port is opened for it. The key is in memory
 * only, and with a port in a file of the record's directory (mount_record.h).
 *
 * It ends by SIGTERM (mount_record_end()), with tp-mount, or when the
 * engagement is over, and unmounts then: what was accepted is written first. If
 * it is killed, tp-mount unmounts by itself.
 */
#ifndef TP_CLI_MOUNTER_H
#define TP_CLI_MOUNTER_H

#include "cli/mount_record.h"

struct mounter_plan {
    struct mount_record record; /* borrowed; dir is where it lives */
    const char *id;             /* of the engagement */
    const char *program;        /* tp-mount; NULL: only the port */
    int listener;               /* on 127.0.0.1, with record.port; -1: none */
};

/* Returns when it is mounted and the port answers: 0, or a negative errno with
 * err filled. A readable cancel_fd gives up: -ECANCELED, and nothing is left.
 */
int mounter_start(const struct mounter_plan *plan, int cancel_fd,
                  struct tp_error *err);

#endif
