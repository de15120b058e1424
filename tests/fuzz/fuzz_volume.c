/*
 * What the volume plugin reads: options of a volume (Docker's JSON), the file
 * that keeps volumes, and what a broker says is served. The first byte says
 * which, the rest is the text.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "plugins/volume/served.h"
#include "plugins/volume/volumes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[64] = "/tmp/tp-fuzz-volume-XXXXXX";
static uv_loop_t loop;

static void remove_world(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (system(command) != 0)
        fputs("fuzz_volume: files remain\n", stderr);
}

static void start(void)
{
    log_set_level(-1);
    if (!mkdtemp(root) || uv_loop_init(&loop) < 0)
        abort();
    atexit(remove_world);
}

/* A volume's options are good, or one line says why not. */
static bool is_usable(const struct volume_options *o)
{
    return o->control ||
           (o->engagement && *o->engagement &&
            (!o->mount || *o->mount == '/') &&
            (!o->dir || (*o->dir != '/' && strncmp(o->dir, "../", 3) != 0)));
}

static void check_options(struct json_object *opts)
{
    struct tp_error err = {0};
    struct volume_options o;

    if (volume_options_parse(&o, "v", opts, &err) == 0) {
        if (!is_usable(&o))
            abort();
    } else if (!err.text[0] || strchr(err.text, '\n')) {
        abort();
    }
}

static void check_served(struct json_object *files)
{
    static const struct volume_options named = {.engagement = "e",
                                                .mount = "/d"};
    static const struct volume_options only = {.engagement = "e", .dir = "x"};
    struct tp_error err = {0};
    struct served s;

    if (served_choose(&s, &named, "v", files, &err) == 0 &&
        strncmp(s.path, "/d", 2) != 0)
        abort();
    served_release(&s);
    if (served_choose(&s, &only, "v", files, &err) == 0 && *s.path != '/')
        abort();
    served_release(&s);
}

static void remove_directories(const char *name)
{
    char path[128];
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
    if (dir)
        closedir(dir);
}

/* No name leads out of the two directories of volumes. */
static void check_paths(const struct volumes *vs)
{
    const struct volume *v;

    TAILQ_FOREACH(v, &vs->list, entry)
    {
        cleanup_free char *path = volume_path(v);

        if (!path || strncmp(path, root, strlen(root)) != 0 ||
            strchr(path + strlen(root) + strlen("/mnt/"), '/') ||
            !is_usable(&v->o))
            abort();
    }
}

static void check_state(const uint8_t *data, size_t size)
{
    struct volumes vs;
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/state.json", root);
    out = fopen(path, "w");
    if (!out || (size && fwrite(data, size, 1, out) != 1) || fclose(out) != 0)
        abort();
    if (volumes_load(&vs, &loop, root, NULL) == 0)
        check_paths(&vs);
    volumes_release(&vs);
    uv_run(&loop, UV_RUN_DEFAULT);
    remove_directories("mnt");
    remove_directories("ctl");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *obj;

    if (!loop.data) {
        start();
        loop.data = root;
    }
    if (size == 0)
        return 0;
    if (*data == 's') {
        check_state(data + 1, size - 1);
        return 0;
    }
    obj = json_parse_text((const char *)data + 1, size - 1, NULL);
    if (*data == 'o')
        check_options(obj);
    else
        check_served(obj);
    json_object_put(obj);
    return 0;
}
