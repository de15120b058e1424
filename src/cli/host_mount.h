/*
 * host_mount.h - --mount and --local-mount-port: an engagement's files on this
 * host
 *
 * The container's paths below the directory: its /data is PATH/data.
 */
#ifndef TP_CLI_HOST_MOUNT_H
#define TP_CLI_HOST_MOUNT_H

#include <stdbool.h>

#include "base/error.h"
#include "cli/engage.h"
#include "cli/mount_record.h"

struct host_mount {
    bool wanted; /* one of the two was given */
    char *path;  /* as given, then absolute; NULL: no --mount */
    bool read_only;
    int port; /* -1: no --local-mount-port; 0: any */

    bool prepared, made, kept, as_before;
    int listener;
    char *program;               /* tp-mount */
    char *dir;                   /* of the record */
    struct json_object *volumes; /* what is served */
};

/* PATH[:ro]: the path, owned. NULL with err filled. */
char *host_mount_parse_path(const char *text, bool *read_only,
                            struct tp_error *err);

/* Looks at the flags only. Release it in any case. */
int host_mount_parse(struct host_mount *m, const struct cli *cli,
                     struct tp_error *err);
void host_mount_release(struct host_mount *m);

/* Before anything is asked of the cluster: what could fail here later. Ends a
 * mount of the engagement `name` that is to be another one now. */
int host_mount_prepare(struct host_mount *m, struct engage *g, const char *name,
                       struct tp_error *err);
/* Of an engagement that is ready (LOCAL of doc/control.md). What is there
 * already, and the same, stays. */
int host_mount_start(struct host_mount *m, struct engage *g,
                     struct json_object *local, struct tp_error *err);

/* TP_ROOT, for programs of this host. */
void host_mount_put_environment(const struct host_mount *m,
                                struct json_object *env);
/* Lines for a person; members "mount" and "sftp" of LOCAL. */
void host_mount_print(const struct host_mount *m, struct cli *cli);
void host_mount_put_json(const struct host_mount *m, struct json_object *local);

#endif
