/*
 * container.h - the daemon's container: what it may, and that it is ours
 */
#ifndef TP_CLI_CONTAINER_H
#define TP_CLI_CONTAINER_H

#include "cli/cli.h"
#include "engine/engine.h"

struct container_options {
    const char *name, *image;
    const char *hostname;        /* or NULL */
    const char *network;         /* instead of the default one, or NULL */
    const char *const *networks; /* to join beside it, NULL-terminated */
    struct json_object *exposed, *bindings; /* see publish.h; borrowed */
    struct json_object *hosts;              /* array of "name:ip"; borrowed */
    const char *volume, *volume_driver;     /* the control volume, or NULL */
};

/* Creates, connects to the networks and starts. *id is owned. If this fails,
 * nothing is left behind. */
int container_start(struct engine *e, const struct container_options *o,
                    char **id, struct tp_error *err);

#endif
