#include "config.h"

#include "cli/image.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/archive.h"

#define IMAGE_REF     "tp-daemon:" PACKAGE_VERSION
#define IMAGE_ARCHIVE "tp-daemon.tar"
#define BUILD_LABEL   "internal.tp.build"

static char *archive_in(const char *dir, const char *below, const char *file)
{
    char *path;

    if (asprintf(&path, "%s%s/%s", dir, below, file) < 0)
        return NULL;
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *image_find_archive(const char *file)
{
    const char *dir = getenv("TP_IMAGE_DIR");
    char self[PATH_MAX], *path, *slash;
    ssize_t n;

    if (dir && *dir)
        return archive_in(dir, "", file);
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        slash = strrchr(self, '/');
        *slash = '\0';
        path = archive_in(self, "/build/images", file);
        if (!path)
            path = archive_in(self, "", file);
        if (!path) /* installed, whatever the prefix was when it was built */
            path = archive_in(self, "/../share/" PACKAGE, file);
        if (path)
            return path;
    }
    return archive_in(TP_PKGDATADIR, "", file);
}

/* 1: the engine has the build (or any, if build is NULL). 0: it has not. */
static int is_present(struct engine *e, const char *build, struct tp_error *err)
{
    cleanup_json struct json_object *image = NULL;
    struct json_object *labels, *label = NULL;
    int rc = engine_image_inspect(e, IMAGE_REF, &image, err);

    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    labels = json_get(image, "Config.Labels");
    if (labels)
        json_object_object_get_ex(labels, BUILD_LABEL, &label);
    return !build || (label && !strcmp(json_object_get_string(label), build));
}

int image_ensure(const struct cli *cli, struct engine *e, const char **ref,
                 struct tp_error *err)
{
    cleanup_free char *archive = image_find_archive(IMAGE_ARCHIVE),
                      *build = NULL;
    int rc;

    *ref = IMAGE_REF;
    if (archive && engine_archive_label(archive, BUILD_LABEL, &build, err) < 0)
        return err->code;
    rc = is_present(e, build, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!archive)
        return tp_error_set(err, -ENOENT,
                            "the image " IMAGE_REF " is not in Docker, and "
                            "tp finds no " IMAGE_ARCHIVE " to load; set "
                            "TP_IMAGE_DIR to where it is");
    cli_progress(cli, "Loading the image %s ...", IMAGE_REF);
    rc = engine_image_load(e, archive, err);
    if (rc == 0)
        rc = is_present(e, build, err);
    if (rc == 0)
        return tp_error_set(err, -EIO, "%s does not hold " IMAGE_REF, archive);
    return rc < 0 ? rc : 0;
}
