#include "engine/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define READ_SIZE 16384

int engine_http_send(struct engine_conn *c, const struct engine_request *req,
                     int timeout_ms)
{
    cleanup_free char *head = NULL;
    char length[48] = "";
    int rc, n;

    if (req->body || req->send_body_later || !strcmp(req->method, "POST"))
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
                 req->length);
    n = asprintf(&head,
                 "%s %s HTTP/1.1\r\nHost: docker\r\nUser-Agent: tp\r\n"
                 "%s%s%s%s%s%s%s\r\n",
                 req->method, req->path, req->type ? "Content-Type: " : "",
                 req->type ? req->type : "", req->type ? "\r\n" : "", length,
                 req->upgrade ? "Connection: Upgrade\r\nUpgrade: " : "",
                 req->upgrade ? req->upgrade : "", req->upgrade ? "\r\n" : "");
    if (n < 0) {
        head = NULL;
        return -ENOMEM;
    }
    rc = engine_conn_write(c, head, (size_t)n, timeout_ms);
    if (rc == 0 && req->body && !req->send_body_later)
        rc = engine_conn_write(c, req->body, req->length, timeout_ms);
    return rc;
}

/* Reads more bytes behind those that are there. > 0, 0 at the end, -errno. */
static ssize_t fill(struct engine_reply *r)
{
    size_t room = buf_room(&r->in);
    uint8_t *to;
    ssize_t n;

    room = room < READ_SIZE ? room : READ_SIZE;
    if (room == 0)
        return -EMSGSIZE;
    to = buf_reserve(&r->in, room);
    if (!to)
        return -ENOMEM;
    n = engine_conn_read(r->conn, to, room, r->timeout_ms);
    if (n > 0)
        buf_commit(&r->in, (size_t)n);
    return n;
}

