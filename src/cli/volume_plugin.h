/*
 * volume_plugin.h - the Docker plugin of volumes, and the keys by which it and
 * the daemon know each other (doc/security.md)
 *
 * The plugin's name in Docker is "tp", or $TP_VOLUME_DRIVER: people who share
 * an engine may each have one. Its private key is in the plugin's root file
 * system and nowhere else; the daemon's is in the state directory, 0600, and
 * goes to the daemon as the session's "volumes".
 */
#ifndef TP_CLI_VOLUME_PLUGIN_H
#define TP_CLI_VOLUME_PLUGIN_H

#include <stdbool.h>

#include "engine/engine.h"

#define VOLUME_ARCHIVE   "tp-volume.tar"
#define VOLUME_TARGET    "/run/tp-volume" /* in the daemon's container */
#define VOLUME_CONTROL   "tp-ctl-"        /* then the daemon's name */
#define VOLUME_BUILD_ENV "TP_BUILD"
#define VOLUME_KEY_ENV   "TP_KEY"

enum volume_plugin_state { PLUGIN_ABSENT, PLUGIN_DISABLED, PLUGIN_ENABLED };

struct volume_plugin {
    const char *name; /* static, or the environment's */
    enum volume_plugin_state state;
    bool ours;                /* we have the keys that it was made with */
    char *version, *build;    /* or NULL */
    struct json_object *keys; /* {"cert", "key", "peer"}, if it is ours */
};

/* -EINVAL: $TP_VOLUME_DRIVER cannot be a name. Release it in any case. */
int volume_plugin_find(struct volume_plugin *p, struct engine *e,
                       struct tp_error *err);
void volume_plugin_release(struct volume_plugin *p);

/* Makes the plugin from the archive, with new keys, and enables it. It must be
 * absent. */
int volume_plugin_create(struct volume_plugin *p, struct engine *e,
                         const char *archive, struct tp_error *err);
/* The keys go. */
void volume_plugin_forget(const struct volume_plugin *p);

/* The control volume of a daemon. Owned. */
char *volume_control_name(const char *daemon);

#endif
