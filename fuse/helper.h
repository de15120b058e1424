/*
 * helper.h - the process that mounts, and its messages with the worker
 *
 * tp-mount is two processes. The helper (this one) has the user's or root's
 * privileges, mounts, and never opens a network socket. The worker speaks to
 * the network and is confined. They share a socket pair on which messages of
 * one fixed size go, with /dev/fuse as the only thing that is passed.
 */
#ifndef TP_FUSE_HELPER_H
#define TP_FUSE_HELPER_H

#include <sys/types.h>

#include "base/error.h"
#include "fuse/options.h"

enum helper_kind {
    HELPER_READY = 1,   /* worker: the server is there, mount */
    HELPER_FAILED = 2,  /* worker: text says why not */
    HELPER_DEVICE = 3,  /* helper: here is /dev/fuse */
    HELPER_UNMOUNT = 4, /* worker: I was told to end */
    HELPER_END = 5,     /* helper: write what is left and end */
};

struct helper_message {
    int kind;
    char text[252];
};

/* Blocking. fd is passed if it is not -1. 0 or a negative errno. */
int helper_send(int sock, enum helper_kind kind, const char *text, int fd);
/* -EAGAIN if the socket is non-blocking and empty, -EPIPE at its end. *fd is
 * what was passed, or -1; NULL if nothing can be. */
int helper_receive(int sock, struct helper_message *m, int *fd);

/* The helper's life after the fork: waits for the worker, mounts, waits for an
 * end, unmounts. started_fd: one byte (the status) is written there when it is
 * mounted or failed; -1 if nobody waits. Returns the program's status. */
int helper_run(const struct mount_options *o, int sock, pid_t worker,
               int started_fd);

#endif
