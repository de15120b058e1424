/* chart_archive.c - unpack the carried chart, and remove it again */
#include "cli/chart_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/cleanup.h"
#include "base/file.h"

#define MAX_ENTRIES   1000
#define MAX_FILE_SIZE (4 << 20)

static void cleanup_archive_fn(struct archive **a)
{
    archive_read_free(*a);
}
#define cleanup_archive __attribute__((cleanup(cleanup_archive_fn)))

static int bad_archive(struct archive *a, struct tp_error *err)
{
    const char *why = archive_error_string(a);

    return tp_error_set(err, -EBADMSG, "the chart's archive is damaged: %s",
                        why ? why : "unknown format");
}

/* Relative, and without a component "..". */
static bool is_inside(const char *name)
{
    if (!name || !*name || *name == '/')
        return false;
    for (const char *c = name; c; c = strchr(c, '/')) {
        c += *c == '/';
        if (!strncmp(c, "..", 2) && (c[2] == '/' || !c[2]))
            return false;
    }
    return true;
}

static int copy_file(struct archive *a, int dirfd, const char *name,
                     struct tp_error *err)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    cleanup_close int fd = openat(dirfd, name, flags, 0600);
    size_t total = 0;
    char data[16384];
    la_ssize_t n;

    if (fd < 0)
        return tp_error_errno(err, -errno, "cannot create %s", name);
    while ((n = archive_read_data(a, data, sizeof(data))) > 0) {
        int rc;

        total += (size_t)n;
        if (total > MAX_FILE_SIZE)
            return tp_error_set(err, -EBADMSG, "%s is too large", name);
        rc = file_write_all(fd, data, (size_t)n);
        if (rc < 0)
            return tp_error_errno(err, rc, "cannot write %s", name);
    }
    return n < 0 ? bad_archive(a, err) : 0;
}

static int unpack_entry(struct archive *a, struct archive_entry *entry,
                        int dirfd, struct tp_error *err)
{
    const char *name = archive_entry_pathname(entry);
    mode_t type = archive_entry_filetype(entry);

    if (!is_inside(name))
        return tp_error_set(err, -EBADMSG,
                            "the chart's archive has the name "
                            "'%s'",
                            name ? name : "");
    if (archive_entry_hardlink(entry) || (type != AE_IFDIR && type != AE_IFREG))
        return tp_error_set(err, -EBADMSG, "%s is not a regular file", name);
    if (type == AE_IFREG)
        return copy_file(a, dirfd, name, err);
    if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
        return tp_error_errno(err, -errno, "cannot create %s", name);
    return 0;
}

int chart_archive_unpack(const void *data, size_t len, const char *dir,
                         struct tp_error *err)
{
    cleanup_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_archive struct archive *a = archive_read_new();
    struct archive_entry *entry;
    int rc;

    if (dirfd < 0)
        return tp_error_errno(err, -errno, "cannot open %s", dir);
    if (!a)
        return tp_error_set(err, -ENOMEM, "out of memory");
    archive_read_support_filter_gzip(a);
    archive_read_support_format_tar(a);
    if (archive_read_open_memory(a, data, len) != ARCHIVE_OK)
        return bad_archive(a, err);
    for (int count = 0; count < MAX_ENTRIES; count++) {
        rc = archive_read_next_header(a, &entry);
        if (rc == ARCHIVE_EOF)
            return 0;
        if (rc != ARCHIVE_OK)
            return bad_archive(a, err);
        rc = unpack_entry(a, entry, dirfd, err);
        if (rc < 0)
            return rc;
    }
    return tp_error_set(err, -EBADMSG,
                        "the chart's archive has too many "
                        "entries");
}

static char *make_directory(struct tp_error *err)
{
    const char *base = getenv("TMPDIR");
    cleanup_free char *path = NULL;
    char *made;

    if (asprintf(&path, "%s/tp-chart.XXXXXX", base && *base ? base : "/tmp") <
        0) {
        path = NULL;
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (!mkdtemp(path)) {
        tp_error_errno(err, -errno, "cannot make a directory %s", path);
        return NULL;
    }
    made = path;
    path = NULL;
    return made;
}

int chart_archive_extract(char **dir, struct tp_error *err)
{
    char *path = make_directory(err);
    int rc;

    if (!path)
        return err && err->code ? err->code : -EIO;
    rc =
        chart_archive_unpack(chart_archive_data, chart_archive_size, path, err);
    if (rc < 0) {
        chart_archive_remove(path);
        free(path);
        return rc;
    }
    *dir = path;
    return 0;
}

static int remove_cb(const char *path, const struct stat *st, int type,
                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

int chart_archive_remove(const char *dir)
{
    int rc = nftw(dir, remove_cb, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

    if (rc == -1)
        return errno == ENOENT ? 0 : -errno;
    return rc;
}
