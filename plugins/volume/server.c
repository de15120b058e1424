#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "net/http1.h"
#include "net/listen.h"
#include "net/stream.h"

#define BACKLOG    64
#define CONNS_MAX  128
#define IDLE_MS    60000
#define REQUEST_MS 10000

enum conn_state {
    READING, /* a head, then its body; between requests: nothing */
    ASKED,   /* the handler has it; only the end of the peer is looked for */
    WRITING,
};

/* A connection, seen by handlers as its request. */
struct server_request {
    LIST_ENTRY(server_request) entry;
    struct server *server; /* NULL once it is closed */
    struct stream *stream;
    uv_timer_t timer;
    enum conn_state state;
    struct buf in, out;
    bool closing, keep_alive;
    unsigned holds; /* stream, timer, and the handler */
};

struct server {
    uv_loop_t *loop;
    struct listener *listener;
    server_cb *cb;
    void *arg;
    LIST_HEAD(, server_request) conns;
    unsigned count;
};

static void read_request(struct server_request *r);

static void let_go(struct server_request *r)
{
    if (--r->holds > 0)
        return;
    buf_release(&r->in);
    buf_release(&r->out);
    free(r);
}

static void stream_closed_cb(void *arg)
{
    let_go(arg);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void conn_close(struct server_request *r)
{
    if (r->closing)
        return;
    r->closing = true;
    LIST_REMOVE(r, entry);
    r->server->count--;
    r->server = NULL;
    stream_close(r->stream, stream_closed_cb, r);
    uv_close((uv_handle_t *)&r->timer, timer_closed_cb);
}

static void timeout_cb(uv_timer_t *timer)
{
    conn_close(timer->data);
}

/* ---- answers ------------------------------------------------------------- */

static void write_out(struct server_request *r)
{
    while (buf_used(&r->out) > 0) {
        ssize_t n =
            stream_write(r->stream, buf_head(&r->out), buf_used(&r->out));

        if (n == -EAGAIN) {
            stream_want(r->stream, STREAM_WRITABLE);
            return;
        }
        if (n < 0) {
            conn_close(r);
            return;
        }
        buf_consume(&r->out, (size_t)n);
    }
    if (!r->keep_alive) {
        conn_close(r);
        return;
    }
    r->state = READING;
    uv_timer_start(&r->timer, timeout_cb, IDLE_MS, 0);
    stream_want(r->stream, STREAM_READABLE);
    if (buf_used(&r->in) > 0)
        read_request(r);
}

static const char *reason_of(int status)
{
    return status == 200 ? "OK" : status == 404 ? "Not Found" : "Bad Request";
}

static void put_answer(struct server_request *r, int status,
                       struct json_object *obj)
{
    const char *text = json_to_text(obj);
    char head[256];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %d %s\r\nContent-Type: "
                       "application/vnd.docker.plugins.v1.2+json\r\n"
                       "Content-Length: %zu\r\n%s\r\n",
                       status, reason_of(status), strlen(text),
                       r->keep_alive ? "" : "Connection: close\r\n");

    if (buf_append(&r->out, head, (size_t)len) < 0 ||
        buf_append(&r->out, text, strlen(text)) < 0) {
        conn_close(r);
        return;
    }
    r->state = WRITING;
    uv_timer_start(&r->timer, timeout_cb, REQUEST_MS, 0);
    write_out(r);
}

bool server_answer(struct server_request *r, int status,
                   struct json_object *obj)
{
    bool there = !r->closing;

    if (there)
        put_answer(r, status, obj);
    json_object_put(obj);
    let_go(r);
    return there;
}

static void refuse(struct server_request *r, const char *why)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "Err", why);
    r->keep_alive = false;
    r->holds++;
    server_answer(r, 400, obj);
}

/* ---- requests ------------------------------------------------------------ */

static void hand_over(struct server_request *r, const char *path,
                      const char *body, size_t len)
{
    cleanup_json struct json_object *obj = NULL;

    if (len > 0) {
        obj = json_parse_text(body, len, NULL);
        if (!json_object_is_type(obj, json_type_object)) {
            refuse(r, "the request is no JSON object");
            return;
        }
    }
    r->state = ASKED;
    r->holds++;
    uv_timer_stop(&r->timer);
    stream_want(r->stream, STREAM_READABLE);
    r->server->cb(r->server->arg, r, path, obj);
}

