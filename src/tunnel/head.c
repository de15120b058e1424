/*
 * head.c - request heads (server) and response heads (client)
 *
 * A request becomes a struct tunnel_open here; whatever doc/protocol.md does
 * not allow is answered by a refusal and never reaches the user.
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREIGN "x-remote-"

nghttp2_nv head_nv(const char *name, const char *value)
{
    /* nghttp2 does not write to them, and copies them. */
    union {
        const char *c;
        uint8_t *u;
    } n = {name}, v = {value};
    nghttp2_nv nv = {n.u, v.u, strlen(name), strlen(value),
                     NGHTTP2_NV_FLAG_NONE};

    return nv;
}

void head_free(struct tunnel_head *head)
{
    if (!head)
        return;
    free(head->method);
    free(head->authority);
    free(head->path);
    free(head->protocol);
    buf_release(&head->body);
    free(head);
}

/* ---- requests --------------------------------------------------------- */

static bool is(const uint8_t *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

static char **head_field(struct tunnel_head *head, const uint8_t *name,
                         size_t len)
{
    if (is(name, len, ":method"))
        return &head->method;
    if (is(name, len, ":authority"))
        return &head->authority;
    if (is(name, len, ":path"))
        return &head->path;
    if (is(name, len, ":protocol"))
        return &head->protocol;
    return NULL;
}

static int add_request_field(struct tunnel_stream *s, const uint8_t *name,
                             size_t name_len, const uint8_t *value,
                             size_t value_len)
{
    struct tunnel_head *head = s->head;
    char **field;

    if (!head) {
        head = s->head = calloc(1, sizeof(*head));
        if (!head)
            return -ENOMEM;
        buf_init(&head->body, TUNNEL_BODY_MAX + 1);
    }
    head->size += name_len + value_len + 32;
    if (head->size > TUNNEL_HEAD_MAX) {
        head->too_large = true;
        return 0;
    }
    if (name_len >= strlen(FOREIGN) &&
        memcmp(name, FOREIGN, strlen(FOREIGN)) == 0)
        head->foreign = true;
    field = head_field(head, name, name_len);
    if (!field || *field)
        return 0;
    *field = strndup((const char *)value, value_len);
    return *field ? 0 : -ENOMEM;
}

int head_store_body(struct tunnel_stream *s, const uint8_t *data, size_t len)
{
    struct tunnel_head *head = s->head;

    if (!head || head->too_large)
        return 0;
    if (len > TUNNEL_BODY_MAX - buf_used(&head->body) ||
        buf_append(&head->body, data, len) != 0) {
        head->too_large = true;
        return 0;
    }
    head->stored += len;
    if (!window_stored(s->tunnel, len))
        head->too_large = true;
    return 0;
}

/* Fills open from the head. 0 or -EINVAL. */
static int parse_head(struct tunnel_stream *s, struct tunnel_open *open)
{
    const struct tunnel_head *head = s->head;
    enum tunnel_names names = s->tunnel->config.names;
    int rc = 0;

    if (!head || !head->method || head->foreign || head->too_large)
        return -EINVAL;
    if (strcmp(head->method, "CONNECT") != 0) {
        s->kind = TUNNEL_REQUEST;
        open->method = head->method;
        open->path = head->path;
        rc = head->path ? 0 : -EINVAL;
    } else if (!head->protocol) {
        s->kind = TUNNEL_TCP;
        rc = target_parse_tcp(s->head, names, open);
    } else {
        s->kind = TUNNEL_UDP;
        rc = strcmp(head->protocol, "connect-udp") == 0
                 ? target_parse_udp(s->head, names, open)
                 : -EINVAL;
    }
    open->kind = s->kind;
    return rc;
}

static void call_open(struct tunnel_stream *s, struct tunnel_open *open)
{
    struct tunnel *t = s->tunnel;
    int rc;

    t->stats.opened++;
    s->phase = TUNNEL_ASKED;
    rc = t->ops->open_cb ? t->ops->open_cb(t->arg, s, open) : -EACCES;
    if (rc < 0 && s->phase == TUNNEL_ASKED) {
        tunnel_stream_set_user(s, NULL, NULL);
        tstream_refuse(s, rc);
    }
}

static void free_head(struct tunnel_stream *s)
{
    if (s->head)
        window_freed(s->tunnel, s->head->stored);
    head_free(s->head);
    s->head = NULL;
}

void head_complete(struct tunnel_stream *s, bool end_stream)
{
    struct tunnel_open open = {0};
    int rc = parse_head(s, &open);

    s->in_eof = end_stream;
    if (rc == 0 && s->kind == TUNNEL_REQUEST) {
        struct buf *body = &s->head->body;

        if (!end_stream)
            return; /* the body comes first */
        s->eof_told = true;
        if (buf_append(body, "", 1) != 0)
            rc = -ENOMEM;
        open.body = (const char *)buf_head(body);
        open.body_len = buf_used(body) - 1;
    }
    tstream_ref(s);
    if (rc == 0) {
        call_open(s, &open);
    } else {
        s->phase = TUNNEL_ASKED;
        tstream_refuse(s, rc);
    }
    free_head(s);
    tstream_unref(s);
}

/* ---- responses -------------------------------------------------------- */

/* The error parameter of Proxy-Status (RFC 9209 2.1.1) as an errno. */
static int parse_proxy_status(const uint8_t *value, size_t len)
{
    char text[128], *p, *end;

    if (len >= sizeof(text))
        len = sizeof(text) - 1;
    memcpy(text, value, len);
    text[len] = '\0';
    p = strstr(text, "error=");
    if (!p)
        return 0;
    p += strlen("error=");
    end = p + strcspn(p, "; ,");
    *end = '\0';
    return tunnel_errno_by_type(p)->error;
}

static int add_response_field(struct tunnel_stream *s, const uint8_t *name,
                              size_t name_len, const uint8_t *value,
                              size_t value_len)
{
    if (s->phase != TUNNEL_ASKED)
        return 0;
    if (is(name, name_len, ":status") && value_len == 3)
        s->http_status =
            (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    else if (is(name, name_len, "proxy-status"))
        s->proxy_error = parse_proxy_status(value, value_len);
    return 0;
}

int head_add(struct tunnel_stream *s, const uint8_t *name, size_t name_len,
             const uint8_t *value, size_t value_len)
{
    if (s->opener)
        return add_response_field(s, name, name_len, value, value_len);
    if (s->phase != TUNNEL_HEAD)
        return 0; /* trailers */
    return add_request_field(s, name, name_len, value, value_len);
}

/* A peer that sends no Proxy-Status: the status alone. */
static int errno_by_status(int status)
{
    switch (status) {
    case 400:
        return -EINVAL;
    case 403:
        return -EACCES;
    case 502:
        return -ECONNREFUSED;
    case 503:
        return -EMFILE;
    case 504:
        return -ETIMEDOUT;
    default:
        return -EIO;
    }
}

void head_response(struct tunnel_stream *s)
{
    int error = 0;

    if (s->http_status < 200)
        return; /* 1xx */
    if (s->kind != TUNNEL_REQUEST && s->http_status >= 300)
        error =
            s->proxy_error ? s->proxy_error : errno_by_status(s->http_status);
    tstream_answered(s, error);
}

/* ---- answers ---------------------------------------------------------- */

void tstream_refuse(struct tunnel_stream *s, int error)
{
    const struct tunnel_errno_row *row = tunnel_errno_by_error(error);
    char status[8], text[96];
    nghttp2_nv nv[2];

    snprintf(status, sizeof(status), "%d", row->http_status);
    snprintf(text, sizeof(text), "tp-manager; error=%s", row->type);
    nv[0] = head_nv(":status", status);
    nv[1] = head_nv("proxy-status", text);
    s->phase = TUNNEL_REFUSED;
    s->error = error;
    s->tunnel->stats.refused++;
    nghttp2_submit_response(s->tunnel->h2, s->id, nv, 2, NULL);
    s->out_eof = true;
    tunnel_kick(s->tunnel);
}

static int submit_answer(struct tunnel_stream *s)
{
    nghttp2_data_provider source = {.read_callback = tstream_read_cb};
    nghttp2_nv nv[2];
    size_t n = 0;
    int rc;

    nv[n++] = head_nv(":status", "200");
    if (s->kind == TUNNEL_UDP)
        nv[n++] = head_nv("capsule-protocol", "?1");
    else if (s->kind == TUNNEL_REQUEST)
        nv[n++] = head_nv("content-type", "application/json");
    rc = nghttp2_submit_response(s->tunnel->h2, s->id, nv, n, &source);
    return rc == 0 ? 0 : -ENOMEM;
}

int tunnel_stream_answer(struct tunnel_stream *s, int status)
{
    if (s->opener || s->phase != TUNNEL_ASKED)
        return -EINVAL;
    if (status < 0) {
        tstream_refuse(s, status);
        return 0;
    }
    if (submit_answer(s) != 0)
        return -ENOMEM;
    s->phase = TUNNEL_OPEN;
    if (s->in.used > 0 || s->in_eof)
        tstream_make_ready(s);
    tunnel_kick(s->tunnel);
    return 0;
}

int tunnel_stream_respond(struct tunnel_stream *s, int http_status,
                          const char *json)
{
    nghttp2_data_provider source = {.read_callback = tstream_read_cb};
    nghttp2_nv nv[2];
    char status[8];

    if (s->opener || s->phase != TUNNEL_ASKED || s->kind != TUNNEL_REQUEST)
        return -EINVAL;
    s->body = strdup(json ? json : "");
    if (!s->body)
        return -ENOMEM;
    s->body_len = strlen(s->body);
    snprintf(status, sizeof(status), "%d", http_status);
    nv[0] = head_nv(":status", status);
    nv[1] = head_nv("content-type", "application/json");
    if (nghttp2_submit_response(s->tunnel->h2, s->id, nv, 2, &source) != 0)
        return -ENOMEM;
    s->phase = TUNNEL_OPEN;
    tunnel_kick(s->tunnel);
    return 0;
}
