/* cmd_config.c - tp config view: each setting and where it comes from */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/daemon.h"

#define ASK_MS 5000

/* What the manager serves, from the running session. Owned, or NULL. */
static struct json_object *ask_manager(const char *name)
{
    cleanup_json struct json_object *request = daemon_request("status");
    cleanup_json struct json_object *status = NULL;
    struct tp_error err = {0};
    struct daemon d = {0};
    struct engine *e = engine_open(&err);

    if (e && daemon_find(&d, e, name, &err) == 0 && d.state == DAEMON_RUNNING)
        daemon_ask(e, d.id, request, ASK_MS, &status, NULL, &err);
    daemon_release(&d);
    engine_close(e);
    return json_object_get(json_get(status, "clientConfig"));
}

/* The manager's layer lies below the user's: it fills only what none of these
 * has set. */
static int add_manager(struct client_config *config, struct json_object *obj,
                       struct tp_error *err)
{
    struct client_config below;
    int rc = client_config_init(&below, err);

    if (rc == 0)
        rc = client_config_apply(&below, obj, CONFIG_FROM_MANAGER, "manager",
                                 err);
    for (unsigned i = 0; rc == 0 && i < CONFIG_KEYS; i++) {
        if (config->keys[i].source != CONFIG_FROM_DEFAULT ||
            below.keys[i].source != CONFIG_FROM_MANAGER)
            continue;
        json_object_put(config->keys[i].value);
        config->keys[i].value = json_object_get(below.keys[i].value);
        config->keys[i].source = CONFIG_FROM_MANAGER;
    }
    client_config_release(&below);
    return rc;
}

static void show(struct cli *cli, const struct client_config *config)
{
    cleanup_json struct json_object *out = json_object_new_object();

    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        enum config_key key = (enum config_key)i;
        const char *source = client_config_source_name(config->keys[i].source);
        struct json_object *entry = json_object_new_object();

        json_object_object_add(entry, "value",
                               json_object_get(config->keys[i].value));
        json_put_str(entry, "source", source);
        json_object_object_add(out, client_config_key_name(key), entry);
        cli_print(
            cli, "%-34s %-28s # %s\n", client_config_key_name(key),
            json_object_to_json_string_ext(config->keys[i].value,
                                           JSON_C_TO_STRING_NOSLASHESCAPE),
            config->keys[i].source == CONFIG_FROM_FILE ? config->file : source);
    }
    cli_print_json(cli, out);
}

static int view(struct cli *cli, struct kube_context *kube,
                struct client_config *config, struct tp_error *err)
{
    cleanup_json struct json_object *central = NULL;
    const char *name = common_name(cli, err);
    struct tp_error none = {0};
    bool asked = cli_has(cli, "kubeconfig") || cli_has(cli, "context");
    int rc = name ? common_load_kube(cli, kube, &none) : -EINVAL;

    if (!name)
        return rc;
    if (rc < 0 && asked) {
        *err = none;
        return rc;
    }
    rc = common_load_config(cli, rc < 0 ? NULL : kube, config, err);
    if (rc < 0)
        return rc;
    central = ask_manager(name);
    rc = central ? add_manager(config, central, err) : 0;
    if (rc == 0)
        show(cli, config);
    if (rc == 0 && !central)
        cli_note(cli, "no session: what the manager would set is not known");
    return rc;
}

static int run(struct cli *cli, struct tp_error *err)
{
    struct kube_context kube = {0};
    struct client_config config = {0};
    int rc = view(cli, &kube, &config, err);

    kube_context_release(&kube);
    client_config_release(&config);
    return rc;
}

static const struct cli_option options[] = {
    OPTION_NAME, OPTIONS_KUBE, OPTION_MANAGER_NAMESPACE, OPTIONS_ROUTING, {0},
};

const struct cli_command cmd_config_view = {
    .name = "config view",
    .summary = "show the settings and where each comes from",
    .usage = "[flags]",
    .details =
        "The later wins: default, manager (the chart's client:), file\n"
        "(~/.config/tp/config.yml), kubeconfig (the cluster's extension\n"
        "tp.internal), flag. A list replaces the former one.\n",
    .options = options,
    .run = run,
};
