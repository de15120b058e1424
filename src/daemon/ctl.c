#include "daemon/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define STEP_MS 50
#define CHUNK   65536

static int try_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    return fd;
}

static int connect_soon(const char *path, unsigned wait_ms)
{
    const struct timespec step = {0, STEP_MS * 1000000L};

    for (unsigned waited = 0;; waited += STEP_MS) {
        int fd = try_connect(path);

        if (fd >= 0 || waited >= wait_ms ||
            (fd != -ENOENT && fd != -ECONNREFUSED))
            return fd;
        nanosleep(&step, NULL);
    }
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Moves what there is. 1: more may come, 0: the end, or a negative errno. */
static int move(int from, int to)
{
    char data[CHUNK];
    ssize_t n = read(from, data, sizeof(data));
    int rc;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    rc = n > 0 ? write_all(to, data, (size_t)n) : 0;
    explicit_bzero(data, (size_t)n);
    return rc < 0 ? rc : n > 0;
}

static int join(int fd, int in, int out)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = in, .events = POLLIN}};

    for (;;) {
        int rc;

        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (p[0].revents) {
            rc = move(fd, out);
            if (rc <= 0)
                return rc == -ECONNRESET ? 0 : rc;
        }
        /* A daemon that takes no more input may still answer. */
        if (p[1].revents && move(in, fd) <= 0) {
            shutdown(fd, SHUT_WR);
            p[1].fd = -1;
        }
    }
}

int ctl_run(const char *path, int in, int out, unsigned wait_ms,
            struct tp_error *err)
{
    cleanup_close int fd = connect_soon(path, wait_ms);
    int rc;

    if (fd < 0)
        return tp_error_errno(err, fd, "tp-daemon does not answer at %s", path);
    rc = join(fd, in, out);
    return rc < 0 ? tp_error_errno(err, rc, "control connection") : 0;
}
