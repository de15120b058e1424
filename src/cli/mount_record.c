#include "cli/mount_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/state.h"

#define RECORD_MAX 65536

extern char **environ;

/* ---- the directory ---- */

static bool is_mine(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid() && !(st.st_mode & 022);
}

/* Owned; NULL: there is no place for it. */
static char *base_path(void)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char *path = NULL;

    if (!run || *run != '/' || !is_mine(run))
        return state_path("run", false);
    return asprintf(&path, "%s/tp", run) < 0 ? NULL : path;
}

char *mount_record_directory(const char *id, struct tp_error *err)
{
    cleanup_free char *base = base_path();
    char *path = NULL;

    if (!base || asprintf(&path, "%s/%s", base, id) < 0) {
        tp_error_set(err, -ENOENT,
                     "no directory for mounts: set XDG_RUNTIME_DIR or HOME");
        return NULL;
    }
    state_make_parents(path);
    if ((mkdir(path, 0700) == 0 || errno == EEXIST) && is_mine(base) &&
        is_mine(path))
        return path;
    tp_error_set(err, -EACCES, "%s: cannot be made, or is not only yours",
                 path);
    free(path);
    return NULL;
}

static char *file_in(const char *dir, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* ---- the lock ---- */

int mount_record_lock(const char *dir, struct tp_error *err)
{
    cleanup_free char *path = file_in(dir, "lock");
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return tp_error_errno(err, -errno, "%s/lock", dir);
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return 0; /* fd stays open with the process */
    close(fd);
    return tp_error_set(err, -EBUSY, "its files are served already");
}

static pid_t holder(const char *dir)
{
    cleanup_free char *path = file_in(dir, "lock");
    cleanup_close int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fd < 0 || fcntl(fd, F_GETLK, &whole) < 0 || whole.l_type == F_UNLCK)
        return 0;
    return whole.l_pid;
}

/* ---- the record ---- */

int mount_record_write(const char *dir, const struct mount_record *r,
                       struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    cleanup_free char *path = file_in(dir, "record");
    int rc;

    json_put_str(obj, "container", r->container);
    json_put_str(obj, "engagement", r->engagement);
    json_put_str(obj, "path", r->path);
    json_object_object_add(obj, "readOnly",
                           json_object_new_boolean(r->read_only));
    json_object_object_add(obj, "made", json_object_new_boolean(r->made));
    json_object_object_add(obj, "port", json_object_new_int(r->port));
    rc = path ? file_replace(path, json_to_text(obj), false) : -ENOMEM;
    return rc < 0 ? tp_error_errno(err, rc, "%s/record", dir) : 0;
}

static char *copy(struct json_object *obj, const char *key)
{
    const char *text = json_get_str(obj, key, NULL);

    return text ? strdup(text) : NULL;
}

static bool read_record(struct mount_record *r, const char *dir)
{
    cleanup_json struct json_object *obj = NULL;
    cleanup_free char *path = file_in(dir, "record"), *text = NULL;
    size_t len;

    memset(r, 0, sizeof(*r));
    if (!path || file_read(path, RECORD_MAX, &text, &len, NULL) < 0)
        return false;
    obj = json_parse_text(text, len, NULL);
    r->dir = strdup(dir);
    r->container = copy(obj, "container");
    r->engagement = copy(obj, "engagement");
    r->path = copy(obj, "path");
    r->read_only = json_get_bool(obj, "readOnly", false);
    r->made = json_get_bool(obj, "made", false);
    r->port = (int)json_get_int(obj, "port", 0);
    r->pid = holder(dir);
    return r->dir && r->container && r->engagement;
}

void mount_record_release(struct mount_record *r)
{
    free(r->dir);
    free(r->container);
    free(r->engagement);
    free(r->path);
    memset(r, 0, sizeof(*r));
}

void mount_record_lost(const char *dir, const char *text)
{
    cleanup_free char *path = file_in(dir, "lost");
    cleanup_free char *key = file_in(dir, "key");
    FILE *out = path ? fopen(path, "we") : NULL;

    if (key)
        unlink(key);
    if (!out)
        return;
    fputs(text, out);
    fclose(out);
}

/* ---- all of them ---- */

typedef int record_cb(void *arg, struct mount_record *r);

/* Until cb returns other than 0, which is returned. */
static int each(record_cb *cb, void *arg)
{
    cleanup_free char *base = base_path();
    DIR *list = base ? opendir(base) : NULL;
    struct dirent *entry;
    int rc = 0;

    while (list && rc == 0 && (entry = readdir(list))) {
        cleanup_free char *dir = NULL;
        struct mount_record r = {0};

        if (*entry->d_name == '.')
            continue;
        dir = file_in(base, entry->d_name);
        if (dir && read_record(&r, dir))
            rc = cb(arg, &r);
        mount_record_release(&r);
    }
    if (list)
        closedir(list);
    return rc;
}

struct wanted {
    const char *container, *name, *path;
    struct mount_record *out;
};

