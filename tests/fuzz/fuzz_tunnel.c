/*
 * Fuzzes the receiving side of a link: the first byte chooses the role and how
 * the users of streams behave, the rest is what the peer sends (after the
 * client's magic, which is put in front).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/tunnel.h"
#include "tunnel/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* A byte stream that gives the input in pieces and takes everything. */
struct memory {
    struct stream base;
    const uint8_t *data;
    size_t len, magic;
    bool *gone; /* set when it is closed */
};

static ssize_t memory_read(struct stream *s, void *data, size_t len)
{
    struct memory *m = (struct memory *)s;

    if (m->magic) {
        memcpy(data, magic, m->magic);
        len = m->magic;
        m->magic = 0;
        return (ssize_t)len;
    }
    if (len > m->len)
        len = m->len;
    if (len > 61)
        len = 61;
    memcpy(data, m->data, len);
    m->data += len;
    m->len -= len;
    return (ssize_t)len; /* 0 at the end */
}

static ssize_t memory_write(struct stream *s, const void *data, size_t len)
{
    (void)s;
    (void)data;
    return (ssize_t)len;
}

static int memory_shutdown(struct stream *s)
{
    (void)s;
    return 0;
}

static void memory_want(struct stream *s, unsigned events)
{
    (void)s;
    (void)events;
}

static void memory_close(struct stream *s)
{
    *((struct memory *)s)->gone = true;
    if (s->close_cb)
        s->close_cb(s->arg);
    free(s);
}

static int memory_fd(const struct stream *s)
{
    (void)s;
    return -1;
}

static const struct stream_ops memory_ops = {memory_read,     memory_write,
                                             memory_shutdown, memory_want,
                                             memory_close,    memory_fd};

static void status_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    const uint8_t *mode = arg;

    if (*mode & 2)
        return -EAGAIN;
    if (*mode & 4)
        return 0;
    memset(data, 'x', len > 100 ? 100 : len);
    return *mode & 8 ? -ECONNRESET : (ssize_t)(len > 100 ? 100 : len);
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    const uint8_t *mode = arg;

    (void)data;
    return *mode & 16 ? (ssize_t)len / 2 : (ssize_t)len;
}

static void eof_cb(void *arg)
{
    (void)arg;
}

static const struct tunnel_stream_ops user_ops = {status_cb, pull_cb, push_cb,
                                                  eof_cb, status_cb};

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    const uint8_t *mode = arg;

    if (open->kind == TUNNEL_REQUEST)
        return tunnel_stream_respond(s, 200, open->body);
    if (open->port == 0 || !!(*mode & 128) != !!open->name ||
        (open->name && !tunnel_name_valid(open->name)))
        abort();
    if (*mode & 32)
        return -EACCES;
    tunnel_stream_set_user(s, &user_ops, arg);
    if (!(*mode & 64))
        tunnel_stream_answer(s, 0);
    return 0;
}

static void closed_cb(void *arg, int status, const char *why)
{
    (void)arg;
    (void)status;
    (void)why;
}

static void response_cb(void *arg, int status, const char *body, size_t len)
{
    (void)arg;
    (void)status;
    if (strlen(body) > len)
        abort();
}

static void line_cb(void *arg, const char *line, size_t len)
{
    (void)arg;
    if (strlen(line) > len)
        abort();
}

static void datagram_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    if (len > TUNNEL_UDP_MAX)
        abort();
}

/* One stream of each kind, which the input may answer. */
static void open_streams(struct tunnel *t, uint8_t *mode)
{
    static const struct tunnel_udp_ops udp_ops = {status_cb, datagram_cb,
                                                  status_cb};
    union sockaddr_any addr;

    sockaddr_parse(&addr, "10.0.0.1", 80);
    tunnel_open_tcp(t, &addr, &user_ops, mode);
    tunnel_udp_open(t, &addr, 0, &udp_ops, mode);
    tunnel_open_udp_name(t, "abcdefghijklmnopqrstuvwxyz", 53, &user_ops, mode);
    tunnel_request(t, "GET", "/x", NULL, response_cb, NULL);
    tunnel_watch(t, "/y", line_cb, response_cb, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tunnel_ops ops = {open_cb, closed_cb};
    struct tunnel_config config = {.role = TUNNEL_SERVER, .budget = 1 << 20};
    struct memory *m = calloc(1, sizeof(*m));
    uint8_t mode = size > 0 ? data[0] : 0;
    bool gone = false;
    struct tunnel *t;
    uv_loop_t loop;

    uv_loop_init(&loop);
    m->base.ops = &memory_ops;
    m->base.loop = &loop;
    m->gone = &gone;
    if (size > 0) {
        m->data = data + 1;
        m->len = size - 1;
    }
    config.names = mode & 128;
    if (mode & 1)
        config.role = TUNNEL_CLIENT;
    else
        m->magic = sizeof(magic) - 1;
    t = tunnel_create(&loop, &m->base, &config, &ops, &mode);
    if (mode & 1)
        open_streams(t, &mode);
    uv_run(&loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < size / 61 + 3 && !gone; i++) {
        m->base.event_cb(m->base.arg, STREAM_READABLE);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    tunnel_destroy(t);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        abort();
    return 0;
}
