#include "cli/host_mount.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/mounter.h"

#define ASK_MS  40000
#define BACKLOG 16

/* ---- flags ---- */

char *host_mount_parse_path(const char *text, bool *read_only,
                            struct tp_error *err)
{
    size_t len = strlen(text);
    char *path;

    *read_only = len > 3 && !strcmp(text + len - 3, ":ro");
    if (*read_only || (len > 3 && !strcmp(text + len - 3, ":rw")))
        len -= 3;
    if (len == 0 || !strcmp(text, "true") || !strcmp(text, "false")) {
        tp_error_set(err, -EINVAL,
                     "--mount %s: must be DIRECTORY[:ro], e.g. ./web", text);
        return NULL;
    }
    path = strndup(text, len);
    if (!path)
        tp_error_errno(err, -ENOMEM, "--mount");
    return path;
}

static int parse_port(const char *text, struct tp_error *err)
{
    char *end;
    long port = strtol(text, &end, 10);

    if (end == text || *end || port < 0 || port > 65535)
        return tp_error_set(err, -EINVAL,
                            "--local-mount-port %s: must be a port of this "
                            "host (0: any that is free)",
                            text);
    return (int)port;
}

int host_mount_parse(struct host_mount *m, const struct cli *cli,
                     struct tp_error *err)
{
    const char *path = cli_get(cli, "mount");
    const char *port = cli_get(cli, "local-mount-port");

    *m = (struct host_mount){.port = -1, .listener = -1};
    m->wanted = path || port;
    if (port && (m->port = parse_port(port, err)) < 0)
        return -EINVAL;
    if (path && !(m->path = host_mount_parse_path(path, &m->read_only, err)))
        return -EINVAL;
    if (m->wanted && !strcmp(cli_get_or(cli, "volumes", ""), "off"))
        return tp_error_set(err, -EINVAL,
                            "--volumes off is not for --mount and "
                            "--local-mount-port");
    return 0;
}

void host_mount_release(struct host_mount *m)
{
    if (m->made && !m->kept)
        rmdir(m->path);
    if (m->listener >= 0)
        close(m->listener);
    m->listener = -1;
    free(m->path);
    free(m->program);
    free(m->dir);
    json_object_put(m->volumes);
    m->path = m->program = m->dir = NULL;
    m->volumes = NULL;
}

/* ---- what this host has ---- */

/* tp-mount lies beside tp, or in PATH. Owned. */
static char *find_program(const char *name)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *path = getenv("PATH");
    cleanup_free char *list = NULL;
    char *slash, *save = NULL, *out = NULL;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    if (asprintf(&list, "%s:%s", slash ? self : "/usr/bin",
                 path ? path : "/usr/local/bin:/usr/bin:/bin") < 0)
        return NULL;
    for (char *dir = strtok_r(list, ":", &save); dir;
         dir = strtok_r(NULL, ":", &save)) {
        if (asprintf(&out, "%s/%s", dir, name) < 0)
            return NULL;
        if (access(out, X_OK) == 0)
            return out;
        free(out);
    }
    return NULL;
}

static bool may_mount(const char *fusermount)
{
    struct stat st;

    return geteuid() == 0 ||
           (stat(fusermount, &st) == 0 && st.st_mode & S_ISUID);
}

static int check_host(struct host_mount *m, struct tp_error *err)
{
    cleanup_free char *unmounter = find_program("fusermount3");

    m->program = find_program("tp-mount");
    if (!m->program)
        return tp_error_set(err, -ENOENT,
                            "--mount: tp-mount is neither beside tp nor in "
                            "PATH: install it");
    if (!unmounter)
        return tp_error_set(err, -ENOENT,
                            "--mount needs fusermount3: install the package "
                            "fuse3 (or use --local-mount-port)");
    if (!may_mount(unmounter))
        return tp_error_set(err, -EPERM,
                            "--mount needs a fusermount3 that may mount: %s is "
                            "not setuid root (or use --local-mount-port)",
                            unmounter);
    if (access("/dev/fuse", F_OK) < 0)
        return tp_error_set(err, -ENODEV,
                            "--mount needs /dev/fuse, which is not there: "
                            "modprobe fuse (or use --local-mount-port)");
    if (access("/dev/fuse", R_OK | W_OK) < 0)
        return tp_error_set(err, -EACCES,
                            "--mount needs /dev/fuse, which this user may not "
                            "open: its usual mode is 0666 (or use "
                            "--local-mount-port)");
    return 0;
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool empty = true;

    while (dir && empty && (entry = readdir(dir)))
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    if (dir)
        closedir(dir);
    return empty;
}

