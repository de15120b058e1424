/* conn.c - bytes to and from an engine, plain or TLS, until its end */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "engine/conn_internal.h"

int64_t engine_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

int engine_conn_wait(const struct engine_conn *c, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = events},
                            {.fd = c->cancel_fd, .events = POLLIN}};
    int64_t deadline = engine_now_ms() + timeout_ms;

    for (;;) {
        int64_t left = deadline - engine_now_ms();
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

ssize_t engine_conn_try_read(struct engine_conn *c, void *data, size_t len,
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
    need = engine_tls_need(c->ssl, (int)n);
    if (need <= 0)
        return need;
    *events = (short)need;
    return -EAGAIN;
}

ssize_t engine_conn_try_write(struct engine_conn *c, const void *data,
                              size_t len, short *events)
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
    need = engine_tls_need(c->ssl, (int)n);
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
        ssize_t n = engine_conn_try_read(c, data, len, &events);
        int rc;

        if (n == -EINTR)
            continue;
        if (n != -EAGAIN)
            return n;
        rc = engine_conn_wait(c, events, timeout_ms);
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
        ssize_t n = engine_conn_try_write(c, p, chunk, &events);
        int rc = 0;

        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n == -EAGAIN) {
            rc = engine_conn_wait(c, events, timeout_ms);
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
