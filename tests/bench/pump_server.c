/*
 * pump_server.c - an aggregated API that knows one thing
 *
 *   HANDSHAKE -> HEAD -> (101) -> WORD -> SOURCE, SINK or REFLECT
 *                    |                \-> DIAL -> (joined)
 *                    \-> LAST: the answer to anything else, then the end
 */
#include "pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/sockaddr.h"
#include "net/http1.h"
#include "net/listen.h"
#include "net/tls.h"

#define TURN    16 /* reads or writes, then the loop's others get theirs */
#define HEAD_MS 10000
#define DIAL_MS 10000
#define RESOURCE                                                               \
    "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\","                     \
    "\"groupVersion\":\"" PUMP_GROUP "/v1\",\"resources\":[{\"name\":"         \
    "\"connections\",\"singularName\":\"connection\",\"namespaced\":true,"     \
    "\"kind\":\"Connection\",\"verbs\":[\"create\"]},{\"name\":"               \
    "\"connections/portforward\",\"singularName\":\"\",\"namespaced\":true,"   \
    "\"kind\":\"Connection\",\"verbs\":[\"create\"]}]}"

enum state { HANDSHAKE, HEAD, WORD, SOURCE, SINK, REFLECT, DIAL, LAST };

struct server {
    uv_loop_t *loop;
    struct tls_ctx *tls;
};

struct conn {
    uv_loop_t *loop;
    struct stream *stream;
    enum state state;
    struct buf in, out;
};

static uint8_t scratch[PUMP_SIZE]; /* what is sent, and where bytes end */

static void closed_cb(void *arg)
{
    struct conn *c = arg;

    buf_release(&c->in);
    buf_release(&c->out);
    free(c);
}

static void conn_close(struct conn *c)
{
    stream_close(c->stream, closed_cb, c);
}

/* 1: all is written; 0: not yet, WRITABLE is wanted; negative: broken. */
static int flush(struct conn *c)
{
    while (buf_used(&c->out) > 0) {
        ssize_t n =
            stream_write(c->stream, buf_head(&c->out), buf_used(&c->out));

        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        buf_consume(&c->out, (size_t)n);
    }
    return 1;
}

/* ---- before the upgrade ---- */

static int answer(struct conn *c, const struct http1_head *head)
{
    const char *upgrade = http1_get(head, "Upgrade");
    bool known = strstr(head->target, "/apis/" PUMP_GROUP "/v1") != NULL;
    const char *body = known ? RESOURCE : "{}";
    char text[1024];

    if (upgrade && !strcmp(upgrade, "tp/1")) {
        c->state = WORD;
        snprintf(text, sizeof(text),
                 "HTTP/1.1 101 Switching Protocols\r\n"
                 "Connection: Upgrade\r\nUpgrade: tp/1\r\n\r\n");
    } else {
        c->state = LAST;
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                 known ? "200 OK" : "404 Not Found", strlen(body), body);
    }
    return buf_append(&c->out, text, strlen(text));
}

static int take_head(struct conn *c)
{
    struct http1_head head = {0};
    int n =
        http1_parse(&head, HTTP1_REQUEST, buf_head(&c->in), buf_used(&c->in));

    if (n <= 0)
        return n;
    buf_consume(&c->in, (size_t)n);
    n = answer(c, &head);
    http1_release(&head);
    return n;
}

static void dialled_cb(void *arg, int status, int fd)
{
    struct conn *c = arg;
    struct stream *far = status == 0 ? stream_create_fd(c->loop, fd) : NULL;

    if (!far) {
        conn_close(c);
        return;
    }
    /* What came with the line; a new socket has room for it. */
    if (buf_used(&c->in) > 0)
        (void)stream_write(far, buf_head(&c->in), buf_used(&c->in));
    pump_join(c->stream, far);
    closed_cb(c);
}

/* The line is "dial ADDR:PORT". */
static int dial(struct conn *c, const char *line, size_t len)
{
    union sockaddr_any addr;
    char text[64];

    if (len <= 5 || len - 5 >= sizeof(text))
        return -EBADMSG;
    memcpy(text, line + 5, len - 5);
    text[len - 5] = '\0';
    if (sockaddr_parse_hostport(&addr, text) < 0)
        return -EBADMSG;
    c->state = DIAL;
    return connect_start(c->loop, &addr, 0, DIAL_MS, dialled_cb, c) ? 0
                                                                    : -ENOMEM;
}

