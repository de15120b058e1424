/*
 * volumes.h - the volumes that Docker knows of, and the file that keeps them
 *
 * What is kept (STATE_FILE, in the propagated mount, written anew and renamed
 * into place): names and options. Who uses a volume is not: Docker asks anew
 * for each container that it starts, and mounts do not outlive the plugin.
 */
#ifndef TP_VOLUME_VOLUMES_H
#define TP_VOLUME_VOLUMES_H

#include <sys/queue.h>

#include <uv.h>

#include "options.h"

struct mounting;

struct volume {
    TAILQ_ENTRY(volume) entry;
    struct volumes *all;
    char *name, *created; /* RFC 3339 */
    struct json_object *opts;
    struct volume_options o;   /* of opts */
    struct mounting *mounting; /* mounting.c's */
};

struct volumes {
    uv_loop_t *loop;
    char *root; /* the propagated mount */
    /* Paths of programs; tests set others. */
    const char *broker_program, *mount_program;
    TAILQ_HEAD(volume_list, volume) list;
    size_t count;
};

/* Reads the file, if there is one. */
int volumes_load(struct volumes *vs, uv_loop_t *loop, const char *root,
                 struct tp_error *err);
void volumes_release(struct volumes *vs);

struct volume *volumes_find(const struct volumes *vs, const char *name);

/* The same again is no error. -EEXIST, -EINVAL, -ENOSPC (there are too many).
 */
int volumes_create(struct volumes *vs, const char *name,
                   struct json_object *opts, struct tp_error *err);
/* The volume must not be in use. */
int volumes_remove(struct volumes *vs, struct volume *v, struct tp_error *err);

/* Where it is, as Docker is told; owned. NULL: out of memory. */
char *volume_path(const struct volume *v);
/* Docker's object of a volume, without its state. Owned. */
struct json_object *volume_to_json(const struct volume *v);

/* The directory of a daemon's sockets: `wanted`, or the only one, or that of
 * tp-daemon. Owned; NULL with a line that says what to do. */
char *volumes_control_dir(const struct volumes *vs, const char *wanted,
                          struct tp_error *err);

#endif
