/*
 * options.h - the command line of tp-mount
 */
#ifndef TP_FUSE_OPTIONS_H
#define TP_FUSE_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"

#define MOUNT_FDS 2 /* connections of one mount */

struct mount_options {
    char *user, *host, *path; /* of [user@]host:path */
    char *mountpoint;         /* absolute */
    char *port;
    char *socket;       /* a unix socket instead of host and port */
    int fds[MOUNT_FDS]; /* or these, inherited */
    int n_fds;
    int broker_fd;  /* or who is asked for each (base/broker.h) */
    int ready_fd;   /* one byte, 0, is written there once it is mounted */
    bool raw;       /* SFTP without SSH */
    char *identity; /* file of the private key */
    int identity_fd;
    char *hostkey;     /* "TYPE BASE64" or "SHA256:..." */
    char *known_hosts; /* file; NULL: the user's and the system's */
    char *fsname;
    bool read_only, allow_other, default_permissions;
    bool strict, async_names, follow_outside;
    bool no_setid; /* set-id bits of files are not shown */
    bool foreground, debug;
    bool no_unmount;       /* who started us unmounts, and says so by SIGTERM */
    unsigned timeout;      /* seconds, of a link that is lost or silent */
    unsigned attr_timeout; /* seconds that attributes and names are kept */
    bool help, version;
};

/* Defaults and then what argv says. -EINVAL with what to do instead. */
int mount_options_parse(struct mount_options *o, int argc, char **argv,
                        struct tp_error *err);
void mount_options_release(struct mount_options *o);

/* For --help: usage and the list of options. */
void mount_options_help(void);

#endif
