/*
 * request.c - JSON requests on a link: one answer, or a long one of lines
 *
 * A request that is not answered within 30 s ends with -ETIMEDOUT; a watch
 * waits for ever once it has been answered (the link's pings watch over it).
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct request {
    uv_timer_t timer;
    struct tunnel_stream *stream;
    struct buf body; /* watch: the line that is not complete */
    tunnel_line_cb *line_cb;
    tunnel_response_cb *cb;
    void *arg;
    bool eof;
    bool called;
};

static void call_cb(struct request *r, int status)
{
    const char *body = "";
    size_t len = 0;

    if (r->called)
        return;
    r->called = true;
    if (status > 0 && !r->line_cb && buf_append(&r->body, "", 1) == 0) {
        body = (const char *)buf_head(&r->body);
        len = buf_used(&r->body) - 1;
    }
    r->cb(r->arg, status, body, len);
}

/* Gives every complete line away. */
static void split_lines(struct request *r)
{
    while (!r->called && buf_used(&r->body) > 0) {
        char *line = (char *)buf_head(&r->body);
        char *end = memchr(line, '\n', buf_used(&r->body));

        if (!end)
            return;
        *end = '\0';
        r->line_cb(r->arg, line, (size_t)(end - line));
        buf_consume(&r->body, (size_t)(end - line) + 1);
    }
}

static void opened_cb(void *arg, int status)
{
    struct request *r = arg;

    if (status == 0 && r->line_cb)
        uv_timer_stop(&r->timer);
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0; /* the body is sent by the stream itself */
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct request *r = arg;
    int rc = -ENOBUFS;

    if (len <= TUNNEL_BODY_MAX - buf_used(&r->body))
        rc = buf_append(&r->body, data, len);
    if (rc != 0)
        return rc;
    if (r->line_cb && r->stream->http_status == 200)
        split_lines(r);
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    struct request *r = arg;

    r->eof = true;
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct request *r = handle->data;

    buf_release(&r->body);
    free(r);
}

static void closed_cb(void *arg, int status)
{
    struct request *r = arg;

    if (r->eof)
        status = r->stream->http_status;
    else if (status == 0)
        status = -ECONNRESET;
    r->stream = NULL;
    call_cb(r, status);
    uv_close((uv_handle_t *)&r->timer, timer_closed_cb);
}

static void timeout_cb(uv_timer_t *timer)
{
    struct request *r = timer->data;

    tunnel_stream_reset(r->stream, -ETIMEDOUT);
}

static const struct tunnel_stream_ops request_ops = {
    opened_cb, pull_cb, push_cb, eof_cb, closed_cb};

static int start(struct tunnel *t, const char *method, const char *path,
                 const char *text, struct request *r)
{
    char *body = NULL;
    int rc;

    if (text && !(body = strdup(text)))
        return -ENOMEM;
    r->stream = open_request(t, method, path, body, text ? strlen(text) : 0,
                             &request_ops, r);
    rc = r->stream ? 0 : -errno;
    if (rc != 0)
        return rc;
    uv_timer_init(t->loop, &r->timer);
    r->timer.data = r;
    return uv_timer_start(&r->timer, timeout_cb, TUNNEL_REQUEST_MS, 0);
}

static int begin(struct tunnel *t, const char *method, const char *path,
                 const char *body, tunnel_line_cb *line_cb,
                 tunnel_response_cb *cb, void *arg)
{
    struct request *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return -ENOMEM;
    buf_init(&r->body, TUNNEL_BODY_MAX + 1);
    r->line_cb = line_cb;
    r->cb = cb;
    r->arg = arg;
    rc = start(t, method, path, body, r);
    if (rc != 0)
        free(r);
    return rc;
}

int tunnel_request(struct tunnel *t, const char *method, const char *path,
                   const char *body, tunnel_response_cb *cb, void *arg)
{
    return begin(t, method, path, body, NULL, cb, arg);
}

int tunnel_watch(struct tunnel *t, const char *path, tunnel_line_cb *line_cb,
                 tunnel_response_cb *end_cb, void *arg)
{
    return begin(t, "GET", path, NULL, line_cb, end_cb, arg);
}

static struct tunnel_stream *find_watch(const struct tunnel *t)
{
    struct tunnel_stream *s;

    LIST_FOREACH(s, &t->streams, entry)
    {
        if (s->ops == &request_ops && s->phase != TUNNEL_DONE &&
            ((const struct request *)s->arg)->line_cb)
            return s;
    }
    return NULL;
}

void tunnel_unwatch(struct tunnel *t)
{
    struct tunnel_stream *s;

    tunnel_enter(t);
    while (!t->ended && (s = find_watch(t)))
        tunnel_stream_reset(s, -ECANCELED);
    tunnel_kick(t);
    tunnel_leave(t);
}
