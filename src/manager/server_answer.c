/* server_answer.c - one connection: writing answers, and handing it over */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/server_internal.h"

#define WRITE_MS 30000
#define IDLE_MS  120000

static void hand_over(struct server_request *c)
{
    server_upgrade_cb *cb = c->upgrade_cb;
    void *arg = c->upgrade_arg;
    struct stream *stream = c->stream;

    stream_want(stream, 0);
    stream_set_callback(stream, NULL, NULL);
    server_conn_free(c);
    cb(arg, stream);
}

static void answer_written(struct server_request *c)
{
    if (c->upgrade_cb) {
        hand_over(c);
        return;
    }
    server_conn_release_request(c);
    if (c->close_after || c->server->closing) {
        (void)stream_shutdown(c->stream);
        server_conn_close(c);
        return;
    }
    server_conn_set_state(c, HEAD, buf_used(&c->in) ? SERVER_HEAD_MS : IDLE_MS,
                          STREAM_READABLE);
    server_conn_read_head(c);
}

void server_conn_write(struct server_request *c)
{
    while (buf_used(&c->out) > 0) {
        ssize_t n =
            stream_write(c->stream, buf_head(&c->out), buf_used(&c->out));

        if (n == -EAGAIN) {
            stream_want(c->stream, STREAM_WRITABLE);
            return;
        }
        if (n <= 0) {
            server_conn_close(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    answer_written(c);
}

static const char *status_text(int status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

static bool put_answer(struct server_request *c, int status,
                       const char *content_type, const char *headers,
                       const char *body)
{
    bool no_body = c->head && !strcmp(c->head->method, "HEAD");
    size_t len = strlen(body);
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
                     "Content-Length: %zu\r\n%s%s\r\n",
                     status, status_text(status), content_type, len,
                     headers ? headers : "",
                     c->close_after ? "Connection: close\r\n" : "");

    return n > 0 && (size_t)n < sizeof(head) &&
           buf_append(&c->out, head, (size_t)n) == 0 &&
           (no_body || buf_append(&c->out, body, len) == 0);
}

void server_respond(struct server_request *c, int status,
                    const char *content_type, const char *headers,
                    const char *body)
{
    bool reusable = c->head && c->head->keep_alive;

    assert(c->state == BUSY);
    c->close_after = !reusable || (status >= 400 && !c->trusted);
    server_conn_set_state(c, WRITE, WRITE_MS, 0);
    if (!put_answer(c, status, content_type, headers, body))
        server_conn_close(c);
    else
        server_conn_write(c);
}

void server_upgrade(struct server_request *c, const char *headers,
                    server_upgrade_cb *cb, void *arg)
{
    char head[1024];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\n%s\r\n",
                     status_text(101), headers);

    assert(c->state == BUSY);
    c->upgrade_cb = cb;
    c->upgrade_arg = arg;
    server_conn_set_state(c, WRITE, WRITE_MS, 0);
    if (c->server->closing || n <= 0 || (size_t)n >= sizeof(head) ||
        buf_append(&c->out, head, (size_t)n) < 0)
        server_conn_close(c);
    else
        server_conn_write(c);
}
