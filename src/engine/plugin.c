#include "engine/plugin.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/upload.h"

/* engine_call() of "BEFORE/name" and what is behind it. */
static int call_named(struct engine *e, const char *method, const char *before,
                      const char *name, const char *behind,
                      struct json_object **out, struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name), *path = NULL;

    if (!id || asprintf(&path, "%s/%s%s", before, id, behind) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    return engine_call(e, method, path, NULL, out, err);
}

int engine_plugin_inspect(struct engine *e, const char *name,
                          struct json_object **out, struct tp_error *err)
{
    return call_named(e, "GET", "/plugins", name, "/json", out, err);
}

int engine_plugin_create(struct engine *e, const char *name, int fd,
                         struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name), *path = NULL;

    if (!id || asprintf(&path, "/plugins/create?name=%s", id) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    return engine_upload(e, path, fd, err);
}

int engine_plugin_enable(struct engine *e, const char *name,
                         struct tp_error *err)
{
    return call_named(e, "POST", "/plugins", name, "/enable?timeout=30", NULL,
                      err);
}

int engine_plugin_disable(struct engine *e, const char *name,
                          struct tp_error *err)
{
    return call_named(e, "POST", "/plugins", name, "/disable", NULL, err);
}

int engine_plugin_remove(struct engine *e, const char *name,
                         struct tp_error *err)
{
    struct tp_error why = {0};
    int rc = call_named(e, "DELETE", "/plugins", name, "?force=1", NULL, &why);

    return rc < 0 && rc != -ENOENT ? tp_error_set(err, rc, "%s", why.text) : 0;
}

int engine_volume_list(struct engine *e, const char *filters,
                       struct json_object **out, struct tp_error *err)
{
    cleanup_free char *value = engine_escape(filters ? filters : "{}");
    cleanup_free char *path = NULL;
    cleanup_json struct json_object *answer = NULL;
    struct json_object *list;
    int rc;

    *out = NULL;
    if (!value || asprintf(&path, "/volumes?filters=%s", value) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    rc = engine_call(e, "GET", path, NULL, &answer, err);
    if (rc < 0)
        return rc;
    list = json_get_array(answer, "Volumes");
    *out = list ? json_object_get(list) : json_object_new_array();
    return 0;
}

int engine_volume_create(struct engine *e, const char *name, const char *driver,
                         struct json_object *options, struct tp_error *err)
{
    cleanup_json struct json_object *body = json_object_new_object();

    json_put_str(body, "Name", name);
    json_put_str(body, "Driver", driver);
    json_object_object_add(body, "DriverOpts", json_object_get(options));
    return engine_call(e, "POST", "/volumes/create", body, NULL, err);
}

int engine_volume_remove(struct engine *e, const char *name,
                         struct tp_error *err)
{
    struct tp_error why = {0};
    int rc = call_named(e, "DELETE", "/volumes", name, "", NULL, &why);

    return rc < 0 && rc != -ENOENT ? tp_error_set(err, rc, "%s", why.text) : 0;
}
