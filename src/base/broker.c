#include "base/broker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ASK 'c'

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int broker_ask(int sock)
{
    static const char ask = ASK;

    return send(sock, &ask, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int await(int sock, int flags)
{
    char ask = 0;
    ssize_t n;

    do {
        n = recv(sock, &ask, 1, flags);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n == 1 && ask == ASK;
}

int broker_wait(int sock)
{
    return await(sock, 0);
}

int broker_peek(int sock)
{
    return await(sock, MSG_PEEK);
}

/* The two texts of a packet: both ended by NUL, and nothing behind them. */
static bool split(char *text, size_t len, char **first, char **second)
{
    char *end = memchr(text, '\0', len);

    if (!end || len < 2 || text[len - 1] != '\0')
        return false;
    *first = text;
    *second = end + 1;
    return *second < text + len && *second + strlen(*second) == text + len - 1;
}

static int take_fd(struct msghdr *msg)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(int));
    return fd;
}

int broker_receive(int sock, struct broker_answer *out)
{
    char text[BROKER_PACKET_MAX] = "", *first, *second;
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    int rc = 0;

    memset(out, 0, sizeof(*out));
    out->fd = -1;
    if (n <= 0)
        return n < 0 ? -errno : -EPIPE;
    out->fd = take_fd(&msg);
    if (msg.msg_flags & MSG_TRUNC || !split(text, (size_t)n, &first, &second)) {
        rc = -EPROTO;
    } else if (out->fd < 0) {
        out->error = strdup(first);
    } else {
        out->hostkey = strdup(first);
        out->key = strdup(second);
    }
    explicit_bzero(text, (size_t)n);
    if (rc == 0 && !out->error && (!out->hostkey || !out->key))
        rc = -ENOMEM;
    if (rc < 0)
        broker_answer_release(out);
    return rc;
}

void broker_answer_release(struct broker_answer *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->hostkey);
    secret_free(a->key);
    free(a->error);
    memset(a, 0, sizeof(*a));
    a->fd = -1;
}

static int answer(int sock, int fd, const char *first, const char *second)
{
    char text[BROKER_PACKET_MAX];
    size_t one = strlen(first) + 1, two = strlen(second) + 1;
    struct iovec iov = {.iov_base = text, .iov_len = one + two};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (one + two > sizeof(text))
        return -EMSGSIZE;
    memcpy(text, first, one);
    memcpy(text + one, second, two);
    if (fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    explicit_bzero(text, one + two);
    return n < 0 ? -errno : 0;
}

int broker_give(int sock, int fd, const char *hostkey, const char *key)
{
    return answer(sock, fd, hostkey, key);
}

int broker_refuse(int sock, const char *why)
{
    return answer(sock, -1, why, "");
}