/* Parses one head, reading as needed. */
static int receive_head(struct engine_reply *r)
{
    for (;;) {
        ssize_t n;
        int len = 0;

        if (buf_used(&r->in) > 0)
            len = http1_parse(&r->head, HTTP1_RESPONSE, buf_head(&r->in),
                              buf_used(&r->in));
        if (len > 0)
            buf_consume(&r->in, (size_t)len);
        if (len != 0)
            return len;
        n = fill(r);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
}

static void choose_body(struct engine_reply *r)
{
    int status = r->head.status;

    if (r->head.chunked) {
        r->kind = BODY_CHUNKED;
    } else if (r->head.content_length >= 0) {
        r->kind = BODY_LENGTH;
        r->left = (uint64_t)r->head.content_length;
    } else {
        r->kind = BODY_UNTIL_END;
    }
    if (status == 204 || status == 304) {
        r->kind = BODY_LENGTH;
        r->left = 0;
    }
    r->ended = r->kind == BODY_LENGTH && r->left == 0;
}

int engine_http_receive(struct engine_conn *c, struct engine_reply *r,
                        int timeout_ms)
{
    memset(r, 0, sizeof(*r));
    r->conn = c;
    r->timeout_ms = timeout_ms;
    buf_init(&r->in, HTTP1_MAX_HEAD + READ_SIZE);
    for (;;) {
        int rc = receive_head(r);

        if (rc < 0) {
            buf_release(&r->in);
            return rc;
        }
        if (r->head.status >= 200 || r->head.status == 101)
            break;
        http1_release(&r->head);
    }
    choose_body(r);
    return 0;
}

/* A line of the chunk framing: its length with CRLF, 0: not complete. */
static size_t find_line(const struct buf *in)
{
    const uint8_t *end;

    if (buf_used(in) == 0)
        return 0;
    end = memchr(buf_head(in), '\n', buf_used(in));
    return end ? (size_t)(end - buf_head(in)) + 1 : 0;
}

/* Takes one line; 0 or a negative errno. The text is cut to fit. */
static int take_line(struct engine_reply *r, char *text, size_t size)
{
    size_t len;

    while ((len = find_line(&r->in)) == 0) {
        ssize_t n = fill(r);

        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    if (len < 2 || buf_head(&r->in)[len - 2] != '\r')
        return -EBADMSG;
    snprintf(text, size, "%.*s", (int)(len - 2), (char *)buf_head(&r->in));
    buf_consume(&r->in, len);
    return 0;
}

/* Behind the last chunk: trailers until an empty line. */
static int skip_trailers(struct engine_reply *r)
{
    char line[256];
    int rc = 0;

    for (int i = 0; rc == 0 && i < HTTP1_MAX_HEADERS; i++) {
        rc = take_line(r, line, sizeof(line));
        if (rc == 0 && !*line) {
            r->ended = true;
            return 0;
        }
    }
    return rc < 0 ? rc : -EMSGSIZE;
}

/* Reads the size of the next chunk. */
static int next_chunk(struct engine_reply *r)
{
    char line[64], *end;
    int rc = 0;

    if (r->chunk_open) { /* the CRLF behind the chunk's bytes */
        rc = take_line(r, line, sizeof(line));
        if (rc == 0 && *line)
            rc = -EBADMSG;
    }
    if (rc == 0)
        rc = take_line(r, line, sizeof(line));
    if (rc < 0)
        return rc;
    errno = 0;
    r->left = strtoull(line, &end, 16);
    if (errno || end == line || strspn(line, "0123456789abcdefABCDEF") == 0 ||
        (*end && *end != ';' && *end != ' '))
        return -EBADMSG;
    r->chunk_open = true;
    return r->left == 0 ? skip_trailers(r) : 0;
}

/* 1: bytes of the body are there; 0: it is at its end; or a negative errno. */
static int await_body(struct engine_reply *r)
{
    ssize_t n;

    if (!r->ended && r->kind == BODY_CHUNKED && r->left == 0) {
        int rc = next_chunk(r);

        if (rc < 0)
            return rc;
    }
    if (r->ended)
        return 0;
    if (buf_used(&r->in) > 0)
        return 1;
    n = fill(r);
    if (n == 0 && r->kind != BODY_UNTIL_END)
        return -ECONNRESET;
    r->ended = n == 0;
    return n > 0 ? 1 : (int)n;
}

/* Takes up to len bytes of those that are there. */
static size_t take_body(struct engine_reply *r, void *data, size_t len)
{
    size_t n = buf_used(&r->in) < len ? buf_used(&r->in) : len;

    if (r->kind != BODY_UNTIL_END) {
        n = n < r->left ? n : (size_t)r->left;
        r->left -= n;
        r->ended = r->kind == BODY_LENGTH && r->left == 0;
    }
    memcpy(data, buf_head(&r->in), n);
    buf_consume(&r->in, n);
    return n;
}

ssize_t engine_http_read(struct engine_reply *r, void *data, size_t len)
{
    int rc = len > 0 ? await_body(r) : 0;

    return rc > 0 ? (ssize_t)take_body(r, data, len) : rc;
}

int engine_http_read_all(struct engine_reply *r, size_t max, char **out,
                         size_t *len)
{
    struct buf body;
    char chunk[8192];
    ssize_t n;

    buf_init(&body, max + 1);
    while ((n = engine_http_read(r, chunk, sizeof(chunk))) > 0) {
        int rc = buf_append(&body, chunk, (size_t)n);

        if (rc < 0) {
            n = rc == -ENOBUFS ? -EMSGSIZE : rc;
            break;
        }
    }
    if (n == 0 && buf_append(&body, "", 1) < 0)
        n = -EMSGSIZE;
    if (n < 0) {
        buf_release(&body);
        return (int)n;
    }
    *len = buf_used(&body) - 1;
    *out = (char *)body.data; /* head is 0: nothing was consumed */
    return 0;
}

bool engine_http_reusable(const struct engine_reply *r)
{
    return r->ended && r->kind != BODY_UNTIL_END && r->head.keep_alive &&
           buf_used(&r->in) == 0;
}

void engine_http_release(struct engine_reply *r)
{
    http1_release(&r->head);
    buf_release(&r->in);
}
