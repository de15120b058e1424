/*
 * engage_volumes.h - volumes of the cluster in a container that tp starts
 *
 * Each served volume becomes a volume of the driver `tp` (the Docker plugin),
 * labelled, that is made before `docker run` and removed with the engagement.
 */
#ifndef TP_CLI_ENGAGE_VOLUMES_H
#define TP_CLI_ENGAGE_VOLUMES_H

#include "base/error.h"
#include "cli/engage.h"

struct json_object;

/* Makes them for the engagement `name`; own: paths that the user mounts
 * himself. *out (owned): [{"name", "path", "readOnly"}], or NULL where there is
 * nothing to mount. What is not mounted is said; with --volumes rw or ro it is
 * an error where it is not the user's own doing. */
int engage_volumes_make(struct engage *g, const char *name,
                        struct json_object *own, struct json_object **out,
                        struct tp_error *err);

/* Removes those of an engagement (NULL: of all) of that daemon (its name). What
 * a container still uses is named. */
void engage_volumes_remove(struct cli *cli, struct engine *e,
                           const char *daemon, const char *name);

#endif
