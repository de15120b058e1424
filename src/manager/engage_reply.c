#include "manager/engage_reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "tunnel/tunnel.h"

struct reply {
    struct tunnel_stream *stream; /* NULL: it has ended */
    bool sent;
};

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0; /* the body is sent by the stream itself */
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    (void)arg;
}

static void closed_cb(void *arg, int status)
{
    struct reply *r = arg;

    (void)status;
    r->stream = NULL;
    if (r->sent)
        free(r);
}

static const struct tunnel_stream_ops ops = {
    .pull_cb = pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

struct reply *reply_create(struct tunnel_stream *s)
{
    struct reply *r = calloc(1, sizeof(*r));

    if (r) {
        r->stream = s;
        tunnel_stream_set_user(s, &ops, r);
    }
    return r;
}

void reply_send(struct reply *r, int status, struct json_object *obj)
{
    struct tunnel_stream *s = r->stream;

    if (!s) {
        free(r);
    } else {
        r->sent = true;
        if (tunnel_stream_respond(s, status, json_to_text(obj)) < 0)
            tunnel_stream_reset(s, -ENOMEM);
    }
    json_object_put(obj);
}

void reply_error(struct reply *r, int status, const char *code, const char *fmt,
                 ...)
{
    struct json_object *obj = json_object_new_object();
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_put_str(obj, "error", text);
    json_put_str(obj, "code", code);
    reply_send(r, status, obj);
}
