#include "daemon/join.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK 65536

/* One direction. The far side of each may wait for the other, so that neither
 * is ever waited for alone. */
struct way {
    int from, to;
    size_t at, len; /* what is read and not written yet */
    bool ended;     /* nothing more will be read */
    char data[CHUNK];
};

int join_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static bool is_later(int error)
{
    return error == EAGAIN || error == EINTR;
}

static int fill(struct way *w)
{
    ssize_t n = read(w->from, w->data, sizeof(w->data));

    if (n < 0)
        return is_later(errno) ? 0 : -errno;
    w->at = 0;
    w->len = (size_t)n;
    w->ended = n == 0;
    return 0;
}

static int drain(struct way *w)
{
    ssize_t n = write(w->to, w->data + w->at, w->len - w->at);

    if (n < 0)
        return is_later(errno) ? 0 : -errno;
    explicit_bzero(w->data + w->at, (size_t)n);
    w->at += (size_t)n;
    if (w->at == w->len)
        w->at = w->len = 0;
    return 0;
}

static struct pollfd wants(const struct way *w)
{
    if (w->len > 0)
        return (struct pollfd){.fd = w->to, .events = POLLOUT};
    return (struct pollfd){.fd = w->ended ? -1 : w->from, .events = POLLIN};
}

static int step(struct way *w)
{
    return w->len > 0 ? drain(w) : fill(w);
}

/* Somebody who takes no more input may still answer. */
static void end_input(struct way *w)
{
    if (!w->ended || w->len > 0 || w->to < 0)
        return;
    shutdown(w->to, SHUT_WR);
    w->to = -1;
}

static int run(struct way *up, struct way *down)
{
    while (!down->ended || down->len > 0) {
        struct pollfd p[2] = {wants(up), wants(down)};
        int rc = 0;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (p[1].revents)
            rc = step(down);
        if (rc < 0)
            return rc == -ECONNRESET ? 0 : rc;
        if (p[0].revents && step(up) < 0) {
            up->ended = true;
            up->len = 0;
        }
        end_input(up);
    }
    return 0;
}

int join_run(int fd, int in, int out)
{
    struct way up = {.from = in, .to = fd}, down = {.from = fd, .to = out};
    const int all[] = {fd, in, out};
    int rc;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        fcntl(all[i], F_SETFL, fcntl(all[i], F_GETFL) | O_NONBLOCK);
    rc = run(&up, &down);
    explicit_bzero(&up.data, sizeof(up.data));
    explicit_bzero(&down.data, sizeof(down.data));
    return rc;
}
