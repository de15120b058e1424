#include "sftpd/exports.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
#define RETRIES 8 /* EAGAIN: something was renamed meanwhile, openat2(2) */

static int open_beneath(int dir, const char *rel, int flags, mode_t mode,
                        uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOCTTY),
        .mode = flags & O_CREAT ? mode & 07777 : 0,
        .resolve = resolve,
    };
    long fd = -1;

    if (flags & O_PATH)
        how.flags &= ~(uint64_t)O_NOCTTY;
    for (int i = 0; i < RETRIES; i++) {
        fd = syscall(SYS_openat2, dir, rel, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd >= 0)
        return (int)fd;
    return errno == EXDEV ? -EACCES : -errno;
}

/* ---- exports --------------------------------------------------------------
 */

static bool is_plain(const char *path)
{
    char again[SFTPD_PATH_SIZE];
    struct sftp_text text = {path, (uint32_t)strlen(path)};

    return sftpd_path_read(text, again) == 0 && !strcmp(again, path);
}

int sftpd_exports_add(struct sftpd_exports *x, const char *path,
                      const char *source, bool read_only, struct tp_error *err)
{
    struct sftpd_export *e = &x->list[x->count];

    if (x->count == SFTPD_EXPORTS_MAX)
        return tp_error_set(err, -ENOSPC, "more than %d exports",
                            SFTPD_EXPORTS_MAX);
    if (!is_plain(path) || !is_plain(source) || !strcmp(path, "/"))
        return tp_error_set(err, -EINVAL, "%s at %s: not plain absolute paths",
                            source, path);
    *e = (struct sftpd_export){
        .path = strdup(path),
        .source = strdup(source),
        .read_only = read_only,
        .root = -1,
    };
    x->count++;
    if (!e->path || !e->source)
        return tp_error_errno(err, -ENOMEM, "exports");
    return 0;
}

static int open_root(struct sftpd_export *e)
{
    struct stat st;
    char *slash;

    if (lstat(e->source, &st) < 0)
        return -errno;
    e->is_file = S_ISREG(st.st_mode);
    if (!e->is_file && !S_ISDIR(st.st_mode))
        return -ENOTDIR;
    if (!e->is_file) {
        e->root = open(e->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return e->root < 0 ? -errno : 0;
    }
    slash = strrchr(e->source, '/');
    *slash = '\0';
    e->root =
        open(*e->source ? e->source : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    return e->root < 0 ? -errno : 0;
}

void sftpd_exports_open(struct sftpd_exports *x)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->count; i++) {
        struct sftpd_export *e = &x->list[i];
        int rc = open_root(e);

        if (rc == 0) {
            x->list[kept++] = *e;
            continue;
        }
        log_warn("%s is not served: %s", e->path, strerror(-rc));
        free(e->path);
        free(e->source);
    }
    x->count = kept;
}

void sftpd_exports_release(struct sftpd_exports *x)
{
    for (size_t i = 0; i < x->count; i++) {
        free(x->list[i].path);
        free(x->list[i].source);
        if (x->list[i].root >= 0)
            close(x->list[i].root);
    }
    x->count = 0;
}

/* ---- places ---------------------------------------------------------------
 */

static const struct sftpd_export *longest(const struct sftpd_exports *x,
                                          const char *path, const char **rel)
{
    const struct sftpd_export *best = NULL;

    for (size_t i = 0; i < x->count; i++) {
        const char *below = sftpd_path_below(path, x->list[i].path);

        if (!below || (best && strlen(best->path) > strlen(x->list[i].path)))
            continue;
        best = &x->list[i];
        *rel = below;
    }
    return best;
}

static bool is_above(const struct sftpd_exports *x, const char *path)
{
    if (!strcmp(path, "/"))
        return true;
    for (size_t i = 0; i < x->count; i++) {
        if (sftpd_path_below(x->list[i].path, path))
            return true;
    }
    return false;
}

int sftpd_place_find(const struct sftpd_exports *x, struct sftp_text path,
                     struct sftpd_place *out)
{
    int rc = sftpd_path_read(path, out->path);

    if (rc < 0)
        return rc;
    out->exports = x;
    out->rel = "";
    out->export = longest(x, out->path, &out->rel);
    if (!out->export)
        return is_above(x, out->path) ? 0 : -ENOENT;
    if (out->export->is_file && *out->rel)
        return -ENOTDIR;
    return 0;
}

int sftpd_place_writable(const struct sftpd_place *p)
{
    return !p->export || p->export->read_only ? -EROFS : 0;
}

int sftpd_place_open(const struct sftpd_place *p, int flags, mode_t mode)
{
    const struct sftpd_export *e = p->export;

    if (!e)
        return -EISDIR;
    /* A file is mounted alone: its mount is what must be crossed. */
    if (e->is_file)
        return open_beneath(e->root, strrchr(e->source, '/') + 1, flags, mode,
                            BENEATH | RESOLVE_NO_SYMLINKS);
    return open_beneath(e->root, *p->rel ? p->rel : ".", flags, mode,
                        BENEATH | RESOLVE_NO_XDEV);
}

int sftpd_place_parent(const struct sftpd_place *p, const char **name)
{
    char dir[SFTPD_PATH_SIZE];
    const char *slash;

    if (!p->export || !*p->rel)
        return -EBUSY;
    slash = strrchr(p->rel, '/');
    *name = slash ? slash + 1 : p->rel;
    if (!slash)
        return open_beneath(p->export->root, ".", O_PATH | O_DIRECTORY, 0,
                            BENEATH | RESOLVE_NO_XDEV);
    memcpy(dir, p->rel, (size_t)(slash - p->rel));
    dir[slash - p->rel] = '\0';
    return open_beneath(p->export->root, dir, O_PATH | O_DIRECTORY, 0,
                        BENEATH | RESOLVE_NO_XDEV);
}

/* The first part of what is below; does an export before it give the same? */
static bool is_first(const struct sftpd_place *p, size_t index,
                     const char *name, size_t len)
{
    for (size_t i = 0; i < index; i++) {
        const char *other = sftpd_path_below(p->exports->list[i].path, p->path);

        if (other && strcspn(other, "/") == len && !memcmp(other, name, len))
            return false;
    }
    return true;
}

int sftpd_place_children(const struct sftpd_place *p,
                         int (*cb)(void *arg, const char *name, size_t len),
                         void *arg)
{
    for (size_t i = 0; i < p->exports->count; i++) {
        const char *name = sftpd_path_below(p->exports->list[i].path, p->path);
        size_t len = name ? strcspn(name, "/") : 0;
        int rc = 0;

        if (len > 0 && is_first(p, i, name, len))
            rc = cb(arg, name, len);
        if (rc < 0)
            return rc;
    }
    return 0;
}
