#include "config.h"

#include "cli/container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/daemon.h"
#include "cli/volume_plugin.h"

static struct json_object *text(const char *value)
{
    return json_object_new_string(value);
}

static struct json_object *list_of(const char *value)
{
    struct json_object *list = json_object_new_array();

    json_object_array_add(list, text(value));
    return list;
}

/* The volume plugin's control volume, made with it; nothing of the image goes
 * into it. */
static void mount_control(struct json_object *host,
                          const struct container_options *o)
{
    struct json_object *mounts = json_object_new_array();
    struct json_object *mount = json_object_new_object();
    struct json_object *options = json_object_new_object();
    struct json_object *driver = json_object_new_object();
    struct json_object *opts = json_object_new_object();

    json_object_object_add(host, "Mounts", mounts);
    json_object_array_add(mounts, mount);
    json_put_str(mount, "Type", "volume");
    json_put_str(mount, "Source", o->volume);
    json_put_str(mount, "Target", VOLUME_TARGET);
    json_object_object_add(mount, "VolumeOptions", options);
    json_object_object_add(options, "NoCopy", json_object_new_boolean(true));
    json_object_object_add(options, "DriverConfig", driver);
    json_put_str(driver, "Name", o->volume_driver);
    json_object_object_add(driver, "Options", opts);
    json_put_str(opts, "control", "true");
}

/* No right but to set up its own network namespace. The root file system
 * stays writable: with a read-only one Docker mounts resolv.conf read-only,
 * which the daemon must write. IPv6 is on even where Docker's network has none:
 * the cluster may have it. */
static struct json_object *make_host_config(const struct container_options *o,
                                            bool ipv6)
{
    struct json_object *host = json_object_new_object();
    struct json_object *tmpfs = json_object_new_object();
    struct json_object *restart = json_object_new_object();
    struct json_object *log = json_tokener_parse(
        "{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"5m\","
        "\"max-file\":\"2\"}}");

    json_object_object_add(host, "CapDrop", list_of("ALL"));
    json_object_object_add(host, "CapAdd", list_of("NET_ADMIN"));
    json_object_object_add(host, "SecurityOpt", list_of("no-new-privileges"));
    json_put_str(tmpfs, "/run", "rw,nosuid,nodev,noexec,size=8m,mode=0755");
    json_object_object_add(host, "Tmpfs", tmpfs);
    json_put_str(restart, "Name", "no");
    json_object_object_add(host, "RestartPolicy", restart);
    json_object_object_add(host, "LogConfig", log);
    json_put_str(host, "NetworkMode", o->network);
    json_object_object_add(host, "PortBindings", json_object_get(o->bindings));
    json_object_object_add(host, "ExtraHosts", json_object_get(o->hosts));
    if (o->volume)
        mount_control(host, o);
    if (ipv6) {
        struct json_object *sysctls = json_object_new_object();

        json_put_str(sysctls, "net.ipv6.conf.all.disable_ipv6", "0");
        json_object_object_add(host, "Sysctls", sysctls);
    }
    return host;
}

static struct json_object *make_spec(const struct container_options *o,
                                     bool ipv6)
{
    struct json_object *spec = json_object_new_object();
    struct json_object *labels = json_object_new_object();

    json_put_str(spec, "Image", o->image);
    json_put_str(spec, "Hostname", o->hostname);
    json_put_str(labels, DAEMON_LABEL, "1");
    json_put_str(labels, DAEMON_LABEL_VERSION, PACKAGE_VERSION);
    json_object_object_add(spec, "Labels", labels);
    json_object_object_add(spec, "ExposedPorts", json_object_get(o->exposed));
    json_object_object_add(spec, "HostConfig", make_host_config(o, ipv6));
    return spec;
}

static int connect_networks(struct engine *e, const struct container_options *o,
                            const char *id, struct tp_error *err)
{
    for (size_t i = 0; o->networks && o->networks[i]; i++) {
        int rc = engine_network_connect(e, o->networks[i], id, err);

        if (rc == -ENOENT)
            return tp_error_set(err, rc, "there is no Docker network '%s'",
                                o->networks[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int try_start(struct engine *e, const struct container_options *o,
                     bool ipv6, char **id, struct tp_error *err)
{
    struct json_object *spec = make_spec(o, ipv6);
    int rc = engine_container_create(e, o->name, spec, id, err);

    json_object_put(spec);
    if (rc < 0)
        return rc;
    rc = connect_networks(e, o, *id, err);
    if (rc == 0)
        rc = engine_container_start(e, *id, err);
    if (rc == 0)
        return 0;
    engine_set_cancel(e, -1); /* what was made goes, whatever comes */
    engine_container_remove(e, *id, NULL);
    free(*id);
    *id = NULL;
    return rc;
}

int container_start(struct engine *e, const struct container_options *o,
                    char **id, struct tp_error *err)
{
    int rc = try_start(e, o, true, id, err);

    /* A host without IPv6 has no such setting. */
    if (rc < 0 && (strstr(err->text, "sysctl") || strstr(err->text, "ipv6")))
        rc = try_start(e, o, false, id, err);
    return rc;
}