/* Absolute, and there: made if it was not. */
static int settle_path(struct host_mount *m, struct tp_error *err)
{
    char real[PATH_MAX];

    if (mkdir(m->path, 0755) == 0)
        m->made = true;
    else if (errno != EEXIST)
        return tp_error_errno(err, -errno, "--mount %s", m->path);
    if (!realpath(m->path, real))
        return tp_error_errno(err, -errno, "--mount %s", m->path);
    free(m->path);
    m->path = strdup(real);
    return m->path ? 0 : tp_error_errno(err, -ENOMEM, "--mount");
}

static int check_path(struct host_mount *m, struct tp_error *err)
{
    struct stat st;
    int rc = settle_path(m, err);

    if (rc < 0)
        return rc;
    if (mount_record_is_mounted(m->path))
        return tp_error_set(err, -EBUSY,
                            "--mount %s: something is mounted there already",
                            m->path);
    if (stat(m->path, &st) < 0 || !S_ISDIR(st.st_mode))
        return tp_error_set(err, -ENOTDIR, "--mount %s: is not a directory",
                            m->path);
    if (!is_empty(m->path))
        return tp_error_set(err, -ENOTEMPTY,
                            "--mount %s: is not empty; what is in it would "
                            "be hidden",
                            m->path);
    return 0;
}

