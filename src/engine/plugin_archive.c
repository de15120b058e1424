/* plugin_archive.c - the archive of a plugin, read and copied by libarchive */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/plugin.h"

#define CONFIG     "config.json"
#define CONFIG_MAX (256 * 1024)
#define CHUNK      65536

struct copy {
    struct archive *from, *to;
};

/* "./" before a member's name does not matter. */
static const char *name_of(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);

    if (!path)
        return "";
    return !strncmp(path, "./", 2) ? path + 2 : path;
}

static struct archive *open_archive(const char *path, struct tp_error *err)
{
    struct archive *a = archive_read_new();

    if (!a) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    archive_read_support_filter_all(a);
    archive_read_support_format_tar(a);
    if (archive_read_open_filename(a, path, CHUNK) == ARCHIVE_OK)
        return a;
    tp_error_set(err, -EIO, "plugin archive %s: %s", path,
                 archive_error_string(a));
    archive_read_free(a);
    return NULL;
}

/* The member that the archive stands at. Owned. */
static struct json_object *read_config(struct archive *a, struct tp_error *err)
{
    cleanup_free char *text = malloc(CONFIG_MAX);
    la_ssize_t n = text ? archive_read_data(a, text, CONFIG_MAX) : -1;

    if (n < 0 || n == CONFIG_MAX) {
        tp_error_set(err, -EIO, CONFIG " in it cannot be read");
        return NULL;
    }
    return json_parse_text(text, (size_t)n, err);
}

static char *find_env(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *key =
            json_get_str(item, "name", json_get_str(item, "Name", ""));

        if (!strcmp(key, name))
            return strdup(
                json_get_str(item, "value", json_get_str(item, "Value", "")));
    }
    return NULL;
}

char *engine_plugin_env(struct json_object *plugin, const char *name)
{
    return find_env(json_get_array(plugin, "Config.Env"), name);
}

int engine_plugin_archive_env(const char *path, const char *name, char **out,
                              struct tp_error *err)
{
    struct archive *a = open_archive(path, err);
    struct archive_entry *entry;
    int rc = -ENOENT;

    *out = NULL;
    if (!a)
        return err->code;
    while (rc == -ENOENT && archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        cleanup_json struct json_object *config = NULL;

        if (strcmp(name_of(entry), CONFIG) != 0)
            continue;
        config = read_config(a, err);
        rc = config ? 0 : -EIO;
        *out = find_env(json_get_array(config, "env"), name);
    }
    archive_read_free(a);
    if (rc == -ENOENT)
        return tp_error_set(err, rc, "plugin archive %s: no " CONFIG " in it",
                            path);
    return rc;
}

/* ---- copying ------------------------------------------------------------- */

static int failed(struct archive *a, struct tp_error *err)
{
    const char *text = archive_error_string(a);

    return tp_error_set(err, -EIO, "plugin archive: %s",
                        text ? text : "failed");
}

static int write_data(struct copy *c, const void *data, size_t len,
                      struct tp_error *err)
{
    return archive_write_data(c->to, data, len) == (la_ssize_t)len
               ? 0
               : failed(c->to, err);
}

static int add_text(struct copy *c, const char *path, const char *text,
                    unsigned mode, struct tp_error *err)
{
    struct archive_entry *entry = archive_entry_new();
    size_t len = strlen(text);
    int rc = 0;

    if (!entry)
        return tp_error_set(err, -ENOMEM, "out of memory");
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, (mode_t)mode);
    archive_entry_set_size(entry, (la_int64_t)len);
    if (archive_write_header(c->to, entry) != ARCHIVE_OK)
        rc = failed(c->to, err);
    archive_entry_free(entry);
    return rc == 0 ? write_data(c, text, len, err) : rc;
}

static int copy_config(struct copy *c, const char *name, const char *value,
                       struct tp_error *err)
{
    cleanup_json struct json_object *config = read_config(c->from, err);
    struct json_object *item = json_object_new_object();
    struct json_object *list = json_get_array(config, "env");

    if (!list) {
        json_object_put(item);
        return tp_error_set(err, -EIO, "plugin archive: no env in " CONFIG);
    }
    json_put_str(item, "name", name);
    json_put_str(item, "description", "");
    json_put_str(item, "value", value);
    json_object_array_add(list, item);
    return add_text(c, CONFIG, json_to_text(config), 0644, err);
}

static int copy_member(struct copy *c, struct archive_entry *entry,
                       struct tp_error *err)
{
    cleanup_free char *chunk = malloc(CHUNK);
    la_ssize_t n;

    if (!chunk)
        return tp_error_set(err, -ENOMEM, "out of memory");
    /* The reader numbers members as device 1, inode 1, 2, ...; soon after a
       boot that is the memfd written to, too, and libarchive would take the
       member for it. No file is on device 0. */
    archive_entry_set_dev(entry, 0);
    if (archive_write_header(c->to, entry) != ARCHIVE_OK)
        return failed(c->to, err);
    while ((n = archive_read_data(c->from, chunk, CHUNK)) > 0) {
        if (write_data(c, chunk, (size_t)n, err) < 0)
            return err->code;
    }
    return n < 0 ? failed(c->from, err) : 0;
}

static int copy_all(struct copy *c, const char *env_name, const char *env_value,
                    struct tp_error *err)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = archive_read_next_header(c->from, &entry)) == ARCHIVE_OK) {
        rc = strcmp(name_of(entry), CONFIG) != 0
                 ? copy_member(c, entry, err)
                 : copy_config(c, env_name, env_value, err);
        if (rc < 0)
            return rc;
    }
    return rc == ARCHIVE_EOF ? 0 : failed(c->from, err);
}

static int fill(struct copy *c, int fd, const struct engine_plugin_file *files,
                size_t count, const char *env_name, const char *env_value,
                struct tp_error *err)
{
    int rc;

    archive_write_set_format_gnutar(c->to);
    if (archive_write_open_fd(c->to, fd) != ARCHIVE_OK)
        return failed(c->to, err);
    rc = copy_all(c, env_name, env_value, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cleanup_free char *path = NULL;

        if (asprintf(&path, "rootfs/%s", files[i].path) < 0) {
            path = NULL;
            return tp_error_set(err, -ENOMEM, "out of memory");
        }
        rc = add_text(c, path, files[i].text, 0600, err);
    }
    if (rc == 0 && archive_write_close(c->to) != ARCHIVE_OK)
        rc = failed(c->to, err);
    return rc;
}

int engine_plugin_archive_fill(const char *path,
                               const struct engine_plugin_file *files,
                               size_t count, const char *env_name,
                               const char *env_value, struct tp_error *err)
{
    struct copy c = {.from = open_archive(path, err)};
    int fd, rc;

    if (!c.from)
        return err->code;
    c.to = archive_write_new();
    fd = memfd_create("tp-volume.tar", MFD_CLOEXEC);
    if (!c.to || fd < 0)
        rc = tp_error_errno(err, fd < 0 ? -errno : -ENOMEM, "plugin archive");
    else
        rc = fill(&c, fd, files, count, env_name, env_value, err);
    archive_read_free(c.from);
    archive_write_free(c.to);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return rc;
}