/* Whole requests only: both parts are small. */
static void take_request(struct server_request *r, struct http1_head *head,
                         size_t head_len)
{
    size_t body_len =
        head->content_length > 0 ? (size_t)head->content_length : 0;
    cleanup_free char *path = NULL, *body = NULL;

    if (head->chunked || body_len > SERVER_BODY_MAX) {
        refuse(r, "the request is too large, or of no known length");
        return;
    }
    if (strcmp(head->method, "POST") != 0) {
        refuse(r, "only POST is known");
        return;
    }
    if (buf_used(&r->in) - head_len < body_len)
        return; /* later */
    path = strdup(head->target);
    body = malloc(body_len + 1);
    if (!path || !body) {
        conn_close(r);
        return;
    }
    memcpy(body, buf_head(&r->in) + head_len, body_len);
    body[body_len] = '\0';
    r->keep_alive = head->keep_alive;
    buf_consume(&r->in, head_len + body_len);
    hand_over(r, path, body, body_len);
}

static void read_request(struct server_request *r)
{
    struct http1_head *head = malloc(sizeof(*head)); /* of 8 KiB */
    int len = head ? http1_parse(head, HTTP1_REQUEST, buf_head(&r->in),
                                 buf_used(&r->in))
                   : -ENOMEM;

    if (len > 0) {
        take_request(r, head, (size_t)len);
        http1_release(head);
    } else if (len < 0) {
        refuse(r, "the request is not HTTP");
    }
    free(head);
}

static void readable(struct server_request *r)
{
    size_t room = buf_room(&r->in) < 16384 ? buf_room(&r->in) : 16384;
    uint8_t *to = room ? buf_reserve(&r->in, room) : NULL;
    ssize_t n = to ? stream_read(r->stream, to, room) : -ENOBUFS;

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        conn_close(r);
        return;
    }
    if (r->state == READING && buf_used(&r->in) == 0)
        uv_timer_start(&r->timer, timeout_cb, REQUEST_MS, 0);
    buf_commit(&r->in, (size_t)n);
    if (r->state == READING)
        read_request(r);
}

static void event_cb(void *arg, unsigned events)
{
    struct server_request *r = arg;

    if (events & STREAM_WRITABLE)
        write_out(r);
    else if (events & STREAM_READABLE)
        readable(r);
}

static void accepted_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct server *s = arg;
    struct server_request *r =
        s->count < CONNS_MAX ? calloc(1, sizeof(*r)) : NULL;

    (void)peer;
    if (!r) {
        close(fd);
        return;
    }
    r->stream = stream_create_fd(s->loop, fd);
    if (!r->stream) {
        free(r);
        return;
    }
    r->server = s;
    r->holds = 2;
    buf_init(&r->in, HTTP1_MAX_HEAD + SERVER_BODY_MAX);
    buf_init(&r->out, 4 * SERVER_BODY_MAX);
    uv_timer_init(s->loop, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, timeout_cb, IDLE_MS, 0);
    LIST_INSERT_HEAD(&s->conns, r, entry);
    s->count++;
    stream_set_callback(r->stream, event_cb, r);
    stream_want(r->stream, STREAM_READABLE);
}

struct server *server_create(uv_loop_t *loop, const char *path, server_cb *cb,
                             void *arg, struct tp_error *err)
{
    struct server *s = calloc(1, sizeof(*s));
    int fd;

    if (!s) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->cb = cb;
    s->arg = arg;
    LIST_INIT(&s->conns);
    fd = listener_bind_unix(path, BACKLOG, err);
    if (fd >= 0)
        s->listener = listener_create_fd(loop, fd, accepted_cb, s, err);
    if (s->listener)
        return s;
    free(s);
    return NULL;
}

void server_close(struct server *s)
{
    struct server_request *r;

    if (!s)
        return;
    while ((r = LIST_FIRST(&s->conns)))
        conn_close(r);
    listener_close(s->listener);
    free(s);
}
