/* connect_container.c - the container of tp connect: made, found, awaited */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/connect_internal.h"
#include "cli/container.h"
#include "cli/former.h"
#include "cli/image.h"

#define MAX_NETWORKS 16
#define START_TRIES  200

/* Who joined a former life of the container does not come back by itself. */
static void warn_dead(struct connect *c)
{
    cleanup_json struct json_object *joined = NULL;

    if (daemon_list_joined(c->engine, &c->daemon, false, &joined, NULL) == 0)
        daemon_warn_dead(c->cli, joined);
}

static int replace_leftover(struct connect *c, struct tp_error *err)
{
    if (c->daemon.state != DAEMON_STOPPED)
        return 0;
    warn_dead(c);
    return engine_container_remove(c->engine, c->daemon.id, err);
}

static int make_container(struct connect *c, struct tp_error *err)
{
    const char *networks[MAX_NETWORKS + 2] = {NULL};
    struct container_options o = {.name = c->name,
                                  .hostname = cli_get(c->cli, "hostname"),
                                  .networks = networks,
                                  .exposed = c->exposed,
                                  .bindings = c->bindings,
                                  .hosts = c->hosts,
                                  .volume = c->volume,
                                  .volume_driver = c->volumes.name};
    size_t count = 0, asked = cli_count(c->cli, "network");
    int rc;

    if (asked > MAX_NETWORKS)
        return tp_error_set(err, -E2BIG, "too many --network");
    if (c->reach.network && c->reach.sole)
        o.network = c->reach.network;
    else if (c->reach.network)
        networks[count++] = c->reach.network;
    for (size_t i = 0; i < asked; i++) {
        const char *name = cli_get_nth(c->cli, "network", i);

        if (!c->reach.network || strcmp(name, c->reach.network) != 0)
            networks[count++] = name;
    }
    rc = image_ensure(c->cli, c->engine, &o.image, err);
    if (rc == 0)
        rc = replace_leftover(c, err);
    if (rc < 0)
        return rc;
    cli_progress(c->cli, "Starting the container %s ...", c->name);
    rc = container_start(c->engine, &o, &c->container, err);
    if (rc < 0 && proxy_option_explain(&c->proxy, err))
        return cli_fail(c->cli, "port-taken", err);
    c->made = rc == 0;
    if (c->made)
        former_note(c->name, c->container);
    return rc;
}

/* A port cannot be published later: no proxy then. */
static void use_proxy(struct connect *c)
{
    cleanup_json struct json_object *info = NULL;

    if (!c->proxy.session ||
        (engine_container_inspect(c->engine, c->daemon.id, &info, NULL) == 0 &&
         proxy_option_published(c->bindings, info)))
        return;
    json_object_object_del(c->session, "hostProxy");
    cli_warn(c->cli,
             "--proxy does nothing: the container '%s' runs already without "
             "it; 'tp quit' it first",
             c->name);
}

/* Flags that say how the container is made do nothing for one that runs. */
static int use_container(struct connect *c, struct tp_error *err)
{
    static const char *const flags[] = {"publish", "hostname", "add-host",
                                        "network"};

    c->container = strdup(c->daemon.id);
    if (c->daemon.restarted)
        warn_dead(c);
    use_proxy(c);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (cli_has(c->cli, flags[i]))
            cli_warn(c->cli,
                     "--%s does nothing: the container '%s' runs already; "
                     "'tp quit' it first",
                     flags[i], c->name);
    }
    return c->container ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

/* What another tp connect has made and not started yet is no leftover. */
static void await_start(struct connect *c)
{
    for (int tries = 0; tries < START_TRIES && c->daemon.unstarted; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_NS}, NULL);
        daemon_release(&c->daemon);
        if (daemon_find(&c->daemon, c->engine, c->name, NULL) < 0)
            return;
    }
}

/* The name is taken as soon as somebody else begins to make his container. */
static void await_other(struct connect *c)
{
    for (int tries = 0;
         tries < START_TRIES && c->daemon.state != DAEMON_RUNNING; tries++) {
        if (tries > 0)
            nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_NS}, NULL);
        daemon_release(&c->daemon);
        if (daemon_find(&c->daemon, c->engine, c->name, NULL) < 0)
            return;
    }
}

int connect_get_container(struct connect *c, struct tp_error *err)
{
    int rc;

    await_start(c);
    if (c->daemon.state == DAEMON_RUNNING)
        return use_container(c, err);
    rc = make_container(c, err);
    if (rc != -EEXIST)
        return rc;
    /* Somebody was faster; his container is as good. */
    await_other(c);
    if (c->daemon.state == DAEMON_RUNNING)
        return use_container(c, err);
    tp_error_set(err, rc,
                 "another tp connect is just making the container '%s', which "
                 "does not run yet: try again",
                 c->name);
    return cli_fail(c->cli, "busy", err);
}
