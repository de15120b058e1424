#include "volumes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "mounting.h"

#define STATE_FILE     "state.json"
#define STATE_MAX      (4 * 1024 * 1024)
#define COUNT_MAX      1000
#define DEFAULT_DAEMON "tp-daemon"

/* ---- the file ------------------------------------------------------------ */

static struct json_object *to_state(const struct volumes *vs)
{
    struct json_object *state = json_object_new_object();
    struct json_object *list = json_object_new_array();
    const struct volume *v;

    json_object_object_add(state, "version", json_object_new_int(1));
    json_object_object_add(state, "volumes", list);
    TAILQ_FOREACH(v, &vs->list, entry)
    {
        struct json_object *item = json_object_new_object();

        json_put_str(item, "name", v->name);
        json_put_str(item, "created", v->created);
        json_object_object_add(item, "options", json_object_get(v->opts));
        json_object_array_add(list, item);
    }
    return state;
}

static int save(const struct volumes *vs, struct tp_error *err)
{
    cleanup_json struct json_object *state = to_state(vs);
    cleanup_free char *path = NULL;
    int rc;

    if (asprintf(&path, "%s/" STATE_FILE, vs->root) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    rc = file_replace(path, json_to_text(state), true);
    return rc < 0
               ? tp_error_errno(err, rc, "cannot keep the volumes in %s", path)
               : 0;
}

/* ---- one volume ---------------------------------------------------------- */

static void volume_free(struct volume *v)
{
    if (!v)
        return;
    mounting_destroy(v->mounting);
    free(v->name);
    free(v->created);
    json_object_put(v->opts);
    free(v);
}

static struct volume *volume_new(struct volumes *vs, const char *name,
                                 const char *created, struct json_object *opts,
                                 struct tp_error *err)
{
    struct volume *v = calloc(1, sizeof(*v));

    if (v) {
        v->all = vs;
        v->name = strdup(name);
        v->created = strdup(created);
        v->opts = opts ? json_object_get(opts) : json_object_new_object();
        v->mounting = mounting_create(v);
    }
    if (!v || !v->name || !v->created || !v->opts || !v->mounting) {
        tp_error_set(err, -ENOMEM, "out of memory");
    } else if (volume_options_parse(&v->o, name, v->opts, err) == 0) {
        return v;
    }
    volume_free(v);
    return NULL;
}

static void add(struct volumes *vs, struct volume *v)
{
    TAILQ_INSERT_TAIL(&vs->list, v, entry);
    vs->count++;
}

static void drop(struct volumes *vs, struct volume *v)
{
    TAILQ_REMOVE(&vs->list, v, entry);
    vs->count--;
    volume_free(v);
}

char *volume_path(const struct volume *v)
{
    char *path;

    return asprintf(&path, "%s/%s/%s", v->all->root,
                    v->o.control ? "ctl" : "mnt", v->name) < 0
               ? NULL
               : path;
}

static int make_directory(const struct volume *v, struct tp_error *err)
{
    cleanup_free char *path = volume_path(v);

    if (!path)
        return tp_error_set(err, -ENOMEM, "out of memory");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return tp_error_errno(err, -errno, "%s", path);
    return 0;
}

/* What daemons left behind; others' files stay, and the directory with them. */
static void remove_sockets(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *dot = strrchr(entry->d_name, '.');

        if (dot && !strcmp(dot, ".sock"))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

struct json_object *volume_to_json(const struct volume *v)
{
    struct json_object *obj = json_object_new_object();
    cleanup_free char *path = volume_path(v);

    json_put_str(obj, "Name", v->name);
    json_put_str(obj, "CreatedAt", v->created);
    json_put_str(obj, "Mountpoint",
                 v->o.control || mounting_is_up(v->mounting) ? path : "");
    return obj;
}

/* ---- all of them --------------------------------------------------------- */

static void load_one(struct volumes *vs, struct json_object *item)
{
    const char *name = json_get_str(item, "name", "");
    struct tp_error err = {0};
    struct volume *v = volume_new(vs, name, json_get_str(item, "created", ""),
                                  json_get(item, "options"), &err);

    if (v && make_directory(v, &err) == 0)
        add(vs, v);
    else
        log_warn("volume %.80s is forgotten: %s", name, err.text);
    if (v && *err.text)
        volume_free(v);
}

static int make_root(const char *root, struct tp_error *err)
{
    static const char *const dirs[] = {"", "/ctl", "/mnt"};

    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        cleanup_free char *path = NULL;

        if (asprintf(&path, "%s%s", root, dirs[i]) < 0) {
            path = NULL;
            return tp_error_set(err, -ENOMEM, "out of memory");
        }
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return tp_error_errno(err, -errno, "%s", path);
    }
    return 0;
}

int volumes_load(struct volumes *vs, uv_loop_t *loop, const char *root,
                 struct tp_error *err)
{
    cleanup_free char *path = NULL, *text = NULL;
    cleanup_json struct json_object *state = NULL;
    struct tp_error why = {0};
    struct json_object *list;
    size_t len = 0;
    int rc;

    memset(vs, 0, sizeof(*vs));
    TAILQ_INIT(&vs->list);
    vs->loop = loop;
    vs->broker_program = "/usr/bin/tp-volume";
    vs->mount_program = "/usr/bin/tp-mount";
    vs->root = strdup(root);
    if (!vs->root || asprintf(&path, "%s/" STATE_FILE, root) < 0)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = make_root(root, err);
    if (rc < 0)
        return rc;
    rc = file_read(path, STATE_MAX, &text, &len, &why);
    if (rc == 0)
        state = json_parse_text(text, len, &why);
    if (rc < 0 && rc != -ENOENT)
        return tp_error_set(err, rc, "%s", why.text);
    if (rc == 0 && !state)
        log_error("%s: %s: no volume is known", path, why.text);
    list = json_get_array(state, "volumes");
    for (size_t i = 0; i < json_array_len(list) && i < COUNT_MAX; i++)
        load_one(vs, json_object_array_get_idx(list, i));
    return 0;
}

void volumes_release(struct volumes *vs)
{
    struct volume *v;

    while ((v = TAILQ_FIRST(&vs->list)))
        drop(vs, v);
    free(vs->root);
    vs->root = NULL;
}

struct volume *volumes_find(const struct volumes *vs, const char *name)
{
    struct volume *v;

    TAILQ_FOREACH(v, &vs->list, entry)
    if (!strcmp(v->name, name))
        return v;
    return NULL;
}

static void now_text(char out[32])
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int add_new(struct volumes *vs, const char *name,
                   struct json_object *opts, struct tp_error *err)
{
    struct volume *v;
    char now[32];
    int rc;

    if (vs->count >= COUNT_MAX)
        return tp_error_set(err, -ENOSPC, "there are %d volumes already",
                            COUNT_MAX);
    now_text(now);
    v = volume_new(vs, name, now, opts, err);
    if (!v)
        return err->code;
    add(vs, v);
    rc = make_directory(v, err);
    if (rc == 0)
        rc = save(vs, err);
    if (rc < 0)
        drop(vs, v);
    return rc;
}

int volumes_create(struct volumes *vs, const char *name,
                   struct json_object *opts, struct tp_error *err)
{
    cleanup_json struct json_object *none = json_object_new_object();
    struct volume *v = volumes_find(vs, name);

    if (!v)
        return add_new(vs, name, opts, err);
    if (json_object_equal(v->opts, opts ? opts : none))
        return 0;
    return tp_error_set(err, -EEXIST,
                        "the volume %s exists with other options: docker "
                        "volume rm %s",
                        name, name);
}

int volumes_remove(struct volumes *vs, struct volume *v, struct tp_error *err)
{
    cleanup_free char *path = volume_path(v);
    int rc;

    if (!path)
        return tp_error_set(err, -ENOMEM, "out of memory");
    TAILQ_REMOVE(&vs->list, v, entry);
    rc = save(vs, err);
    TAILQ_INSERT_TAIL(&vs->list, v, entry);
    if (rc < 0)
        return rc;
    if (v->o.control)
        remove_sockets(path);
    if (rmdir(path) < 0)
        log_warn("%s: %s", path, strerror(errno));
    drop(vs, v);
    return 0;
}

/* ---- daemons ------------------------------------------------------------- */

static int none_found(const struct volumes *vs, const char *wanted,
                      struct tp_error *err)
{
    char names[200] = "";
    const struct volume *v;

    TAILQ_FOREACH(v, &vs->list, entry)
    {
        if (v->o.control)
            snprintf(names + strlen(names), sizeof(names) - strlen(names),
                     " %s", v->name + strlen(CONTROL_PREFIX));
    }
    if (wanted)
        return tp_error_set(err, -ENOENT,
                            "the daemon %s is not connected with volumes: tp "
                            "connect --name %s (after tp quit, if it was there "
                            "before tp volume install)",
                            wanted, wanted);
    if (*names)
        return tp_error_set(err, -ENOENT,
                            "there is more than one daemon: give -o "
                            "daemon=NAME, one of%s",
                            names);
    return tp_error_set(err, -ENOENT,
                        "no daemon is connected with volumes: run tp connect "
                        "(after tp quit, if it was there before tp volume "
                        "install)");
}

char *volumes_control_dir(const struct volumes *vs, const char *wanted,
                          struct tp_error *err)
{
    const struct volume *v, *found = NULL, *usual = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(v, &vs->list, entry)
    {
        const char *daemon = v->name + strlen(CONTROL_PREFIX);

        if (!v->o.control || (wanted && strcmp(wanted, daemon) != 0))
            continue;
        found = v;
        count++;
        if (!strcmp(daemon, DEFAULT_DAEMON))
            usual = v;
    }
    if (count != 1)
        found = usual;
    if (!found) {
        none_found(vs, wanted, err);
        return NULL;
    }
    return volume_path(found);
}
