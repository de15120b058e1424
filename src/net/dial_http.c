/*
 * dial_http.c - sends one request, reads one answer
 *
 * A refusal's body is read as well, as far as it is short: API servers and
 * proxies say there why.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/dial_internal.h"

#define READ_SIZE 4096
/* What DIAL_MAX_BODY may take with its chunk heads. */
#define MAX_RAW_BODY ((size_t)DIAL_MAX_BODY * 2)

struct dial_http {
    struct stream *stream;
    dial_http_cb *cb;
    void *arg;
    char *request;
    size_t len, sent;
    struct buf in;
    struct dial_answer answer;
    bool connect;
    bool has_head; /* of a refusal: the body is being read */
    char body[DIAL_MAX_BODY + 1];
};

static void wipe_request(struct dial_http *h)
{
    if (h->request)
        explicit_bzero(h->request, h->len);
    free(h->request);
    h->request = NULL;
}

void dial_http_free(struct dial_http *h)
{
    if (!h)
        return;
    wipe_request(h);
    buf_release(&h->in);
    http1_release(&h->answer.head);
    free(h);
}

static void report(struct dial_http *h, int status)
{
    stream_set_callback(h->stream, NULL, NULL);
    stream_want(h->stream, 0);
    h->cb(h->arg, status, status < 0 ? NULL : &h->answer);
}

/* --- bodies --------------------------------------------------------------- */

/* The size line of a chunk: its length with CRLF; 0: not complete; -EBADMSG. */
static int parse_chunk_size(const char *data, size_t len, size_t *size)
{
    const char *end = memchr(data, '\n', len);
    size_t i = 0, n = 0;

    if (!end)
        return len > 256 ? -EBADMSG : 0;
    for (; isxdigit((unsigned char)data[i]); i++) {
        char c = (char)tolower((unsigned char)data[i]);

        if (n > SIZE_MAX / 64)
            return -EBADMSG;
        n = n * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (i == 0 || end == data || end[-1] != '\r' ||
        (data[i] != '\r' && data[i] != ';'))
        return -EBADMSG;
    *size = n;
    return (int)(end - data) + 1;
}

int dial_decode_chunks(const char *data, size_t len, char *out, size_t size,
                       size_t *used)
{
    *used = 0;
    for (;;) {
        size_t chunk = 0, part;
        int rc = parse_chunk_size(data, len, &chunk);

        if (rc <= 0)
            return rc;
        if (chunk == 0) /* trailers are of no interest */
            return 1;
        data += rc;
        len -= (size_t)rc;
        part = chunk < len ? chunk : len;
        if (part > size - *used)
            part = size - *used;
        memcpy(out + *used, data, part);
        *used += part;
        if (*used == size)
            return 1;
        if (len < chunk || len - chunk < 2)
            return 0;
        if (memcmp(data + chunk, "\r\n", 2) != 0)
            return -EBADMSG;
        data += chunk + 2;
        len -= chunk + 2;
    }
}

/* Copies what there is of the body to h->body. True if that is all. */
static bool take_body(struct dial_http *h)
{
    const struct http1_head *head = &h->answer.head;
    size_t used = buf_used(&h->in), max = DIAL_MAX_BODY;
    int rc;

    h->body[0] = '\0';
    h->answer.body = h->body;
    if (head->status == 204 || head->status == 304 || head->content_length == 0)
        return true;
    if (used == 0)
        return false;
    if (head->chunked) {
        rc = dial_decode_chunks((const char *)buf_head(&h->in), used, h->body,
                                max, &used);
        h->body[used] = '\0';
        return rc != 0 || buf_used(&h->in) >= MAX_RAW_BODY;
    }
    if (head->content_length > 0 && head->content_length < (int64_t)max)
        max = (size_t)head->content_length;
    if (used > max)
        used = max;
    memcpy(h->body, buf_head(&h->in), used);
    h->body[used] = '\0';
    return used == max;
}

/* --- the answer ----------------------------------------------------------- */

static bool is_success(const struct dial_http *h)
{
    int status = h->answer.head.status;

    return h->connect ? status / 100 == 2 : status == 101;
}

/* Looks for a final head. Returns 1 when h->answer has it, 0 or an error. */
static int take_head(struct dial_http *h)
{
    struct http1_head *head = &h->answer.head;

    while (buf_used(&h->in) > 0) {
        int rc = http1_parse(head, HTTP1_RESPONSE, buf_head(&h->in),
                             buf_used(&h->in));

        if (rc <= 0)
            return rc;
        buf_consume(&h->in, (size_t)rc);
        if (head->status >= 200 || is_success(h))
            return 1;
        http1_release(head); /* 100, 103: the real answer follows */
    }
    return 0;
}

/* Handles what has been read. True when the answer has been reported. */
static bool take_input(struct dial_http *h)
{
    if (!h->has_head) {
        int rc = take_head(h);

        if (rc == 0)
            return false;
        if (rc > 0 && is_success(h)) {
            h->answer.extra = buf_head(&h->in);
            h->answer.extra_len = buf_used(&h->in);
        }
        if (rc < 0 || is_success(h)) {
            report(h, rc < 0 ? rc : 0);
            return true;
        }
        h->has_head = true;
    }
    if (!take_body(h))
        return false;
    report(h, 0);
    return true;
}

/* The end, or an error, before the answer was complete. */
static void input_ended(struct dial_http *h, int status)
{
    if (h->has_head)
        report(h, 0); /* with as much of the body as came */
    else
        report(h, status < 0 ? status : -ECONNRESET);
}

static void read_answer(struct dial_http *h)
{
    for (;;) {
        uint8_t *room = buf_reserve(&h->in, READ_SIZE);
        ssize_t n;

        if (!room) {
            input_ended(h, -EMSGSIZE);
            return;
        }
        n = stream_read(h->stream, room, READ_SIZE);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            input_ended(h, (int)n);
            return;
        }
        buf_commit(&h->in, (size_t)n);
        if (take_input(h))
            return;
    }
}

static void event_cb(void *arg, unsigned events)
{
    struct dial_http *h = arg;

    while (h->request) {
        ssize_t n =
            stream_write(h->stream, h->request + h->sent, h->len - h->sent);

        if (n == -EAGAIN)
            break;
        if (n < 0) {
            /* The reason may be waiting to be read. */
            wipe_request(h);
            stream_want(h->stream, STREAM_READABLE);
            break;
        }
        h->sent += (size_t)n;
        if (h->sent == h->len) {
            wipe_request(h);
            stream_want(h->stream, STREAM_READABLE);
        }
    }
    if (events & STREAM_READABLE)
        read_answer(h);
}

struct dial_http *dial_http_start(struct stream *s, char *request, size_t len,
                                  bool connect, dial_http_cb *cb, void *arg)
{
    struct dial_http *h = calloc(1, sizeof(*h));

    if (!h) {
        explicit_bzero(request, len);
        free(request);
        return NULL;
    }
    h->stream = s;
    h->request = request;
    h->len = len;
    h->connect = connect;
    h->cb = cb;
    h->arg = arg;
    buf_init(&h->in, HTTP1_MAX_HEAD + MAX_RAW_BODY + READ_SIZE);
    stream_set_callback(s, event_cb, h);
    stream_want(s, STREAM_READABLE | STREAM_WRITABLE);
    return h;
}

bool dial_http_expire(struct dial_http *h)
{
    if (!h->has_head)
        return false;
    report(h, 0);
    return true;
}
