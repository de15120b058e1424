#include "daemon/dial_ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/join.h"
#include "net/socks5.h"

#define ANSWER_MS 70000 /* the proxy's own limits come first */

static const struct {
    enum socks5_reply reply;
    const char *code, *text;
} replies[] = {
    {SOCKS5_NOT_ALLOWED, "not-cluster", "it is not in the cluster"},
    {SOCKS5_NET_UNREACHABLE, "unreachable", "its network is unreachable"},
    {SOCKS5_HOST_UNREACHABLE, "unreachable",
     "there is no such name, or the host is unreachable"},
    {SOCKS5_REFUSED, "refused", "the connection was refused"},
    {SOCKS5_TTL_EXPIRED, "timeout", "the host does not answer"},
};

static int read_all(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, ANSWER_MS) > 0 ? read(fd, data, len) : 0;

        if (n <= 0)
            return -EPIPE;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
    return write(fd, data, len) == (ssize_t)len ? 0 : -EPIPE;
}

/* Takes the address off, too. Returns the reply, or a negative errno. */
static int read_reply(int fd)
{
    uint8_t data[SOCKS5_HEAD_MAX];
    int rc = read_all(fd, data, 4);

    if (rc == 0)
        rc = read_all(fd, data + 4, data[3] == 4 ? 18 : 6);
    return rc < 0 ? rc : data[1];
}

static int ask(int fd, const char *host, uint16_t port)
{
    static const uint8_t hello[] = {SOCKS5_VERSION, 1, SOCKS5_METHOD_NONE};
    uint8_t request[SOCKS5_TEXT + 8] = {SOCKS5_VERSION, SOCKS5_CONNECT, 0, 3};
    size_t len = strlen(host);
    uint8_t method[2];
    int rc;

    request[4] = (uint8_t)len;
    memcpy(request + 5, host, len);
    request[5 + len] = (uint8_t)(port >> 8);
    request[6 + len] = (uint8_t)port;
    rc = write_all(fd, hello, sizeof(hello));
    if (rc == 0)
        rc = read_all(fd, method, sizeof(method));
    if (rc == 0)
        rc = write_all(fd, request, 7 + len);
    return rc < 0 ? rc : read_reply(fd);
}

static int explain(int reply, const char *host, const char *port,
                   const char **code, struct tp_error *err)
{
    *code = "failed";
    for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
        if ((int)replies[i].reply != reply)
            continue;
        *code = replies[i].code;
        return tp_error_set(err, -EPROTO, "%s:%s: %s", host, port,
                            replies[i].text);
    }
    return tp_error_set(err, -EPROTO, "%s:%s cannot be reached", host, port);
}

/* All of text is a port: 1 to 65535; else 0. */
static uint16_t read_port(const char *text)
{
    size_t len = strlen(text);
    unsigned long n;

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return 0;
    n = strtoul(text, NULL, 10);
    return n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* A connected descriptor, or a negative errno with err filled. */
static int connect_to(const char *path, const char *host, const char *port,
                      const char **code, struct tp_error *err)
{
    cleanup_close int fd = -1;
    uint16_t number = read_port(port);
    int reply;

    *code = "invalid";
    if (!*host || strlen(host) > 255 || number == 0)
        return tp_error_set(err, -EINVAL, "%s:%s is no destination", host,
                            port);
    *code = "failed";
    fd = join_connect(path);
    if (fd < 0)
        return tp_error_errno(err, fd, "tp-daemon does not answer at %s", path);
    reply = ask(fd, host, number);
    if (reply == SOCKS5_SUCCEEDED) {
        int out = fd;

        fd = -1;
        return out;
    }
    return explain(reply, host, port, code, err);
}

static int say(int out, const char *code, const char *error)
{
    cleanup_json struct json_object *line = json_object_new_object();
    cleanup_free char *text = NULL;
    int len;

    json_put_str(line, "error", error);
    if (error)
        json_put_str(line, "code", code);
    len = asprintf(&text, "%s\n", json_to_text(line));
    if (len < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return write_all(out, text, (size_t)len);
}

int dial_ctl_run(const char *path, const char *host, const char *port,
                 bool only_check, int in, int out, struct tp_error *err)
{
    const char *code;
    cleanup_close int fd = connect_to(path, host, port, &code, err);
    int rc;

    if (fd < 0) {
        (void)say(out, code, err->text);
        return err->code;
    }
    rc = say(out, NULL, NULL);
    if (rc == 0 && !only_check)
        rc = join_run(fd, in, out);
    return rc < 0 ? tp_error_errno(err, rc, "%s:%s", host, port) : 0;
}
