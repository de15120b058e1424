/*
 * engagement_files.c - the volumes of an engaged container, here
 *
 * Each engagement has a key pair, made with it, that is kept with it in the
 * memory file and nowhere else, and a unix socket, FILES_DIR/ID.sock. Whoever
 * connects there (tp-mount, for a container or a Docker plugin) speaks SSH with
 * the file server of a pod, end to end (doc/protocol.md 5.1): the key is taken
 * to that pod first, so that each connection may be to another pod.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "net/listen.h"
#include "net/sshkey.h"
#include "tunnel/relay.h"

#define BACKLOG   16
#define CONNS_MAX 32      /* of an engagement */
#define FILES     "files" /* member of the request: {"public", "private"} */

/* A connection: the manager is asked, then the stream is opened, then joined.
 * eng is NULL once the engagement is over; then it only waits for its end. */
struct files_conn {
    LIST_ENTRY(files_conn) entry;
    struct engagement *eng;
    uv_loop_t *loop;
    int fd; /* -1: the relay's */
    struct tunnel_stream *stream;
    struct relay *relay;
};

/* ---- the key ---------------------------------------------------------------
 */

int engagement_files_make_key(struct engagement *eng, struct tp_error *err)
{
    struct json_object *files;
    struct sshkey_pair pair;
    int rc;

    if (json_get(eng->request, FILES))
        return 0; /* of the tp-daemon before this one */
    rc = sshkey_make(&pair, err);
    if (rc < 0)
        return rc;
    files = json_object_new_object();
    json_put_str(files, "public", pair.public_line);
    json_put_str(files, "private", pair.private_pem);
    json_object_object_add(eng->request, FILES, files);
    sshkey_release(&pair);
    return 0;
}

void engagement_files_strip(struct json_object *request)
{
    json_object_object_del(request, FILES);
}

const char *engagement_files_key(const struct engagement *eng)
{
    return json_get_str(eng->request, FILES ".private", "");
}

int engagement_files_ask(struct engagement *eng, engagement_answer_cb *cb,
                         void *arg)
{
    cleanup_json struct json_object *body = json_object_new_object();
    char path[128];

    if (!eng->e->tunnel)
        return -ENOTCONN;
    snprintf(path, sizeof(path), "/tp/v1/engagements/%s/files", eng->id);
    json_put_str(body, "key", json_get_str(eng->request, FILES ".public", ""));
    json_object_object_add(body, "readOnly",
                           json_object_new_boolean(eng->spec.read_only));
    return tunnel_request(eng->e->tunnel, "POST", path, json_to_text(body), cb,
                          arg);
}

/* ---- connections -----------------------------------------------------------
 */

static void leave(struct files_conn *c)
{
    if (c->eng) {
        LIST_REMOVE(c, entry);
        c->eng->files_count--;
    }
    c->eng = NULL;
}

static void conn_free(struct files_conn *c)
{
    leave(c);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)bytes_in;
    (void)bytes_out;
    conn_free(arg);
}

static void opened_cb(void *arg, int status)
{
    struct files_conn *c = arg;
    int fd = c->fd;

    if (status < 0)
        return; /* closed_cb() follows */
    c->fd = -1;
    c->relay = relay_create(c->loop, fd, c->stream, relay_ended_cb, c);
    c->stream = NULL;
    if (!c->relay)
        conn_free(c);
}

static void eof_cb(void *arg)
{
    (void)arg;
}

static void closed_cb(void *arg, int status)
{
    struct files_conn *c = arg;

    if (c->eng)
        log_warn("files of %s: %s", c->eng->spec.name, strerror(-status));
    conn_free(c);
}

static const struct tunnel_stream_ops stream_ops = {
    .opened_cb = opened_cb,
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

static void asked_cb(void *arg, int status, const char *body, size_t len)
{
    struct files_conn *c = arg;
    cleanup_json struct json_object *answer =
        status > 0 ? json_parse_text(body, len, NULL) : NULL;
    int64_t port = json_get_int(answer, "port", 0);

    if (c->eng && c->eng->e->tunnel && status == 200 && port > 0 &&
        port <= UINT16_MAX)
        c->stream = tunnel_open_tcp_name(c->eng->e->tunnel, c->eng->id,
                                         (uint16_t)port, &stream_ops, c);
    if (c->stream)
        return;
    if (c->eng)
        log_warn("files of %s: %s", c->eng->spec.name,
                 json_get_str(answer, "error", "the manager does not answer"));
    conn_free(c);
}

static void accepted_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct engagement *eng = arg;
    struct files_conn *c =
        eng->files_count < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

    (void)peer;
    if (!c) {
        close(fd);
        return;
    }
    c->loop = eng->e->loop;
    c->fd = fd;
    c->eng = eng;
    LIST_INSERT_HEAD(&eng->files_conns, c, entry);
    eng->files_count++;
    if (engagement_files_ask(eng, asked_cb, c) < 0)
        conn_free(c);
}

/* ---- the socket ------------------------------------------------------------
 */

void engagement_files_socket(const struct engagement *eng, char out[108])
{
    snprintf(out, 108, "%.70s/%s.sock", eng->e->files_dir ?: "", eng->id);
}

/* What fails here fails volumes only. */
void engagement_files_start(struct engagement *eng)
{
    struct tp_error err = {0};
    char path[108];
    int fd;

    if (!eng->e->files_dir)
        return;
    if (mkdir(eng->e->files_dir, 0700) < 0 && errno != EEXIST)
        log_warn("%s: %s", eng->e->files_dir, strerror(errno));
    engagement_files_socket(eng, path);
    fd = listener_bind_unix(path, BACKLOG, &err);
    if (fd >= 0)
        eng->files_listener =
            listener_create_fd(eng->e->loop, fd, accepted_cb, eng, &err);
    if (!eng->files_listener)
        log_warn("files of %s: %s", eng->spec.name, err.text);
}

static void conn_stop(struct files_conn *c)
{
    leave(c);
    if (c->relay)
        relay_abort(c->relay);
    else if (c->stream)
        tunnel_stream_reset(c->stream, -ECONNRESET);
}

void engagement_files_stop(struct engagement *eng)
{
    struct files_conn *c;
    char path[108];

    while ((c = LIST_FIRST(&eng->files_conns)))
        conn_stop(c);
    if (!eng->files_listener)
        return;
    listener_close(eng->files_listener);
    eng->files_listener = NULL;
    engagement_files_socket(eng, path);
    unlink(path);
}

/* Sockets that carry an id, and nothing else: the control volume is shared. */
static bool is_leftover(int dir, const char *name)
{
    struct stat st;

    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") ==
               ENGAGEMENT_ID_LEN &&
           !strcmp(name + ENGAGEMENT_ID_LEN, ".sock") &&
           fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISSOCK(st.st_mode);
}

/* Of a tp-daemon that was killed. The control volume outlives its container,
 * and an engagement that ended meanwhile has nobody else to take its socket
 * away. */
static void remove_leftovers(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (is_leftover(dirfd(dir), entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

void engagements_set_files_dir(struct engagements *e, const char *dir)
{
    e->files_dir = dir;
    if (dir)
        remove_leftovers(dir);
}
