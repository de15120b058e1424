#include "cli/volume_plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/state.h"
#include "engine/plugin.h"
#include "net/selfsigned.h"

#define KEYS_MAX    65536
#define DAEMON_NAME "tp-daemon" /* what its certificate is for */
#define PLUGIN_NAME "tp-volume"

static char *keys_path(const char *plugin, bool make)
{
    cleanup_free char *file = NULL;

    if (asprintf(&file, "volume-%s.json", plugin) < 0) {
        file = NULL;
        return NULL;
    }
    for (char *p = file; *p; p++)
        if (*p == '/' || *p == ':')
            *p = '_';
    return state_path(file, make);
}

static bool is_reference(const char *name)
{
    return *name && strlen(name) < 128 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/:") ==
               strlen(name);
}

/* Ours if the plugin was made with the peer's certificate that we keep. */
static void load_keys(struct volume_plugin *p, struct json_object *plugin)
{
    cleanup_free char *path = keys_path(p->name, false), *made = NULL;
    cleanup_secret char *text = NULL;
    struct tp_error none = {0};
    char print[65];
    size_t len;

    made = engine_plugin_env(plugin, VOLUME_KEY_ENV);
    if (!path || !made || file_read(path, KEYS_MAX, &text, &len, &none) < 0)
        return;
    p->keys = json_parse_text(text, len, &none);
    p->ours = p->keys &&
              selfsigned_fingerprint(json_get_str(p->keys, "peer", ""), print,
                                     &none) == 0 &&
              !strcmp(print, made);
}

int volume_plugin_find(struct volume_plugin *p, struct engine *e,
                       struct tp_error *err)
{
    cleanup_json struct json_object *info = NULL;
    const char *name = getenv("TP_VOLUME_DRIVER");
    int rc;

    memset(p, 0, sizeof(*p));
    p->name = name && *name ? name : "tp";
    if (!is_reference(p->name))
        return tp_error_set(err, -EINVAL,
                            "TP_VOLUME_DRIVER: '%.100s' cannot be the name of "
                            "a plugin",
                            p->name);
    rc = engine_plugin_inspect(e, p->name, &info, err);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    p->state = json_get_bool(info, "Enabled", false) ? PLUGIN_ENABLED
                                                     : PLUGIN_DISABLED;
    p->version = engine_plugin_env(info, "TP_VERSION");
    p->build = engine_plugin_env(info, VOLUME_BUILD_ENV);
    load_keys(p, info);
    return 0;
}

void volume_plugin_release(struct volume_plugin *p)
{
    free(p->version);
    free(p->build);
    json_object_put(p->keys);
    memset(p, 0, sizeof(*p));
}

/* What the daemon gets. Written before the plugin is enabled. */
static int keep_keys(const struct volume_plugin *p,
                     const struct selfsigned *daemon,
                     const struct selfsigned *plugin, struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    cleanup_free char *path = keys_path(p->name, true);

    if (!path)
        return tp_error_set(err, -ENOENT,
                            "there is no home directory to keep the keys in: "
                            "set HOME or XDG_STATE_HOME");
    json_put_str(obj, "cert", daemon->cert_pem);
    json_put_str(obj, "key", daemon->key_pem);
    json_put_str(obj, "peer", plugin->cert_pem);
    return state_write(path, json_to_text(obj), err);
}

static int create_with(struct volume_plugin *p, struct engine *e,
                       const char *archive, const struct selfsigned *daemon,
                       const struct selfsigned *plugin, struct tp_error *err)
{
    const struct engine_plugin_file files[] = {
        {"etc/tp/plugin.crt", plugin->cert_pem},
        {"etc/tp/plugin.key", plugin->key_pem},
        {"etc/tp/daemon.crt", daemon->cert_pem},
    };
    cleanup_close int fd = -1;
    char print[65];
    int rc = selfsigned_fingerprint(plugin->cert_pem, print, err);

    if (rc < 0)
        return rc;
    fd = engine_plugin_archive_fill(archive, files, 3, VOLUME_KEY_ENV, print,
                                    err);
    if (fd < 0)
        return fd;
    rc = keep_keys(p, daemon, plugin, err);
    if (rc == 0)
        rc = engine_plugin_create(e, p->name, fd, err);
    if (rc == 0)
        rc = engine_plugin_enable(e, p->name, err);
    if (rc < 0)
        engine_plugin_remove(e, p->name, NULL);
    return rc;
}

int volume_plugin_create(struct volume_plugin *p, struct engine *e,
                         const char *archive, struct tp_error *err)
{
    struct selfsigned daemon = {0}, plugin = {0};
    int rc = selfsigned_make(&daemon, DAEMON_NAME, err);

    if (rc == 0)
        rc = selfsigned_make(&plugin, PLUGIN_NAME, err);
    if (rc == 0)
        rc = create_with(p, e, archive, &daemon, &plugin, err);
    selfsigned_release(&daemon);
    selfsigned_release(&plugin);
    if (rc < 0)
        volume_plugin_forget(p);
    return rc;
}

void volume_plugin_forget(const struct volume_plugin *p)
{
    cleanup_free char *path = keys_path(p->name, false);

    if (path)
        unlink(path);
}

char *volume_control_name(const char *daemon)
{
    char *name;

    return asprintf(&name, VOLUME_CONTROL "%s", daemon) < 0 ? NULL : name;
}