static int match_cb(void *arg, struct mount_record *r)
{
    struct wanted *w = arg;

    if (r->pid == 0 || (w->container && strcmp(w->container, r->container)) ||
        (w->name && strcmp(w->name, r->engagement)) ||
        (w->path && (!r->path || strcmp(w->path, r->path))))
        return 0;
    *w->out = *r;
    memset(r, 0, sizeof(*r));
    return 1;
}

int mount_record_find(struct mount_record *out, const char *container,
                      const char *name)
{
    struct wanted w = {.container = container, .name = name, .out = out};

    memset(out, 0, sizeof(*out));
    return each(match_cb, &w);
}

int mount_record_find_path(struct mount_record *out, const char *path)
{
    struct wanted w = {.path = path, .out = out};

    memset(out, 0, sizeof(*out));
    return each(match_cb, &w);
}

/* ---- what is mounted ---- */

/* *ours: by tp-mount. */
static bool find_mount(const char *path, bool *ours)
{
    FILE *table = setmntent("/proc/self/mounts", "re");
    struct mntent entry;
    char text[8192];
    bool found = false;

    while (table && getmntent_r(table, &entry, text, sizeof(text))) {
        if (strcmp(entry.mnt_dir, path) != 0)
            continue;
        found = true;
        *ours = !strcmp(entry.mnt_type, "fuse.tp-mount");
    }
    if (table)
        endmntent(table);
    return found;
}

bool mount_record_is_mounted(const char *path)
{
    bool ours;

    return find_mount(path, &ours);
}

static int unmount(const char *path)
{
    char *const argv[] = {(char[]){"fusermount3"}, (char[]){"-uzq"},
                          (char[]){"--"}, (char *)(uintptr_t)path, NULL};
    int status = -1;
    pid_t pid;

    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
        return -ENOENT;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? 0 : -EPERM;
}

/* ---- ends ---- */

static void remove_files(const struct mount_record *r)
{
    static const char *const names[] = {
        "record", "record.new", "lock",        "socket",         "key",
        "lost",   "config",     "known_hosts", "known_hosts.new"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        cleanup_free char *path = file_in(r->dir, names[i]);

        if (path)
            unlink(path);
    }
    rmdir(r->dir);
}

void mount_record_forget(const struct mount_record *r)
{
    if (r->path && r->made)
        rmdir(r->path);
    remove_files(r);
}

static void warn_lost(struct cli *cli, const struct mount_record *r)
{
    cleanup_free char *path = file_in(r->dir, "lost"), *text = NULL;

    if (path && file_read(path, RECORD_MAX, &text, NULL, NULL) == 0)
        cli_warn(cli, "%s: %s", r->engagement, text);
}

/* After the end of its process, by itself or not. */
static void forget(struct cli *cli, const struct mount_record *r)
{
    bool ours = false;

    warn_lost(cli, r);
    if (r->path && find_mount(r->path, &ours) && ours && unmount(r->path) < 0) {
        cli_warn(cli, "%s is still mounted: run fusermount3 -u %s", r->path,
                 r->path);
        return;
    }
    mount_record_forget(r);
}

static int sweep_cb(void *arg, struct mount_record *r)
{
    if (r->pid == 0)
        forget(arg, r);
    return 0;
}

void mount_record_sweep(struct cli *cli)
{
    each(sweep_cb, cli);
}

struct ending {
    struct cli *cli;
    const char *container, *name;
    int cancel_fd;
    struct tp_error *err;
};

/* Told to end, and waited for. */
static int end_process(struct ending *e, struct mount_record *r)
{
    cleanup_close int process = (int)syscall(SYS_pidfd_open, r->pid, 0U);
    struct pollfd p[2] = {{.fd = process, .events = POLLIN},
                          {.fd = e->cancel_fd, .events = POLLIN}};

    /* Still the same one. */
    if (process < 0 || holder(r->dir) != r->pid)
        return 0;
    if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0U) < 0)
        return tp_error_errno(e->err, -errno, "cannot end the mount %s",
                              r->path ? r->path : r->engagement);
    if (r->path)
        cli_progress(e->cli, "Unmounting %s ...", r->path);
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return tp_error_errno(e->err, -errno, "poll");
        if (p[0].revents)
            break;
        if (p[1].revents)
            return tp_error_set(e->err, -ECANCELED,
                                "interrupted; %s is still being written",
                                r->path ? r->path : r->engagement);
    }
    cli_progress(e->cli, NULL);
    return 0;
}

static int end_cb(void *arg, struct mount_record *r)
{
    struct ending *e = arg;
    int rc = 0;

    if (strcmp(r->container, e->container) != 0 ||
        (e->name && strcmp(r->engagement, e->name) != 0))
        return sweep_cb(e->cli, r);
    if (r->pid != 0)
        rc = end_process(e, r);
    if (rc == 0)
        forget(e->cli, r);
    return rc;
}

int mount_record_end(struct cli *cli, const char *container, const char *name,
                     int cancel_fd, struct tp_error *err)
{
    struct ending e = {.cli = cli,
                       .container = container,
                       .name = name,
                       .cancel_fd = cancel_fd,
                       .err = err};

    return each(end_cb, &e);
}