static int take_word(struct conn *c)
{
    static const struct {
        const char *word;
        enum state state;
    } words[] = {{"source\n", SOURCE}, {"sink\n", SINK}, {"echo\n", REFLECT}};
    size_t used = buf_used(&c->in);
    const char *end;

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t len = strlen(words[i].word);

        if (used >= len && !memcmp(buf_head(&c->in), words[i].word, len)) {
            buf_consume(&c->in, len);
            c->state = words[i].state;
            /* What came with the word is the first to be sent back. */
            return c->state == REFLECT && used > len
                       ? buf_append(&c->out, buf_head(&c->in), used - len)
                       : 0;
        }
    }
    end = used > 0 ? memchr(buf_head(&c->in), '\n', used) : NULL;
    if (end && !memcmp(buf_head(&c->in), "dial ", 5)) {
        size_t len = (size_t)(end - (char *)buf_head(&c->in));
        int rc = dial(c, (char *)buf_head(&c->in), len);

        buf_consume(&c->in, len + 1);
        return rc;
    }
    return end || used > 64 ? -EBADMSG : 0;
}

static int take(struct conn *c)
{
    uint8_t *room = buf_reserve(&c->in, 4096);
    ssize_t n = room ? stream_read(c->stream, room, 4096) : -ENOMEM;

    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return n == 0 ? -ECONNRESET : (int)n;
    buf_commit(&c->in, (size_t)n);
    return c->state == HEAD ? take_head(c) : take_word(c);
}

/* ---- the pump ---- */

static int pump_out(struct conn *c)
{
    for (int i = 0; i < TURN; i++) {
        ssize_t n = stream_write(c->stream, scratch, sizeof(scratch));

        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
    }
    return 0;
}

static int pump_in(struct conn *c)
{
    for (int i = 0; i < TURN; i++) {
        ssize_t n = stream_read(c->stream, scratch, sizeof(scratch));

        if (n <= 0)
            return n == -EAGAIN ? 0 : n == 0 ? -ECONNRESET : (int)n;
        if (c->state == REFLECT)
            return buf_append(&c->out, scratch, (size_t)n);
    }
    return 0;
}

static void want(struct conn *c)
{
    bool writing =
        c->state == SOURCE || c->state == LAST || buf_used(&c->out) > 0;

    stream_want(c->stream, writing ? STREAM_WRITABLE : STREAM_READABLE);
}

/* -ESHUTDOWN: all is said. */
static int step(struct conn *c)
{
    int rc = flush(c);

    if (rc <= 0)
        return rc;
    switch (c->state) {
    case HANDSHAKE:
    case DIAL:
        return 0;
    case HEAD:
    case WORD:
        rc = take(c);
        break;
    case SOURCE:
        return pump_out(c);
    case SINK:
    case REFLECT:
        rc = pump_in(c);
        break;
    case LAST:
        rc = stream_shutdown(c->stream);
        return rc == -EAGAIN ? 0 : -ESHUTDOWN;
    }
    return rc < 0 ? rc : flush(c);
}

static void event_cb(void *arg, unsigned events)
{
    struct conn *c = arg;

    (void)events;
    if (step(c) < 0)
        conn_close(c);
    else if (c->state == DIAL)
        stream_want(c->stream, 0); /* the connection belongs to dialled_cb() */
    else
        want(c);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    struct conn *c = arg;

    (void)text;
    if (status < 0) {
        conn_close(c);
        return;
    }
    c->state = HEAD;
    stream_set_callback(c->stream, event_cb, c);
    stream_want(c->stream, STREAM_READABLE);
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct server *s = arg;
    struct conn *c = calloc(1, sizeof(*c));
    int on = 1;

    (void)peer;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!c) {
        close(fd);
        return;
    }
    c->loop = s->loop;
    buf_init(&c->in, HTTP1_MAX_HEAD);
    buf_init(&c->out, PUMP_SIZE);
    c->stream = stream_create_fd(s->loop, fd);
    if (c->stream)
        c->stream = tls_accept(s->tls, c->stream, HEAD_MS, handshake_cb, c);
    if (!c->stream)
        closed_cb(c);
}

int pump_serve(uv_loop_t *loop, uint16_t port, struct tp_error *err)
{
    struct tls_server_config config = {
        .cert_pem = getenv("PUMP_CERT"),
        .key_pem = getenv("PUMP_KEY"),
    };
    struct server s = {.loop = loop};
    union sockaddr_any addr;

    s.tls = tls_ctx_create_server(&config, err);
    if (!s.tls)
        return -EINVAL;
    sockaddr_parse(&addr, "0.0.0.0", port);
    if (!listener_create(loop, &addr, 128, accept_cb, &s, err))
        return -EINVAL;
    return uv_run(loop, UV_RUN_DEFAULT);
}
