/*
 * mount_record.h - what is mounted on this host, and by which process
 *
 * Each engagement whose files are served here (--mount, --local-mount-port) has
 * a directory of its own, ID, in $XDG_RUNTIME_DIR/tp (else
 * ~/.local/state/tp/run), mode 0700: `record` (JSON), `lock`, which its mounter
 * (mounter.h) holds as long as it lives, and what that needs. A record whose
 * lock is free is stale: its process was killed.
 */
#ifndef TP_CLI_MOUNT_RECORD_H
#define TP_CLI_MOUNT_RECORD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct cli;
struct json_object;

struct mount_record {
    char *dir;
    char *container;  /* id of the daemon's */
    char *engagement; /* its name */
    char *path;       /* of the mount; NULL: none */
    bool read_only;
    bool made; /* tp made the directory at path */
    int port;  /* on 127.0.0.1; 0: none */
    pid_t pid; /* of the mounter; 0: stale */
};

/* The directory for engagement `id`, owned; made if it is not there. NULL with
 * err filled. */
char *mount_record_directory(const char *id, struct tp_error *err);
/* Takes the lock of it, until this process ends. -EBUSY: another one has it. */
int mount_record_lock(const char *dir, struct tp_error *err);
/* dir is not written. */
int mount_record_write(const char *dir, const struct mount_record *r,
                       struct tp_error *err);
/* After a good end: what is in its directory, and the directory that tp made
 * for the mount, are removed. */
void mount_record_forget(const struct mount_record *r);
/* Whoever ends the engagement reads it: what was lost. The key goes. */
void mount_record_lost(const char *dir, const char *text);

/* The live record of an engagement (name) of a daemon: 1, or 0 if there is
 * none. Release in any case. */
int mount_record_find(struct mount_record *out, const char *container,
                      const char *name);
/* The live one that has this path. */
int mount_record_find_path(struct mount_record *out, const char *path);
void mount_record_release(struct mount_record *r);

/* Unmounts what killed processes have left, and forgets it. */
void mount_record_sweep(struct cli *cli);

/* Ends those of an engagement (name NULL: all) of a daemon, and sweeps. What
 * was accepted is written first; that is waited for until it is done or
 * cancel_fd (-1: none) is readable: -ECANCELED. Losses are warned of. */
int mount_record_end(struct cli *cli, const char *container, const char *name,
                     int cancel_fd, struct tp_error *err);

/* True if something is mounted at that very path. */
bool mount_record_is_mounted(const char *path);

#endif
