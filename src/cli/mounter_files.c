/* mounter_files.c - keys, and what is written for clients of the port */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/daemon.h"
#include "cli/mounter_internal.h"

#define ASK_MS 40000

int mounter_ask_key(const struct mounter_plan *plan, char **key, char **hostkey,
                    struct tp_error *err)
{
    cleanup_json struct json_object *request = daemon_request("files");
    cleanup_json struct json_object *answer = NULL;
    struct engine *e = engine_open(err);
    int rc;

    if (!e)
        return err->code;
    json_put_str(request, "name", plan->record.engagement);
    json_object_object_add(request, "secret", json_object_new_boolean(true));
    rc = daemon_ask(e, plan->record.container, request, ASK_MS, &answer, NULL,
                    err);
    engine_close(e);
    if (rc < 0)
        return rc;
    *key = strdup(json_get_str(answer, "key", ""));
    *hostkey = strdup(json_get_str(answer, "hostKey", ""));
    if (!*key || !*hostkey)
        return tp_error_errno(err, -ENOMEM, "files");
    return **key ? 0 : tp_error_set(err, -EPROTO, "the daemon gave no key");
}

/* Whole or not at all; for nobody else. */
static int write_file(const char *dir, const char *name, const char *text,
                      struct tp_error *err)
{
    cleanup_free char *path = NULL;
    int rc;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return tp_error_errno(err, -ENOMEM, "%s", name);
    rc = file_replace(path, text, false);
    return rc < 0 ? tp_error_errno(err, rc, "%s", path) : 0;
}

int mounter_write_known(const struct mounter_plan *plan, const char *hostkey,
                        struct tp_error *err)
{
    cleanup_free char *text = NULL;

    if (asprintf(&text, "[127.0.0.1]:%d %s\n", plan->record.port, hostkey) < 0)
        return tp_error_errno(err, -ENOMEM, "known_hosts");
    return write_file(plan->record.dir, "known_hosts", text, err);
}

static int write_config(const struct mounter_plan *plan, struct tp_error *err)
{
    const char *dir = plan->record.dir;
    cleanup_free char *text = NULL;

    if (asprintf(&text,
                 "Host pod\n"
                 "  HostName 127.0.0.1\n"
                 "  Port %d\n"
                 "  User tp\n"
                 "  IdentityFile \"%s/key\"\n"
                 "  IdentitiesOnly yes\n"
                 "  UserKnownHostsFile \"%s/known_hosts\"\n"
                 "  GlobalKnownHostsFile /dev/null\n"
                 "  StrictHostKeyChecking yes\n",
                 plan->record.port, dir, dir) < 0)
        return tp_error_errno(err, -ENOMEM, "config");
    return write_file(dir, "config", text, err);
}

int mounter_write_files(const struct mounter_plan *plan, const char *key,
                        const char *hostkey, struct tp_error *err)
{
    int rc = write_file(plan->record.dir, "key", key, err);

    if (rc == 0)
        rc = mounter_write_known(plan, hostkey, err);
    return rc == 0 ? write_config(plan, err) : rc;
}
