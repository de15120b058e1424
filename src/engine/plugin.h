/*
 * plugin.h - managed plugins and their volumes, and the archive of a plugin
 *
 * The archive is what POST /plugins/create takes: config.json and rootfs/.
 */
#ifndef TP_ENGINE_PLUGIN_H
#define TP_ENGINE_PLUGIN_H

#include "engine/engine.h"

/* A file that is put into the plugin's root file system, for root alone. */
struct engine_plugin_file {
    const char *path; /* "etc/tp/x" */
    const char *text;
};

/* The value of a variable of the plugin's configuration (its `env`), in an
 * archive or in what engine_plugin_inspect() says; owned, NULL if there is
 * none. */
int engine_plugin_archive_env(const char *archive, const char *name, char **out,
                              struct tp_error *err);
char *engine_plugin_env(struct json_object *plugin, const char *name);

/* A copy of the archive with the files, and with NAME=value added to env, in
 * memory that no file system has: a descriptor. */
int engine_plugin_archive_fill(const char *archive,
                               const struct engine_plugin_file *files,
                               size_t count, const char *env_name,
                               const char *env_value, struct tp_error *err);

int engine_plugin_inspect(struct engine *e, const char *name,
                          struct json_object **out, struct tp_error *err);
/* From the archive behind fd. */
int engine_plugin_create(struct engine *e, const char *name, int fd,
                         struct tp_error *err);
int engine_plugin_enable(struct engine *e, const char *name,
                         struct tp_error *err);
/* Refused while its volumes are in use. */
int engine_plugin_disable(struct engine *e, const char *name,
                          struct tp_error *err);
/* One that is not there is no error. */
int engine_plugin_remove(struct engine *e, const char *name,
                         struct tp_error *err);

/* filters: JSON text or NULL; *out: an array, owned. */
int engine_volume_list(struct engine *e, const char *filters,
                       struct json_object **out, struct tp_error *err);
int engine_volume_create(struct engine *e, const char *name, const char *driver,
                         struct json_object *options, struct tp_error *err);
/* One that is not there is no error. */
int engine_volume_remove(struct engine *e, const char *name,
                         struct tp_error *err);

#endif
