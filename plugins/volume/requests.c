#include "requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "mounting.h"

#define ID_MAX 256

static struct json_object *make_error(const char *text)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "Err", text);
    return obj;
}

static void fail(struct server_request *r, const char *text)
{
    server_answer(r, 200, make_error(text));
}

static void done(struct server_request *r)
{
    fail(r, "");
}

/* NULL: it is not there, and that has been said. */
static struct volume *find(struct volumes *vs, struct server_request *r,
                           struct json_object *body)
{
    struct volume *v = volumes_find(vs, json_get_str(body, "Name", ""));

    if (!v)
        fail(r, "no such volume");
    return v;
}

/* ---- calls that are answered at once ------------------------------------- */

static void activate(struct volumes *vs, struct server_request *r,
                     struct json_object *body)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *list = json_object_new_array();

    (void)vs;
    (void)body;
    json_object_array_add(list, json_object_new_string("VolumeDriver"));
    json_object_object_add(obj, "Implements", list);
    server_answer(r, 200, obj);
}

static void capabilities(struct volumes *vs, struct server_request *r,
                         struct json_object *body)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *inner = json_object_new_object();

    (void)vs;
    (void)body;
    json_put_str(inner, "Scope", "local");
    json_object_object_add(obj, "Capabilities", inner);
    server_answer(r, 200, obj);
}

static void create(struct volumes *vs, struct server_request *r,
                   struct json_object *body)
{
    struct tp_error err = {0};

    if (volumes_create(vs, json_get_str(body, "Name", ""),
                       json_get(body, "Opts"), &err) < 0)
        fail(r, err.text);
    else
        done(r);
}

static void remove_volume(struct volumes *vs, struct server_request *r,
                          struct json_object *body)
{
    struct volume *v = find(vs, r, body);
    struct tp_error err = {0};

    if (!v)
        return;
    if (!mounting_is_idle(v->mounting))
        fail(r, "the volume is in use");
    else if (volumes_remove(vs, v, &err) < 0)
        fail(r, err.text);
    else
        done(r);
}

static void get(struct volumes *vs, struct server_request *r,
                struct json_object *body)
{
    struct volume *v = find(vs, r, body);
    struct json_object *obj;

    if (!v)
        return;
    obj = make_error("");
    json_object_object_add(obj, "Volume", volume_to_json(v));
    server_answer(r, 200, obj);
}

static void list(struct volumes *vs, struct server_request *r,
                 struct json_object *body)
{
    struct json_object *obj = make_error("");
    struct json_object *array = json_object_new_array();
    struct volume *v;

    (void)body;
    TAILQ_FOREACH(v, &vs->list, entry)
    json_object_array_add(array, volume_to_json(v));
    json_object_object_add(obj, "Volumes", array);
    server_answer(r, 200, obj);
}

static void answer_path(struct server_request *r, const struct volume *v)
{
    cleanup_free char *path = volume_path(v);
    struct json_object *obj = make_error("");

    json_put_str(obj, "Mountpoint", path);
    server_answer(r, 200, obj);
}

static void path_of(struct volumes *vs, struct server_request *r,
                    struct json_object *body)
{
    struct volume *v = find(vs, r, body);

    if (v)
        answer_path(r, v);
}

/* ---- mount and unmount --------------------------------------------------- */

struct pending {
    struct volumes *vs;
    struct server_request *r;
    char *name, *id;
};

static void pending_free(struct pending *p)
{
    free(p->name);
    free(p->id);
    free(p);
}

/* NULL: that has been said. */
static struct pending *pending_new(struct volumes *vs, struct server_request *r,
                                   struct volume *v, struct json_object *body)
{
    const char *id = json_get_str(body, "ID", "");
    struct pending *p;

    if (strlen(id) > ID_MAX) {
        fail(r, "the id is too long");
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (p) {
        p->vs = vs;
        p->r = r;
        p->name = strdup(v->name);
        p->id = strdup(id);
    }
    if (p && p->name && p->id)
        return p;
    if (p)
        pending_free(p);
    fail(r, "out of memory");
    return NULL;
}

static void ignored_cb(void *arg, const char *error)
{
    (void)arg;
    if (error)
        log_warn("%s", error);
}

/* A mount that nobody waits for any more is taken back: Docker knows nothing of
 * it and would never do that. */
static void mounted_cb(void *arg, const char *error)
{
    struct pending *p = arg;
    struct volume *v = volumes_find(p->vs, p->name);
    struct json_object *obj = make_error(error ? error : "");
    cleanup_free char *path = v ? volume_path(v) : NULL;

    if (error)
        log_warn("volume %s: %s", p->name, error);
    else
        json_put_str(obj, "Mountpoint", path);
    if (!server_answer(p->r, 200, obj) && !error && v)
        mounting_unmount(v->mounting, p->id, ignored_cb, NULL);
    pending_free(p);
}

static void unmounted_cb(void *arg, const char *error)
{
    struct pending *p = arg;

    if (error)
        log_error("volume %s: %s", p->name, error);
    fail(p->r, error ? error : "");
    pending_free(p);
}

static void mount_volume(struct volumes *vs, struct server_request *r,
                         struct json_object *body)
{
    struct volume *v = find(vs, r, body);
    struct pending *p;

    if (v && v->o.control) {
        answer_path(r, v);
        return;
    }
    p = v ? pending_new(vs, r, v, body) : NULL;
    if (p)
        mounting_mount(v->mounting, p->id, mounted_cb, p);
}

static void unmount_volume(struct volumes *vs, struct server_request *r,
                           struct json_object *body)
{
    struct volume *v = find(vs, r, body);
    struct pending *p;

    if (v && v->o.control) {
        done(r);
        return;
    }
    p = v ? pending_new(vs, r, v, body) : NULL;
    if (p)
        mounting_unmount(v->mounting, p->id, unmounted_cb, p);
}

/* ---- the table ----------------------------------------------------------- */

static const struct {
    const char *path;
    void (*run)(struct volumes *vs, struct server_request *r,
                struct json_object *body);
} calls[] = {
    {"/Plugin.Activate", activate},
    {"/VolumeDriver.Capabilities", capabilities},
    {"/VolumeDriver.Create", create},
    {"/VolumeDriver.Remove", remove_volume},
    {"/VolumeDriver.Get", get},
    {"/VolumeDriver.List", list},
    {"/VolumeDriver.Path", path_of},
    {"/VolumeDriver.Mount", mount_volume},
    {"/VolumeDriver.Unmount", unmount_volume},
};

void requests_handle(void *arg, struct server_request *r, const char *path,
                     struct json_object *body)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].path, path) != 0)
            continue;
        calls[i].run(arg, r, body);
        return;
    }
    server_answer(r, 404, make_error("there is no such call"));
}
