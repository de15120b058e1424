/*
 * docker_mounts.h - which volumes of the cluster a `docker run` gets
 *
 * Paths of both sides are compared as Docker cleans them. What the user's own
 * -v, --mount or --tmpfs mounts at, above or below the path of a served volume
 * keeps that one out. A volume below another one is part of that.
 */
#ifndef TP_CLI_DOCKER_MOUNTS_H
#define TP_CLI_DOCKER_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct json_object;

/* Options of docker run that mount something: the path in the container that
 * `value` of option `name` (without dashes, `len` bytes) says, cleaned, owned;
 * NULL: it is another option, or no path can be found. */
char *docker_mounts_path(const char *name, size_t len, const char *value);

/* served: "mounts" of FILES (doc/protocol.md 5.1); own: array of paths. The
 * result, owned: {"volumes": [{"path", "readOnly"}], "own": [PATH], "files":
 * [PATH]}: what to mount, and what is left out because of the user's own mounts
 * or because it is a single file. */
struct json_object *docker_mounts_choose(struct json_object *served,
                                         struct json_object *own);

/* The value of --mount for a volume {"name", "driver", "path"};
 * owned. */
char *docker_mounts_option(struct json_object *volume);

#endif
