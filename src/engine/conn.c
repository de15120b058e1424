#include "engine/conn.h"

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
#include <sys/wait.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"

#define CONNECT_TIMEOUT_MS 15000

struct engine_conn {
    int fd, cancel_fd;
    SSL_CTX *ctx; /* TLS only */
    SSL *ssl;
    pid_t ssh; /* or 0 */
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Waits until fd is ready for `events`. 0, -ETIMEDOUT, -ECANCELED, -errno. */
static int wait_for(const struct engine_conn *c, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = events},
                            {.fd = c->cancel_fd, .events = POLLIN}};
    int64_t deadline = now_ms() + timeout_ms;

    for (;;) {
        int64_t left = deadline - now_ms();
        int n = poll(fds, 2, left > 0 ? (int)left : 0);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && fds[1].revents)
            return -ECANCELED;
        if (n > 0 && fds[0].revents)
            return 0;
        if (left <= 0)
            return -ETIMEDOUT;
    }
}

/* What to do after an SSL call that returned rc <= 0: the events to wait for,
 * 0 at a clean end, or a negative errno. */
static int ssl_need(SSL *ssl, int rc)
{
    int saved = errno;

    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return saved ? -saved : -ECONNRESET;
    default:
        return -EPROTO;
    }
}

static ssize_t try_read(struct engine_conn *c, void *data, size_t len,
                        short *events)
{
    ssize_t n;
    int need;

    *events = POLLIN;
    if (!c->ssl) {
        n = read(c->fd, data, len);
        return n < 0 ? -errno : n;
    }
    ERR_clear_error();
    n = SSL_read(c->ssl, data, (int)len);
    if (n > 0)
        return n;
    need = ssl_need(c->ssl, (int)n);
    if (need <= 0)
        return need;
    *events = (short)need;
    return -EAGAIN;
}

static ssize_t try_write(struct engine_conn *c, const void *data, size_t len,
                         short *events)
{
    ssize_t n;
    int need;

    *events = POLLOUT;
    if (!c->ssl) {
        n = send(c->fd, data, len, MSG_NOSIGNAL);
        return n < 0 ? -errno : n;
    }
    ERR_clear_error();
    n = SSL_write(c->ssl, data, (int)len);
    if (n > 0)
        return n;
    need = ssl_need(c->ssl, (int)n);
    if (need <= 0)
        return need ? need : -EPIPE;
    *events = (short)need;
    return -EAGAIN;
}

ssize_t engine_conn_read(struct engine_conn *c, void *data, size_t len,
                         int timeout_ms)
{
    for (;;) {
        short events;
        ssize_t n = try_read(c, data, len, &events);
        int rc;

        if (n == -EINTR)
            continue;
        if (n != -EAGAIN)
            return n;
        rc = wait_for(c, events, timeout_ms);
        if (rc < 0)
            return rc;
    }
}

int engine_conn_write(struct engine_conn *c, const void *data, size_t len,
                      int timeout_ms)
{
    const char *p = data;

    while (len > 0) {
        short events;
        size_t chunk = len < 65536 ? len : 65536;
        ssize_t n = try_write(c, p, chunk, &events);
        int rc = 0;

        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n == -EAGAIN) {
            rc = wait_for(c, events, timeout_ms);
        } else if (n != -EINTR) {
            rc = (int)n;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int engine_conn_shutdown(struct engine_conn *c)
{
    if (c->ssl)
        return SSL_shutdown(c->ssl) < 0 ? -EPROTO : 0;
    return shutdown(c->fd, SHUT_WR) < 0 ? -errno : 0;
}

void engine_conn_set_cancel(struct engine_conn *c, int cancel_fd)
{
    c->cancel_fd = cancel_fd;
}

/* Ends ssh: it goes when its input ends; if not, it is told to. */
static void end_ssh(pid_t pid)
{
    for (int i = 0; i < 20; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        if (i == 5)
            kill(pid, SIGTERM);
        if (i == 15)
            kill(pid, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    waitpid(pid, NULL, 0);
}

void engine_conn_close(struct engine_conn *c)
{
    if (!c)
        return;
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
    if (c->ssh > 0)
        end_ssh(c->ssh);
    free(c);
}

static int unreachable(const struct engine_target *t, int code,
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
        rc = wait_for(c, POLLOUT, CONNECT_TIMEOUT_MS);
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

static int tls_error(const struct engine_target *t, const char *what,
                     struct tp_error *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    return tp_error_set(err, -EPROTO, "Docker at %s: %s: %s", t->url, what,
                        reason ? reason : "failed");
}

static int load_tls_files(SSL_CTX *ctx, const struct engine_target *t,
                          struct tp_error *err)
{
    if (t->ca_file && SSL_CTX_load_verify_locations(ctx, t->ca_file, NULL) != 1)
        return tls_error(t, t->ca_file, err);
    if (!t->ca_file && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return tls_error(t, "system certificates", err);
    if (t->cert_file &&
        SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
        return tls_error(t, t->cert_file, err);
    if (t->key_file &&
        SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1)
        return tls_error(t, t->key_file, err);
    return 0;
}

/* Who must be on the other side: an address or a name. */
static void expect_host(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return;
    SSL_set_tlsext_host_name(ssl, host);
    SSL_set1_host(ssl, host);
}

static int handshake(struct engine_conn *c, const struct engine_target *t,
                     struct tp_error *err)
{
    int64_t deadline = now_ms() + CONNECT_TIMEOUT_MS;

    for (;;) {
        int rc, need;
        long verdict;

        ERR_clear_error();
        rc = SSL_connect(c->ssl);
        if (rc == 1)
            return 0;
        need = ssl_need(c->ssl, rc);
        verdict = SSL_get_verify_result(c->ssl);
        if (need <= 0 && verdict != X509_V_OK)
            return tp_error_set(err, -EPROTO, "Docker at %s: certificate: %s",
                                t->url, X509_verify_cert_error_string(verdict));
        if (need <= 0)
            return tls_error(t, "TLS", err);
        rc = wait_for(c, (short)need, (int)(deadline - now_ms()));
        if (rc < 0)
            return unreachable(t, rc, err);
    }
}

static int start_tls(struct engine_conn *c, const struct engine_target *t,
                     struct tp_error *err)
{
    int rc;

    c->ctx = SSL_CTX_new(TLS_client_method());
    if (!c->ctx)
        return tls_error(t, "TLS", err);
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(c->ctx, t->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    ERR_clear_error();
    rc = load_tls_files(c->ctx, t, err);
    if (rc < 0)
        return rc;
    c->ssl = SSL_new(c->ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        return tls_error(t, "TLS", err);
    expect_host(c->ssl, t->host);
    return handshake(c, t, err);
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
        rc = unreachable(t, rc, err);
    else if (t->kind == ENGINE_TLS)
        rc = start_tls(c, t, err);
    if (rc == 0)
        return c;
    engine_conn_close(c);
    return NULL;
}
