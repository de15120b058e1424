/* cmd_volume.c - tp volume install|uninstall|status: the Docker plugin */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/image.h"
#include "cli/volume_plugin.h"
#include "engine/plugin.h"

struct volume {
    struct cli *cli;
    struct engine *engine;
    struct volume_plugin plugin;
    char *archive, *build; /* what tp brings along, or NULL */
};

/* ---- the plugin's volumes ---- */

/* Owned array of Docker's objects. The driver has a tag in them. */
static int list_volumes(struct volume *v, struct json_object **out,
                        struct tp_error *err)
{
    cleanup_json struct json_object *all = NULL;
    size_t len = strlen(v->plugin.name);
    int rc = engine_volume_list(v->engine, NULL, &all, err);

    *out = json_object_new_array();
    for (size_t i = 0; i < json_array_len(all); i++) {
        struct json_object *item = json_object_array_get_idx(all, i);
        const char *driver = json_get_str(item, "Driver", "");

        if (!strncmp(driver, v->plugin.name, len) &&
            (!driver[len] || !strcmp(driver + len, ":latest")))
            json_object_array_add(*out, json_object_get(item));
    }
    return rc;
}

/* Appends the names of containers, running or not, that have the volume. */
static int add_users(struct volume *v, const char *name, char *users,
                     size_t size, struct tp_error *err)
{
    cleanup_json struct json_object *filters = json_object_new_object();
    cleanup_json struct json_object *list = NULL;
    struct json_object *names = json_object_new_array();
    int rc;

    json_object_array_add(names, json_object_new_string(name));
    json_object_object_add(filters, "volume", names);
    rc = engine_container_list(v->engine, json_to_text(filters), true, &list,
                               err);
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *known =
            json_get_array(json_object_array_get_idx(list, i), "Names");
        const char *text =
            json_get_str(json_object_array_get_idx(known, 0), "", "/?");

        snprintf(users + strlen(users), size - strlen(users), " %s", text + 1);
    }
    return rc;
}

/* -EBUSY while containers have volumes of the plugin. */
static int check_unused(struct volume *v, struct json_object *volumes,
                        struct tp_error *err)
{
    char users[300] = "";

    for (size_t i = 0; i < json_array_len(volumes); i++) {
        const char *name =
            json_get_str(json_object_array_get_idx(volumes, i), "Name", "");
        int rc = add_users(v, name, users, sizeof(users), err);

        if (rc < 0)
            return rc;
    }
    if (!*users)
        return 0;
    tp_error_set(err, -EBUSY,
                 "the volume plugin is in use by%s: tp quit (a daemon), remove "
                 "the others",
                 users);
    return cli_fail(v->cli, "in-use", err);
}

/* A plugin that does not work cannot remove volumes; Docker forgets them when
 * they are made again. */
static int remove_plugin(struct volume *v, struct json_object *volumes,
                         struct tp_error *err)
{
    if (v->plugin.state == PLUGIN_DISABLED)
        engine_plugin_enable(v->engine, v->plugin.name, NULL);
    for (size_t i = 0; i < json_array_len(volumes); i++)
        engine_volume_remove(
            v->engine,
            json_get_str(json_object_array_get_idx(volumes, i), "Name", ""),
            NULL);
    return engine_plugin_remove(v->engine, v->plugin.name, err);
}

static void make_again(struct volume *v, struct json_object *volumes)
{
    for (size_t i = 0; i < json_array_len(volumes); i++) {
        struct json_object *item = json_object_array_get_idx(volumes, i);
        const char *name = json_get_str(item, "Name", "");
        struct tp_error err = {0};

        if (!strncmp(name, VOLUME_CONTROL, strlen(VOLUME_CONTROL)))
            continue; /* tp connect makes them */
        if (engine_volume_create(v->engine, name, v->plugin.name,
                                 json_get(item, "Options"), &err) < 0)
            cli_warn(v->cli, "volume %s: %s", name, err.text);
    }
}

/* ---- actions ---- */