/* On this host's loopback, where no container and no neighbour gets. */
static int open_port(struct host_mount *m, struct tp_error *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)m->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int one = 1;

    m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (m->listener < 0 ||
        setsockopt(m->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(m->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(m->listener, BACKLOG) < 0 ||
        getsockname(m->listener, (struct sockaddr *)&addr, &len) < 0)
        return tp_error_errno(err, -errno, "--local-mount-port %d", m->port);
    m->port = ntohs(addr.sin_port);
    return 0;
}

/* ---- what is there already ---- */

static bool is_same(const struct host_mount *m, const struct mount_record *r)
{
    char real[PATH_MAX];
    const char *path = m->path && realpath(m->path, real) ? real : m->path;
    bool same_port = m->port < 0
                         ? r->port == 0
                         : r->port != 0 && (m->port == 0 || m->port == r->port);

    return same_port && !path == !r->path &&
           (!path || (!strcmp(path, r->path) && m->read_only == r->read_only));
}

/* The mount of this engagement goes on, or makes place. 1: it goes on. */
static int settle_former(struct host_mount *m, struct engage *g,
                         const char *name, const char *id, struct tp_error *err)
{
    struct mount_record r;
    int rc = mount_record_find(&r, g->daemon.id, name);
    const char *its = r.dir ? strrchr(r.dir, '/') : NULL;
    bool same = rc && is_same(m, &r) && (!id || (its && !strcmp(its + 1, id)));

    if (same) {
        free(m->dir);
        m->dir = strdup(r.dir);
        m->port = r.port ? r.port : m->port;
        if (r.path && m->path) {
            free(m->path);
            m->path = strdup(r.path);
        }
    }
    mount_record_release(&r);
    if (same)
        return 1;
    return rc ? mount_record_end(g->cli, g->daemon.id, name, g->signals, err)
              : 0;
}

static int check_others(struct host_mount *m, struct tp_error *err)
{
    char real[PATH_MAX];
    struct mount_record r;
    int rc = 0;

    if (!m->path || !realpath(m->path, real))
        return 0;
    if (mount_record_find_path(&r, real))
        rc = tp_error_set(err, -EBUSY,
                          "--mount %s: is in use by the engagement %s", m->path,
                          r.engagement);
    mount_record_release(&r);
    return rc;
}

static int prepare(struct host_mount *m, struct tp_error *err)
{
    int rc = m->path ? check_host(m, err) : 0;

    if (rc == 0)
        rc = check_others(m, err);
    if (rc == 0 && m->path)
        rc = check_path(m, err);
    if (rc == 0 && m->port >= 0)
        rc = open_port(m, err);
    m->prepared = rc == 0;
    return rc;
}

int host_mount_prepare(struct host_mount *m, struct engage *g, const char *name,
                       struct tp_error *err)
{
    int rc;

    if (!m->wanted)
        return 0;
    mount_record_sweep(g->cli);
    rc = settle_former(m, g, name, NULL, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return prepare(m, err);
}

/* ---- mounting ---- */

static int ask_volumes(struct host_mount *m, struct engage *g, const char *name,
                       struct tp_error *err)
{
    cleanup_json struct json_object *request = engage_named("files", name);
    cleanup_json struct json_object *answer = NULL;
    int rc = engage_ask(g, request, ASK_MS, &answer, err);

    if (rc < 0)
        return tp_error_wrap(err, "the volumes of %s", name);
    m->volumes = json_object_get(json_get_array(answer, "mounts"));
    if (json_array_len(m->volumes) == 0)
        return tp_error_set(err, -ENOENT,
                            "no volume of %s is served (tp volumes %s says "
                            "why): there is nothing to mount",
                            name, name);
    return 0;
}

static int start(struct host_mount *m, struct engage *g, const char *name,
                 const char *id, struct tp_error *err)
{
    struct mounter_plan plan = {
        .id = id, .program = m->program, .listener = m->listener};
    char *engagement = strdup(name);
    int rc;

    m->dir = mount_record_directory(id, err);
    if (!m->dir || !engagement) {
        free(engagement);
        return -EACCES;
    }
    plan.record = (struct mount_record){.dir = m->dir,
                                        .container = g->daemon.id,
                                        .engagement = engagement,
                                        .path = m->path,
                                        .read_only = m->read_only,
                                        .made = m->made,
                                        .port = m->port > 0 ? m->port : 0};
    if (m->path)
        cli_progress(g->cli, "Mounting %s ...", m->path);
    rc = mounter_start(&plan, g->signals, err);
    cli_progress(g->cli, NULL);
    m->kept = rc == 0 || rc == -ECANCELED;
    free(engagement);
    return rc < 0 && rc != -ECANCELED
               ? tp_error_wrap(err, "the files of %s", name)
               : rc;
}

int host_mount_start(struct host_mount *m, struct engage *g,
                     struct json_object *local, struct tp_error *err)
{
    const char *name = json_get_str(local, "name", "");
    const char *id = json_get_str(local, "id", "");
    int rc;

    if (!m->wanted)
        return 0;
    rc = ask_volumes(m, g, name, err);
    if (rc == 0)
        rc = settle_former(m, g, name, id, err);
    if (rc == 1)
        m->as_before = m->kept = true;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!m->prepared)
        rc = prepare(m, err);
    return rc < 0 ? rc : start(m, g, name, id, err);
}

/* ---- what is said ---- */

void host_mount_put_environment(const struct host_mount *m,
                                struct json_object *env)
{
    if (m->path && m->kept)
        json_put_str(env, "TP_ROOT", m->path);
}

static void print_volumes(const struct host_mount *m, struct cli *cli)
{
    for (size_t i = 0; i < json_array_len(m->volumes); i++) {
        struct json_object *v = json_object_array_get_idx(m->volumes, i);
        bool ro = m->read_only || json_get_bool(v, "readOnly", false);

        cli_print(cli, "  %-12s%s%s (%s)\n", i ? "" : "mount", m->path,
                  json_get_str(v, "path", ""), ro ? "ro" : "rw");
    }
}

void host_mount_print(const struct host_mount *m, struct cli *cli)
{
    if (m->path)
        print_volumes(m, cli);
    if (m->port <= 0)
        return;
    cli_print(cli,
              "  sftp        127.0.0.1:%d, user tp, key %s/key\n"
              "              sftp -F %s/config pod\n"
              "              sshfs -F %s/config pod:/ DIRECTORY\n",
              m->port, m->dir, m->dir, m->dir);
}

static void put_path(struct json_object *obj, const char *key, const char *dir,
                     const char *name)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    json_put_str(obj, key, path);
}

void host_mount_put_json(const struct host_mount *m, struct json_object *local)
{
    struct json_object *obj;

    if (m->path) {
        obj = json_object_new_object();
        json_put_str(obj, "path", m->path);
        json_object_object_add(obj, "readOnly",
                               json_object_new_boolean(m->read_only));
        json_object_object_add(local, "mount", obj);
    }
    if (m->port > 0) {
        obj = json_object_new_object();
        json_object_object_add(obj, "port", json_object_new_int(m->port));
        put_path(obj, "key", m->dir, "key");
        put_path(obj, "knownHosts", m->dir, "known_hosts");
        put_path(obj, "config", m->dir, "config");
        json_object_object_add(local, "sftp", obj);
    }
}
