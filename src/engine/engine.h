/*
 * engine.h - requests to the Docker Engine API
 *
 * https://docs.docker.com/reference/api/engine/version/v1.41/. Version 1.41
 * (Docker 20.10) at least, 1.45 at most; the engine's own if it lies between.
 * Blocking; one handle is for one thread.
 *
 * Functions return 0 or a negative errno with err filled: -ENOENT for a 404,
 * -EEXIST for a 409, -EACCES, -EINVAL, -EIO for other refusals, with the
 * engine's message.
 */
#ifndef TP_ENGINE_ENGINE_H
#define TP_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct engine;
struct json_object;

/* Finds the engine (target.h) and agrees on a version. NULL with err filled by
 * a line that says what to do. */
struct engine *engine_open(struct tp_error *err);
void engine_close(struct engine *e);

/* "1.41". Borrowed. */
const char *engine_api_version(const struct engine *e);

/* While set (>= 0), a readable descriptor ends each wait by -ECANCELED. */
void engine_set_cancel(struct engine *e, int cancel_fd);

/* One request below /vX.Y; body may be NULL; *out (may be NULL) is the parsed
 * answer, owned, or NULL if there is none. */
int engine_call(struct engine *e, const char *method, const char *path,
                struct json_object *body, struct json_object **out,
                struct tp_error *err);

/* Percent-encodes a query value. Owned; NULL if out of memory. */
char *engine_escape(const char *text);

/* Containers; `name` is a name or an id. */
int engine_container_inspect(struct engine *e, const char *name,
                             struct json_object **out, struct tp_error *err);
/* filters: JSON text ({"label": ["x=1"]}) or NULL; all: stopped ones, too. */
int engine_container_list(struct engine *e, const char *filters, bool all,
                          struct json_object **out, struct tp_error *err);
/* *id: owned. Not ended by the cancel descriptor: the engine would make the
 * container all the same, and nobody would know its id. */
int engine_container_create(struct engine *e, const char *name,
                            struct json_object *spec, char **id,
                            struct tp_error *err);
int engine_container_start(struct engine *e, const char *name,
                           struct tp_error *err);
/* Kills it if it runs. One that is gone already is no error, nor is one that
 * somebody else is removing: that is waited for. */
int engine_container_remove(struct engine *e, const char *name,
                            struct tp_error *err);

/* The last lines of its log as one line of text, cut to 300 bytes. Owned. */
int engine_container_log(struct engine *e, const char *name, unsigned lines,
                         char **out, struct tp_error *err);

/* The last lines of its log as they are, at most 4 MiB. Owned. */
int engine_container_log_text(struct engine *e, const char *name,
                              unsigned lines, char **out, struct tp_error *err);

/* Networks. */
int engine_network_list(struct engine *e, struct json_object **out,
                        struct tp_error *err);
int engine_network_connect(struct engine *e, const char *network,
                           const char *container, struct tp_error *err);

/* Images. */
int engine_image_inspect(struct engine *e, const char *ref,
                         struct json_object **out, struct tp_error *err);
/* Loads an archive of `docker save` (perhaps compressed). */
int engine_image_load(struct engine *e, const char *path, struct tp_error *err);

#endif