static bool is_current(const struct volume *v)
{
    return v->plugin.state != PLUGIN_ABSENT && v->plugin.ours &&
           (!v->build ||
            (v->plugin.build && !strcmp(v->build, v->plugin.build)));
}

static int replace(struct volume *v, struct tp_error *err)
{
    cleanup_json struct json_object *volumes = NULL;
    int rc = 0;

    if (!v->archive)
        return tp_error_set(err, -ENOENT,
                            "tp finds no " VOLUME_ARCHIVE "; set TP_IMAGE_DIR "
                            "to where it is (make plugin makes it)");
    if (v->plugin.state != PLUGIN_ABSENT) {
        rc = list_volumes(v, &volumes, err);
        if (rc == 0)
            rc = check_unused(v, volumes, err);
        if (rc == 0)
            rc = remove_plugin(v, volumes, err);
    }
    if (rc < 0)
        return rc;
    cli_progress(v->cli, "Installing the plugin %s ...", v->plugin.name);
    rc = volume_plugin_create(&v->plugin, v->engine, v->archive, err);
    if (rc == 0)
        make_again(v, volumes);
    return rc;
}

static int install(struct volume *v, struct json_object *out,
                   struct tp_error *err)
{
    bool current = is_current(v), was = v->plugin.state != PLUGIN_ABSENT;
    int rc = 0;

    if (!current)
        rc = replace(v, err);
    else if (v->plugin.state == PLUGIN_DISABLED)
        rc = engine_plugin_enable(v->engine, v->plugin.name, err);
    if (rc < 0)
        return rc;
    json_object_object_add(out, "already", json_object_new_boolean(current));
    cli_print(v->cli, "%s: the Docker volume plugin %s\n",
              current ? "Already installed"
              : was   ? "Upgraded"
                      : "Installed",
              v->plugin.name);
    if (!current)
        cli_note(v->cli, "a daemon that runs has no volumes before tp quit and "
                         "tp connect");
    return 0;
}

static int uninstall(struct volume *v, struct json_object *out,
                     struct tp_error *err)
{
    cleanup_json struct json_object *volumes = NULL;
    bool there = v->plugin.state != PLUGIN_ABSENT;
    int rc = 0;

    if (there)
        rc = list_volumes(v, &volumes, err);
    if (rc == 0)
        rc = check_unused(v, volumes, err);
    if (rc == 0 && there)
        rc = remove_plugin(v, volumes, err);
    if (rc < 0)
        return rc;
    volume_plugin_forget(&v->plugin);
    json_object_object_add(out, "removed", json_object_new_boolean(there));
    cli_print(v->cli,
              there ? "Uninstalled: the Docker volume plugin %s; the files are "
                      "in the cluster as before\n"
                    : "Nothing to uninstall: there is no plugin %s\n",
              v->plugin.name);
    return 0;
}

static const char *state_name(const struct volume_plugin *p)
{
    return p->state == PLUGIN_ABSENT     ? "absent"
           : p->state == PLUGIN_DISABLED ? "disabled"
                                         : "enabled";
}

static void print_status(struct volume *v, struct json_object *volumes)
{
    const struct volume_plugin *p = &v->plugin;

    cli_print(v->cli, "Plugin %s: %s%s%s%s\n", p->name, state_name(p),
              p->version ? ", version " : "", p->version ? p->version : "",
              p->state == PLUGIN_ABSENT ? " (tp volume install)"
              : !p->ours                ? ", with keys that are not ours (tp "
                                          "volume install replaces it)"
              : !is_current(v)          ? ", another build than this tp's (tp "
                                          "volume install upgrades it)"
                                        : "");
    for (size_t i = 0; i < json_array_len(volumes); i++) {
        struct json_object *item = json_object_array_get_idx(volumes, i);

        cli_print(v->cli, "%-24s %s\n", json_get_str(item, "name", ""),
                  json_to_text(json_get(item, "options")));
    }
}

