#include "cli/engage_volumes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/docker_mounts.h"
#include "cli/volume_plugin.h"

#define ASK_MS           40000
#define LABEL_DAEMON     "internal.tp.volume"
#define LABEL_ENGAGEMENT "internal.tp.engagement"
#define NAMES_MAX        1000

/* ---- the engine ---- */

/* {"Volumes": [...]} with our labels. */
static int list(struct engine *e, const char *daemon, const char *name,
                struct json_object **out, struct tp_error *err)
{
    cleanup_json struct json_object *filters = json_object_new_object();
    struct json_object *labels = json_object_new_array();
    cleanup_free char *label = NULL, *other = NULL, *text = NULL, *path = NULL;

    if (asprintf(&label, LABEL_DAEMON "=%s", daemon) < 0 ||
        asprintf(&other, LABEL_ENGAGEMENT "=%s", name ? name : "") < 0)
        return tp_error_errno(err, -ENOMEM, "volumes");
    json_object_array_add(labels, json_object_new_string(label));
    if (name)
        json_object_array_add(labels, json_object_new_string(other));
    json_object_object_add(filters, "label", labels);
    text = engine_escape(json_to_text(filters));
    if (!text || asprintf(&path, "/volumes?filters=%s", text) < 0)
        return tp_error_errno(err, -ENOMEM, "volumes");
    return engine_call(e, "GET", path, NULL, out, err);
}

static int remove_one(struct engine *e, const char *name, struct tp_error *err)
{
    cleanup_free char *text = engine_escape(name), *path = NULL;

    if (!text || asprintf(&path, "/volumes/%s", text) < 0)
        return tp_error_errno(err, -ENOMEM, "volumes");
    return engine_call(e, "DELETE", path, NULL, NULL, err);
}

/* quiet: those that are in use are left without a word. */
static void remove_all(struct cli *cli, struct engine *e, const char *daemon,
                       const char *name, bool quiet)
{
    cleanup_json struct json_object *answer = NULL;
    struct json_object *volumes;
    struct tp_error err = {0};

    if (list(e, daemon, name, &answer, &err) < 0)
        return;
    volumes = json_get_array(answer, "Volumes");
    for (size_t i = 0; i < json_array_len(volumes); i++) {
        const char *one =
            json_get_str(json_object_array_get_idx(volumes, i), "Name", "");
        int rc = remove_one(e, one, &err);

        if (rc < 0 && rc != -ENOENT && !quiet)
            cli_note(cli,
                     "the volume %s is left: a container has it (docker rm, "
                     "then docker volume rm %s)",
                     one, one);
    }
}

void engage_volumes_remove(struct cli *cli, struct engine *e,
                           const char *daemon, const char *name)
{
    remove_all(cli, e, daemon, name, false);
}

/* The driver's name, owned. */
static int find_driver(struct engine *e, char **out, struct tp_error *err)
{
    struct volume_plugin p;
    int rc = volume_plugin_find(&p, e, err);

    if (rc == 0 && p.state == PLUGIN_ABSENT)
        rc = tp_error_set(err, -ENOENT,
                          "the Docker plugin %s is not installed: run 'tp "
                          "volume install'",
                          p.name);
    else if (rc == 0 && p.state == PLUGIN_DISABLED)
        rc = tp_error_set(err, -ENODEV,
                          "the Docker plugin %s is disabled: run 'docker "
                          "plugin enable %s'",
                          p.name, p.name);
    if (rc == 0 && !(*out = strdup(p.name)))
        rc = tp_error_errno(err, -ENOMEM, "volumes");
    volume_plugin_release(&p);
    return rc;
}

/* ---- making ---- */

/* What Docker takes as a name. */
static void sanitize(char *name)
{
    for (char *c = name; *c; c++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_.-",
                    *c))
            *c = '-';
    }
}

static struct json_object *make_request(struct engage *g,
                                        const char *engagement,
                                        struct json_object *volume)
{
    struct json_object *body = json_object_new_object();
    struct json_object *options = json_object_new_object();
    struct json_object *labels = json_object_new_object();

