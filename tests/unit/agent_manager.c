#include "agent_manager.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/certificate.h"
#include "net/http1.h"

struct conn {
    struct fake_replica *r;
    struct stream *stream;
    char data[8192];
    size_t len;
};

/* ---- out: hello, events -------------------------------------------------- */

static ssize_t events_pull_cb(void *arg, void *data, size_t len)
{
    struct fake_replica *r = arg;
    size_t n = strlen(r->pending);

    if (n == 0)
        return -EAGAIN;
    ck_assert_uint_le(n, len);
    memcpy(data, r->pending, n);
    r->pending[0] = '\0';
    return (ssize_t)n;
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

static void events_closed_cb(void *arg, int status)
{
    struct fake_replica *r = arg;

    (void)status;
    r->events = NULL;
}

static const struct tunnel_stream_ops events_ops = {
    .pull_cb = events_pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = events_closed_cb,
};

void fake_event(struct fake_replica *r, const char *line)
{
    ck_assert_uint_lt(strlen(r->pending) + strlen(line) + 1,
                      sizeof(r->pending));
    strcat(r->pending, line);
    strcat(r->pending, "\n");
    if (r->events)
        tunnel_stream_resume(r->events);
}

static int answer_hello(struct fake_replica *r, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    char text[100];

    ck_assert_str_eq(open->method, "POST");
    ck_assert_ptr_nonnull(strstr(open->body, "\"protocol\": [1]"));
    r->hellos++;
    snprintf(text, sizeof(text), "{\"protocol\":1,\"replica\":\"%s\"}", r->ip);
    return tunnel_stream_respond(s, 200, *r->hello ? r->hello : text);
}

static int out_open_cb(void *arg, struct tunnel_stream *s,
                       const struct tunnel_open *open)
{
    struct fake_replica *r = arg;

    if (open->kind == TUNNEL_REQUEST && !strcmp(open->path, "/tp/v1/hello"))
        return answer_hello(r, s, open);
    if (open->kind == TUNNEL_REQUEST && !strcmp(open->path, "/tp/v1/events")) {
        r->events = s;
        tunnel_stream_set_user(s, &events_ops, r);
        return tunnel_stream_answer(s, 0);
    }
    return -EACCES;
}

static void out_closed_cb(void *arg, int status, const char *why)
{
    struct fake_replica *r = arg;

    (void)why;
    r->out_status = status;
    tunnel_destroy(r->out);
    r->out = NULL;
}

static void in_closed_cb(void *arg, int status, const char *why)
{
    struct fake_replica *r = arg;

    (void)status;
    (void)why;
    tunnel_destroy(r->in);
    r->in = NULL;
}

static const struct tunnel_ops out_ops = {
    .open_cb = out_open_cb,
    .closed_cb = out_closed_cb,
};

static const struct tunnel_ops in_ops = {.closed_cb = in_closed_cb};

/* ---- upgrade ------------------------------------------------------------- */

static void conn_close(struct conn *c)
{
    stream_close(c->stream, free, c);
}

static void switch_protocol(struct conn *c, bool out)
{
    const struct tunnel_config config = {.role = out ? TUNNEL_SERVER
                                                     : TUNNEL_CLIENT};
    struct fake_replica *r = c->r;
    struct tunnel **slot = out ? &r->out : &r->in;
    char head[200];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nConnection: "
                     "Upgrade\r\nUpgrade: %s\r\n\r\n",
                     out ? "tp-agent/1" : "tp-agent-in/1");

    if (*slot) { /* a second one of the seed */
        r->seconds++;
        conn_close(c);
        return;
    }
    ck_assert_int_eq(stream_write(c->stream, head, (size_t)n), n);
    *slot = tunnel_create(r->m->loop, c->stream, &config,
                          out ? &out_ops : &in_ops, r);
    free(c);
}