static int show_status(struct volume *v, struct json_object *out,
                       struct tp_error *err)
{
    cleanup_json struct json_object *volumes = NULL;
    struct json_object *list = json_object_new_array();
    int rc = list_volumes(v, &volumes, err);

    for (size_t i = 0; i < json_array_len(volumes); i++) {
        struct json_object *item = json_object_array_get_idx(volumes, i);
        struct json_object *entry = json_object_new_object();
        struct json_object *options = json_get(item, "Options");

        json_put_str(entry, "name", json_get_str(item, "Name", ""));
        json_object_object_add(entry, "options",
                               options ? json_object_get(options)
                                       : json_object_new_object());
        json_object_array_add(list, entry);
    }
    json_put_str(out, "version", v->plugin.version);
    json_object_object_add(out, "ours",
                           json_object_new_boolean(v->plugin.ours));
    json_object_object_add(out, "current",
                           json_object_new_boolean(is_current(v)));
    json_object_object_add(out, "volumes", list);
    if (rc == 0)
        print_status(v, list);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct volume *v, struct json_object *out, struct tp_error *err);
} actions[] = {
    {"install", install},
    {"uninstall", uninstall},
    {"status", show_status},
};

static int find_archive(struct volume *v, struct tp_error *err)
{
    v->archive = image_find_archive(VOLUME_ARCHIVE);
    return v->archive ? engine_plugin_archive_env(v->archive, VOLUME_BUILD_ENV,
                                                  &v->build, err)
                      : 0;
}

static int run_action(struct volume *v, size_t action, struct json_object *out,
                      struct tp_error *err)
{
    int rc;

    v->engine = engine_open(err);
    if (!v->engine)
        return cli_fail(v->cli, "no-docker", err);
    rc = volume_plugin_find(&v->plugin, v->engine, err);
    json_put_str(out, "plugin", v->plugin.name);
    if (rc == 0)
        rc = find_archive(v, err);
    if (rc == 0)
        rc = actions[action].run(v, out, err);
    if (rc == 0) {
        volume_plugin_release(&v->plugin);
        rc = volume_plugin_find(&v->plugin, v->engine, err);
        json_put_str(out, "state", state_name(&v->plugin));
    }
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_json struct json_object *out = json_object_new_object();
    struct volume v = {.cli = cli};
    const char *word = cli_arg(cli, 0);
    size_t action = 0, count = sizeof(actions) / sizeof(*actions);
    int rc;

    while (action < count && strcmp(actions[action].name, word) != 0)
        action++;
    if (action == count) {
        tp_error_set(err, -EINVAL,
                     "'%s' is not one of install, uninstall, status", word);
        return cli_fail(cli, "invalid", err);
    }
    rc = run_action(&v, action, out, err);
    if (rc == 0)
        cli_print_json(cli, out);
    volume_plugin_release(&v.plugin);
    engine_close(v.engine);
    free(v.archive);
    free(v.build);
    return rc;
}

const struct cli_command cmd_volume = {
    .name = "volume",
    .summary = "install, uninstall or show the Docker volume plugin",
    .usage = "install|uninstall|status [flags]",
    .details =
        "With the plugin a mounted directory of an engaged container is a "
        "Docker volume of\ndriver tp. It runs in Docker's own sandbox, without "
        "network, with CAP_SYS_ADMIN\nand /dev/fuse; installing it again "
        "upgrades it (volumes keep their names and\noptions). A session has "
        "volumes if the plugin was there at its tp connect.\n\nOptions of a "
        "volume: engagement=NAME (needed), mount=PATH (of tp volumes; else "
        "the\nonly one), dir=SUB/DIR, ro, daemon=NAME, strict, async_names,\n"
        "default_permissions, timeout=SECONDS, attr_timeout=SECONDS (man "
        "tp-mount).\n\nThe environment variable TP_VOLUME_DRIVER is the "
        "plugin's name in Docker (tp).\n",
    .example = "  tp volume install\n"
               "  docker volume create -d tp -o engagement=web -o mount=/data "
               "web-data\n"
               "  docker run --rm -it -v web-data:/data myimage\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