    json_put_str(options, "engagement", engagement);
    json_put_str(options, "daemon", g->daemon.name);
    json_put_str(options, "mount", json_get_str(volume, "path", ""));
    if (json_get_bool(volume, "readOnly", false))
        json_put_str(options, "ro", "");
    json_put_str(labels, LABEL_DAEMON, g->daemon.name);
    json_put_str(labels, LABEL_ENGAGEMENT, engagement);
    json_put_str(body, "Name", json_get_str(volume, "name", ""));
    json_put_str(body, "Driver", json_get_str(volume, "driver", ""));
    json_object_object_add(body, "DriverOpts", options);
    json_object_object_add(body, "Labels", labels);
    return body;
}

static bool is_taken(struct engine *e, const char *name)
{
    cleanup_free char *text = engine_escape(name), *path = NULL;
    cleanup_json struct json_object *answer = NULL;

    if (!text || asprintf(&path, "/volumes/%s", text) < 0)
        return true;
    return engine_call(e, "GET", path, NULL, &answer, NULL) != -ENOENT;
}

/* DAEMON-ENGAGEMENT-N, the first that is free from *n on. */
static int name_one(struct engage *g, const char *engagement, unsigned *n,
                    struct json_object *volume, struct tp_error *err)
{
    while (++*n < NAMES_MAX) {
        cleanup_free char *name = NULL;

        if (asprintf(&name, "%.50s-%.60s-%u", g->daemon.name, engagement, *n) <
            0)
            return tp_error_errno(err, -ENOMEM, "volumes");
        sanitize(name);
        if (is_taken(g->engine, name))
            continue;
        json_put_str(volume, "name", name);
        return 0;
    }
    return tp_error_set(err, -EEXIST, "too many volumes of that name");
}

static int make_all(struct engage *g, const char *engagement,
                    struct json_object *volumes, struct tp_error *err)
{
    unsigned n = 0;
    int rc = 0;

    remove_all(g->cli, g->engine, g->daemon.name, engagement, true);
    for (size_t i = 0; rc == 0 && i < json_array_len(volumes); i++) {
        struct json_object *volume = json_object_array_get_idx(volumes, i);
        cleanup_json struct json_object *body = NULL;

        rc = name_one(g, engagement, &n, volume, err);
        if (rc < 0)
            break;
        body = make_request(g, engagement, volume);
        rc = engine_call(g->engine, "POST", "/volumes/create", body, NULL, err);
    }
    return rc;
}

static void say_left_out(struct cli *cli, struct json_object *choice)
{
    struct json_object *own = json_get_array(choice, "own");
    struct json_object *files = json_get_array(choice, "files");

    for (size_t i = 0; i < json_array_len(own); i++)
        cli_note(cli, "the volume at %s is left out: docker run has its own",
                 json_object_get_string(json_object_array_get_idx(own, i)));
    for (size_t i = 0; i < json_array_len(files); i++)
        cli_note(cli,
                 "%s is a single file there, which no volume can be: left out",
                 json_object_get_string(json_object_array_get_idx(files, i)));
}

static int choose(struct engage *g, const char *name, struct json_object *own,
                  struct json_object **out, struct tp_error *err)
{
    cleanup_json struct json_object *request = engage_named("files", name);
    cleanup_json struct json_object *answer = NULL, *choice = NULL;
    cleanup_free char *driver = NULL;
    struct json_object *volumes;
    int rc = engage_ask(g, request, ASK_MS, &answer, err);

    if (rc < 0)
        return rc;
    choice = docker_mounts_choose(json_get_array(answer, "mounts"), own);
    volumes = json_get_array(choice, "volumes");
    if (json_array_len(volumes) > 0) {
        rc = find_driver(g->engine, &driver, err);
        if (rc < 0)
            return rc;
        *out = json_object_get(volumes);
    }
    for (size_t i = 0; i < json_array_len(volumes); i++)
        json_put_str(json_object_array_get_idx(volumes, i), "driver", driver);
    say_left_out(g->cli, choice);
    return 0;
}

int engage_volumes_make(struct engage *g, const char *name,
                        struct json_object *own, struct json_object **out,
                        struct tp_error *err)
{
    const char *mode = cli_get(g->cli, "volumes");
    int rc;

    *out = NULL;
    if (mode && !strcmp(mode, "off"))
        return 0;
    rc = choose(g, name, own, out, err);
    if (rc == 0 && *out)
        return make_all(g, name, *out, err);
    if (rc == 0 || rc == -ECANCELED)
        return rc;
    if (mode)
        return tp_error_wrap(err, "--volumes %s", mode);
    cli_warn(g->cli, "volumes are not mounted: %s", err->text);
    memset(err, 0, sizeof(*err));
    return 0;
}
