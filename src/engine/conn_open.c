/* conn_open.c - reaching an engine: a Unix socket, TCP, TLS or ssh */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/conn_internal.h"

int engine_unreachable(const struct engine_target *t, int code,
                       struct tp_error *err)
{
    const char *by = t->origin ? t->origin : "";
    const char *open = *by ? " (" : "", *close = *by ? ")" : "";

    if (code == -ECANCELED)
        return tp_error_set(err, code, "interrupted");
    if (code == -EACCES || code == -EPERM)
        return tp_error_set(err, -EACCES,
                            "no permission for Docker at %s%s%s%s: add "
                            "yourself to the group docker (and log in again), "
                            "or use rootless Docker",
                            t->url, open, by, close);
    if (t->kind == ENGINE_UNIX && (code == -ENOENT || code == -ECONNREFUSED))
        return tp_error_set(err, code,
                            "cannot reach Docker at %s%s%s%s: is it running? "
                            "(systemctl start docker, or set DOCKER_HOST)",
                            t->url, open, by, close);
    return tp_error_errno(err, code, "cannot reach Docker at %s%s%s%s", t->url,
                          open, by, close);
}

static int connect_unix(struct engine_conn *c, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    strcpy(addr.sun_path, path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return -errno;
    return fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int connect_address(struct engine_conn *c, const struct addrinfo *ai)
{
    int code = 0, rc;
    socklen_t len = sizeof(code);

    c->fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return -errno;
    rc = connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 ? -errno : 0;
    if (rc == -EINPROGRESS) {
        rc = engine_conn_wait(c, POLLOUT, ENGINE_CONNECT_MS);
        if (rc == 0 &&
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0)
            rc = -code;
    }
    if (rc < 0) {
        close(c->fd);
        c->fd = -1;
    }
    return rc;
}

static int connect_tcp(struct engine_conn *c, const struct engine_target *t)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", t->port);
    if (getaddrinfo(t->host, port, &hints, &list) != 0)
        return -ENXIO;
    rc = -ENXIO;
    for (struct addrinfo *ai = list; ai && rc < 0 && rc != -ECANCELED;
         ai = ai->ai_next)
        rc = connect_address(c, ai);
    freeaddrinfo(list);
    return rc;
}

/* "ssh [-l user] [-p port] -- host docker [-H unix://path] system
 * dial-stdio", whose standard input and output are one socket of ours. */
static _Noreturn void run_ssh(const struct engine_target *t, int fd)
{
    char port[8], path[512];
    const char *argv[20];
    int n = 0;

    snprintf(port, sizeof(port), "%u", t->port);
    snprintf(path, sizeof(path), "unix://%s", t->path ? t->path : "");
    argv[n++] = "ssh";
    argv[n++] = "-oConnectTimeout=15";
    argv[n++] = "-T";
    if (t->user) {
        argv[n++] = "-l";
        argv[n++] = t->user;
    }
    if (t->port) {
        argv[n++] = "-p";
        argv[n++] = port;
    }
    argv[n++] = "--";
    argv[n++] = t->host;
    argv[n++] = "docker";
    if (t->path) {
        argv[n++] = "-H";
        argv[n++] = path;
    }
    argv[n++] = "system";
    argv[n++] = "dial-stdio";
    argv[n] = NULL;
    signal(SIGPIPE, SIG_DFL);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    execvp("ssh", (char *const *)argv);
    dprintf(STDERR_FILENO, "tp: cannot run ssh: %s\n", strerror(errno));
    _exit(127);
}

static int connect_ssh(struct engine_conn *c, const struct engine_target *t)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    c->ssh = fork();
    if (c->ssh == 0)
        run_ssh(t, pair[1]);
    close(pair[1]);
    c->fd = pair[0];
    if (c->ssh < 0)
        return -EAGAIN;
    return fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

struct engine_conn *engine_conn_open(const struct engine_target *t,
                                     int cancel_fd, struct tp_error *err)
{
    struct engine_conn *c = calloc(1, sizeof(*c));
    int rc;

    if (!c) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    c->fd = -1;
    c->cancel_fd = cancel_fd;
    if (t->kind == ENGINE_UNIX)
        rc = connect_unix(c, t->path);
    else if (t->kind == ENGINE_SSH)
        rc = connect_ssh(c, t);
    else
        rc = connect_tcp(c, t);
    if (rc < 0)
        rc = engine_unreachable(t, rc, err);
    else if (t->kind == ENGINE_TLS)
        rc = engine_tls_start(c, t, err);
    if (rc == 0)
        return c;
    engine_conn_close(c);
    return NULL;
}