static void take_head(struct conn *c, const struct http1_head *head)
{
    const char *token = http1_get(head, "Authorization");
    const char *upgrade = http1_get(head, "Upgrade");
    struct fake_replica *r = c->r;
    char answer[64];

    r->heads++;
    ck_assert_str_eq(head->method, "POST");
    ck_assert_str_eq(head->target, "/tp/v1/agent");
    snprintf(r->token, sizeof(r->token), "%s", token ? token : "");
    if (r->refuse) {
        int n =
            snprintf(answer, sizeof(answer),
                     "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", r->refuse);

        stream_write(c->stream, answer, (size_t)n);
        conn_close(c);
        return;
    }
    switch_protocol(c, !strcmp(upgrade, "tp-agent/1"));
}

static void event_cb(void *arg, unsigned events)
{
    struct http1_head *head = calloc(1, sizeof(*head));
    struct conn *c = arg;
    ssize_t n =
        stream_read(c->stream, c->data + c->len, sizeof(c->data) - c->len);

    (void)events;
    if (n > 0) {
        c->len += (size_t)n;
        if (http1_parse(head, HTTP1_REQUEST, c->data, c->len) > 0) {
            take_head(c, head);
            http1_release(head);
        }
    } else if (n != -EAGAIN) {
        conn_close(c);
    }
    free(head);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    struct conn *c = arg;

    (void)text;
    if (status < 0) {
        conn_close(c);
        return;
    }
    c->r->handshakes++;
    stream_set_callback(c->stream, event_cb, c);
    stream_want(c->stream, STREAM_READABLE);
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct fake_replica *r = arg;
    struct conn *c = calloc(1, sizeof(*c));

    (void)peer;
    r->accepted++;
    c->r = r;
    c->stream = tls_accept(r->m->tls, stream_create_fd(r->m->loop, fd), 5000,
                           handshake_cb, c);
}

/* ---- life ---------------------------------------------------------------- */

void fake_start(struct fake_replica *r)
{
    struct tp_error err = {0};
    union sockaddr_any addr;

    ck_assert_int_eq(sockaddr_parse(&addr, r->ip, r->m->port), 0);
    r->listener = listener_create(r->m->loop, &addr, 16, accept_cb, r, &err);
    ck_assert_msg(r->listener != NULL, "%s", err.text);
    listener_get_addr(r->listener, &addr);
    r->m->port = sockaddr_port(&addr);
}

void fake_stop(struct fake_replica *r)
{
    listener_close(r->listener);
    r->listener = NULL;
    tunnel_destroy(r->out);
    tunnel_destroy(r->in);
    r->out = r->in = NULL;
}

void fake_init(struct fake_manager *m, uv_loop_t *loop, const char *name)
{
    const char *names[] = {name ? name : FAKE_NAME, NULL};
    struct certificate leaf = {0};
    struct tp_error err = {0};
    struct tls_server_config config;

    memset(m, 0, sizeof(*m));
    m->loop = loop;
    pki_make_ca(&m->ca, "tp test CA");
    ck_assert_msg(
        certificate_issue(&leaf, m->ca.cert, m->ca.key, names, &err) == 0, "%s",
        err.text);
    config = (struct tls_server_config){.cert_pem = leaf.cert_pem,
                                        .key_pem = leaf.key_pem};
    m->tls = tls_ctx_create_server(&config, &err);
    ck_assert_msg(m->tls != NULL, "%s", err.text);
    certificate_release(&leaf);
    for (int i = 0; i < FAKE_REPLICAS; i++) {
        m->replicas[i].m = m;
        snprintf(m->replicas[i].ip, sizeof(m->replicas[i].ip), "127.0.0.%d",
                 i + 1);
    }
}

void fake_release(struct fake_manager *m)
{
    for (int i = 0; i < FAKE_REPLICAS; i++)
        fake_stop(&m->replicas[i]);
    tls_ctx_destroy(m->tls);
    pki_release(&m->ca);
}
