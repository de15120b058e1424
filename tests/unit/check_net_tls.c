/* Unit tests: TLS on streams, both ends in one loop. */
#include "check_net.h"

#include <sys/socket.h>

#include "net/stream_internal.h"

#define MIB  ((size_t)1024 * 1024)
#define YEAR (365L * 24 * HOUR)

static struct identity ca, other_ca, server, expired, future, alice, mallory;

/* Once for all tests: they run in children of this process. */
static void make_identities(void)
{
    identity_make(&ca, NULL, "ca", NULL, -HOUR, YEAR);
    identity_make(&other_ca, NULL, "other ca", NULL, -HOUR, YEAR);
    identity_make(&server, &ca, "server",
                  "DNS:a.test,DNS:*.b.test,IP:127.0.0.1,IP:fd00::1", -HOUR,
                  YEAR);
    identity_make(&expired, &ca, "old", "DNS:a.test", -YEAR, -HOUR);
    identity_make(&future, &ca, "new", "DNS:a.test", HOUR, YEAR);
    identity_make(&alice, &ca, "alice", NULL, -HOUR, YEAR);
    identity_make(&mallory, &other_ca, "alice", NULL, -HOUR, YEAR);
}

static void release_identities(void)
{
    struct identity *all[] = {&ca,     &other_ca, &server, &expired,
                              &future, &alice,    &mallory};

    for (size_t i = 0; i < COUNT(all); i++)
        identity_release(all[i]);
}

/* Two ends and what their handshakes said. */
struct end {
    struct tls_ctx *ctx;
    struct stream *stream;
    int status;
    bool done;
    char text[512];
    bool close_in_cb;
};

struct pair {
    uv_loop_t *loop;
    struct end client, server;
};

static void handshake_cb(void *arg, int status, const char *text)
{
    struct end *e = arg;

    ck_assert(!e->done);
    ck_assert_int_eq(status < 0, text != NULL);
    e->status = status;
    snprintf(e->text, sizeof(e->text), "%s", text ? text : "");
    e->done = true;
    if (e->close_in_cb) {
        stream_close(e->stream, NULL, NULL);
        e->stream = NULL;
    }
}

static const struct tls_client_config trusting = {0};

static void pair_create(struct pair *p, const struct tls_client_config *client,
                        const struct tls_server_config *srv)
{
    struct tls_client_config c = client ? *client : trusting;
    struct tls_server_config v = {0};
    struct tp_error err = {0};

    memset(p, 0, sizeof(*p));
    p->loop = loop_create();
    if (!client)
        c.ca_pem = ca.cert;
    if (srv)
        v = *srv;
    if (!v.cert_pem) {
        v.cert_pem = server.cert;
        v.key_pem = server.key;
    }
    p->client.ctx = tls_ctx_create_client(&c, &err);
    ck_assert_msg(p->client.ctx != NULL, "%s", err.text);
    p->server.ctx = tls_ctx_create_server(&v, &err);
    ck_assert_msg(p->server.ctx != NULL, "%s", err.text);
}

static void pair_start_on(struct pair *p, struct stream *below[2],
                          const char *name)
{
    p->client.stream = tls_connect(p->client.ctx, below[0], name, 20000,
                                   handshake_cb, &p->client);
    p->server.stream =
        tls_accept(p->server.ctx, below[1], 20000, handshake_cb, &p->server);
    ck_assert_ptr_nonnull(p->client.stream);
    ck_assert_ptr_nonnull(p->server.stream);
}

static void pair_start(struct pair *p, const char *name, int buf_size)
{
    struct stream *below[2];

    stream_pair(p->loop, below, buf_size);
    pair_start_on(p, below, name);
}

static void pair_finish_handshake(struct pair *p)
{
    loop_until(p->loop, &p->client.done);
    loop_until(p->loop, &p->server.done);
}

static void pair_destroy(struct pair *p)
{
    if (p->client.stream)
        stream_close(p->client.stream, NULL, NULL);
    if (p->server.stream)
        stream_close(p->server.stream, NULL, NULL);
    tls_ctx_destroy(p->client.ctx);
    tls_ctx_destroy(p->server.ctx);
    loop_destroy(p->loop);
}

/* --- whom to trust -------------------------------------------------------- */

static const struct {
    const char *name;          /* that the client wants */
    struct identity *identity; /* of the server */
    struct identity *client_ca;
    bool insecure;
    int status;
    const char *text; /* how it begins */
} trust_rows[] = {
    {"a.test", &server, &ca, false, 0, ""},
    {"a.test.", &server, &ca, false, 0, ""},
    {"A.TEST", &server, &ca, false, 0, ""},
    {"x.b.test", &server, &ca, false, 0, ""},
    {"127.0.0.1", &server, &ca, false, 0, ""},
    {"fd00::1", &server, &ca, false, 0, ""},
    {"fd00:0:0::1", &server, &ca, false, 0, ""},
    {"a.test", &server, &server, false, 0, ""}, /* an anchor that is a leaf */
    {"c.test", &server, &other_ca, true, 0, ""},
    {"c.test", &server, &ca, false, -EKEYREJECTED,
     "certificate is for a.test, *.b.test, 127.0.0.1, fd00:0:0:0:0:0:0:1, not "
     "for c.test"},
    {"b.test", &server, &ca, false, -EKEYREJECTED, "certificate is for a.test"},
    {"x.y.b.test", &server, &ca, false, -EKEYREJECTED, "certificate is for"},
    {"127.0.0.2", &server, &ca, false, -EKEYREJECTED, "certificate is for"},
    {"fd00::2", &server, &ca, false, -EKEYREJECTED, "certificate is for"},
    {"alice", &alice, &ca, false, -EKEYREJECTED, /* a CN is no name */
     "certificate is for no name, not for alice"},
    {"a.test", &server, &other_ca, false, -EKEYREJECTED,
     "certificate is not trusted ("},
    {"a.test", &expired, &ca, false, -EKEYEXPIRED, "certificate expired on 2"},
    {"a.test", &future, &ca, false, -EKEYEXPIRED,
     "certificate is not valid before 2"},
};

START_TEST(server_is_verified)
{
    struct tls_client_config client = {
        .ca_pem = trust_rows[_i].client_ca->cert,
        .insecure = trust_rows[_i].insecure,
    };
    struct tls_server_config srv = {.cert_pem = trust_rows[_i].identity->cert,
                                    .key_pem = trust_rows[_i].identity->key};
    struct pair p;
    char byte;

    pair_create(&p, &client, &srv);
    pair_start(&p, trust_rows[_i].name, 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.client.status, trust_rows[_i].status);
    ck_assert_msg(strncmp(p.client.text, trust_rows[_i].text,
                          strlen(trust_rows[_i].text)) == 0,
                  "%s", p.client.text);
    if (p.client.status < 0) {
        ck_assert_int_eq(stream_read(p.client.stream, &byte, 1),
                         p.client.status);
        ck_assert_int_eq(stream_write(p.client.stream, "x", 1),
                         p.client.status);
        ck_assert_str_eq(tls_error_text(p.client.stream), p.client.text);
        ck_assert_int_lt(p.server.status, 0); /* it got an alert */
    } else {
        ck_assert_ptr_null(tls_error_text(p.client.stream));
    }
    pair_destroy(&p);
}
END_TEST

/* Reads until something other than -EAGAIN comes. */
static ssize_t read_some(uv_loop_t *loop, struct stream *s, void *data,
                         size_t len)
{
    ssize_t n;

    stream_want(s, STREAM_READABLE);
    while ((n = stream_read(s, data, len)) == -EAGAIN)
        uv_run(loop, UV_RUN_ONCE);
    return n;
}

START_TEST(client_certificate_is_required)
{
    struct tls_server_config srv = {.client_ca_pem = ca.cert,
                                    .client_required = true};
    struct pair p;
    char byte;

    pair_create(&p, NULL, &srv);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.server.status, -EPROTO);
    ck_assert_str_eq(p.server.text, "the client sent no certificate");
    ck_assert_int_eq(read_some(p.loop, p.client.stream, &byte, 1), -EPROTO);
    ck_assert_str_eq(tls_error_text(p.client.stream),
                     "the peer wants a client certificate");
    pair_destroy(&p);
}
END_TEST

START_TEST(client_certificate_of_another_ca_is_refused)
{
    struct tls_client_config client = {
        .ca_pem = ca.cert, .cert_pem = mallory.cert, .key_pem = mallory.key};
    struct tls_server_config srv = {.client_ca_pem = ca.cert};
    char name[64];
    struct pair p;

    pair_create(&p, &client, &srv);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.server.status, -EKEYREJECTED);
    ck_assert(strstr(p.server.text, "the client's certificate is not trusted"));
    ck_assert_int_eq(tls_peer_common_name(p.server.stream, name, sizeof(name)),
                     -ENOENT);
    pair_destroy(&p);
}
END_TEST

START_TEST(client_certificate_gives_its_name)
{
    struct tls_client_config client = {
        .ca_pem = ca.cert, .cert_pem = alice.cert, .key_pem = alice.key};
    struct tls_server_config srv = {.client_ca_pem = ca.cert,
                                    .client_required = true};
    char name[64];
    struct pair p;

    pair_create(&p, &client, &srv);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.server.status, 0);
    ck_assert_int_eq(tls_peer_common_name(p.server.stream, name, sizeof(name)),
                     0);
    ck_assert_str_eq(name, "alice");
    ck_assert_int_eq(tls_peer_common_name(p.server.stream, name, 5), -ENOENT);
    pair_destroy(&p);
}
END_TEST

/* No client certificate, or one that nobody asked for and nobody verified. */
START_TEST(without_a_verified_certificate_there_is_no_name)
{
    struct tls_client_config client = {
        .ca_pem = ca.cert, .cert_pem = alice.cert, .key_pem = alice.key};
    struct tls_server_config asking = {.client_ca_pem = ca.cert};
    char name[64];
    struct pair p;

    pair_create(&p, _i ? &client : NULL, _i ? NULL : &asking);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.server.status, 0);
    ck_assert_int_eq(tls_peer_common_name(p.server.stream, name, sizeof(name)),
                     -ENOENT);
    pair_destroy(&p);
}
END_TEST

START_TEST(contexts_refuse_bad_pem)
{
    static const char garbage[] = "garbage";
    static const char cut[] = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    const struct {
        const char *ca, *cert, *key, *text;
    } rows[] = {
        {garbage, NULL, NULL, "CA certificate: no PEM certificate in it"},
        {cut, NULL, NULL, "CA certificate: no PEM certificate in it"},
        {ca.cert, alice.cert, NULL,
         "a certificate and its key are needed, not one"},
        {ca.cert, garbage, alice.key, "certificate: no PEM certificate in it"},
        {ca.cert, alice.cert, garbage, "private key: no PEM key in it"},
        {ca.cert, alice.cert, server.key, "private key: key values mismatch"},
        {ca.cert, alice.cert,
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED "
         "PRIVATE KEY-----\n",
         "private key: encrypted keys cannot be used"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls_client_config c = {.ca_pem = rows[i].ca,
                                      .cert_pem = rows[i].cert,
                                      .key_pem = rows[i].key};
        struct tp_error err = {0};

        ck_assert_ptr_null(tls_ctx_create_client(&c, &err));
        ck_assert_str_eq(err.text, rows[i].text);
    }
}
END_TEST

START_TEST(system_store_is_the_default)
{
    struct tls_client_config system = {0};
    struct pair p;

    pair_create(&p, &system, NULL);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(p.client.status, -EKEYREJECTED);
    pair_destroy(&p);
}
END_TEST

/* --- peers that do not play along ----------------------------------------- */

/* One end is a bare socket. */
static int half_start(struct pair *p, bool is_client, unsigned timeout_ms)
{
    struct stream *below;
    int fds[2];

    tcp_pair(fds, 0);
    below = stream_create_fd(p->loop, fds[0]);
    if (is_client)
        p->client.stream = tls_connect(p->client.ctx, below, "a.test",
                                       timeout_ms, handshake_cb, &p->client);
    else
        p->server.stream = tls_accept(p->server.ctx, below, timeout_ms,
                                      handshake_cb, &p->server);
    return fds[1];
}

START_TEST(peer_without_tls_is_recognized)
{
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "220 mail.example ESMTP ready, how are you today\r\n",
    };
    struct pair p;
    int fd;

    pair_create(&p, NULL, NULL);
    fd = half_start(&p, true, 20000);
    fd_write_all(p.loop, fd, texts[_i], strlen(texts[_i]));
    loop_until(p.loop, &p.client.done);
    ck_assert_int_eq(p.client.status, -EPROTO);
    ck_assert_str_eq(p.client.text, "the peer does not speak TLS");
    close(fd);
    pair_destroy(&p);
}
END_TEST

START_TEST(client_without_tls_is_recognized)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct pair p;
    int fd;

    pair_create(&p, NULL, NULL);
    fd = half_start(&p, false, 20000);
    fd_write_all(p.loop, fd, text, strlen(text));
    loop_until(p.loop, &p.server.done);
    ck_assert_int_eq(p.server.status, -EPROTO);
    ck_assert_str_eq(p.server.text, "the peer does not speak TLS");
    close(fd);
    pair_destroy(&p);
}
END_TEST

START_TEST(silent_peer_is_given_up)
{
    struct pair p;
    struct end *e;
    int fd;

    pair_create(&p, NULL, NULL);
    fd = half_start(&p, _i, 30);
    e = _i ? &p.client : &p.server;
    e->close_in_cb = true;
    loop_until(p.loop, &e->done);
    ck_assert_int_eq(e->status, -ETIMEDOUT);
    ck_assert_str_eq(e->text, "the handshake timed out");
    close(fd);
    pair_destroy(&p);
}
END_TEST

START_TEST(peer_that_goes_away_is_reported)
{
    struct pair p;

    pair_create(&p, NULL, NULL);
    shutdown(half_start(&p, true, 20000), SHUT_RDWR);
    loop_until(p.loop, &p.client.done);
    ck_assert_int_eq(p.client.status, -ECONNRESET);
    ck_assert_str_eq(p.client.text, "the peer closed the connection");
    pair_destroy(&p);
}
END_TEST

START_TEST(close_during_the_handshake_calls_nobody)
{
    struct pair p;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    for (int i = 0; i < _i; i++)
        uv_run(p.loop, UV_RUN_ONCE);
    stream_close(p.client.stream, NULL, NULL);
    p.client.stream = NULL;
    if (p.client.done)
        p.client.done = false;
    loop_until(p.loop, &p.server.done);
    ck_assert(!p.client.done);
    pair_destroy(&p);
}
END_TEST

/* --- data ------------------------------------------------------------------
 */

START_TEST(tls_moves_data_both_ways)
{
    static const struct {
        size_t a, b;
        int buf_size;
        size_t max_read;
        bool after_eof;
    } rows[] = {
        {64 * MIB, 64 * MIB, 0, 200000, false},
        {2 * MIB, 2 * MIB, 4096, 200000, false},
        {1 * MIB, 1 * MIB, 0, 100, false}, /* more records than reads */
        {0, 3 * MIB, 4096, 200000, true},
        {0, 0, 0, 200000, false},
    };
    struct endpoint *a, *b;
    struct pair p;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", rows[_i].buf_size);
    pair_finish_handshake(&p);
    a = endpoint_create(p.client.stream, 3, rows[_i].a);
    b = endpoint_create(p.server.stream, 4, rows[_i].b);
    a->max_read = b->max_read = rows[_i].max_read;
    b->after_eof = rows[_i].after_eof;
    endpoints_run(p.loop, a, b);
    endpoint_destroy(a);
    endpoint_destroy(b);
    p.client.stream = p.server.stream = NULL;
    pair_destroy(&p);
}
END_TEST

/* What the server sends right behind the handshake arrives with it. */
START_TEST(data_may_follow_the_handshake_at_once)
{
    struct pair p;
    char data[4];

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    loop_until(p.loop, &p.client.done);
    ck_assert_int_eq(stream_write(p.client.stream, "now", 3), 3);
    loop_until(p.loop, &p.server.done);
    ck_assert_int_eq(read_some(p.loop, p.server.stream, data, 4), 3);
    ck_assert_mem_eq(data, "now", 3);
    pair_destroy(&p);
}
END_TEST

struct reader {
    struct stream *stream;
    unsigned events, bytes;
    bool done;
};

static void read_ten_cb(void *arg, unsigned events)
{
    struct reader *r = arg;
    char data[10];
    ssize_t n;

    ck_assert_uint_eq(events, STREAM_READABLE);
    r->events++;
    n = stream_read(r->stream, data, sizeof(data));
    if (n > 0)
        r->bytes += (unsigned)n;
    r->done = r->bytes == 1000;
}

/* Decrypted bytes make no event of the socket, but must make one. */
START_TEST(pending_bytes_make_events_and_an_idle_stream_none)
{
    static char data[1000];
    struct reader r = {0};
    struct pair p;
    unsigned events;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    r.stream = p.client.stream;
    stream_set_callback(r.stream, read_ten_cb, &r);
    stream_want(r.stream, STREAM_READABLE);
    ck_assert_int_eq(stream_write(p.server.stream, data, 500), 500);
    ck_assert_int_eq(stream_write(p.server.stream, data, 500), 500);
    loop_until(p.loop, &r.done);
    ck_assert_uint_ge(r.events, 100);
    for (int i = 0; i < 5; i++)
        uv_run(p.loop, UV_RUN_NOWAIT);
    events = r.events;
    for (int i = 0; i < 5; i++)
        uv_run(p.loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(r.events, events);

    /* The same, while nobody wants them. */
    stream_want(r.stream, 0);
    ck_assert_int_eq(stream_write(p.server.stream, data, 500), 500);
    for (int i = 0; i < 5; i++)
        uv_run(p.loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(r.events, events);
    pair_destroy(&p);
}
END_TEST

START_TEST(truncation_is_no_end)
{
    struct pair p;
    char byte;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(stream_write(p.server.stream, "x", 1), 1);
    shutdown(stream_fd(p.server.stream), SHUT_WR);
    ck_assert_int_eq(read_some(p.loop, p.client.stream, &byte, 1), 1);
    ck_assert_int_eq(read_some(p.loop, p.client.stream, &byte, 1), -ECONNRESET);
    pair_destroy(&p);
}
END_TEST

START_TEST(close_notify_is_the_end)
{
    struct pair p;
    char data[8];

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(stream_write(p.server.stream, "x", 1), 1);
    stream_close(p.server.stream, NULL, NULL);
    p.server.stream = NULL;
    ck_assert_int_eq(read_some(p.loop, p.client.stream, data, 8), 1);
    ck_assert_int_eq(read_some(p.loop, p.client.stream, data, 8), 0);
    ck_assert_int_eq(read_some(p.loop, p.client.stream, data, 8), 0);
    pair_destroy(&p);
}
END_TEST

/* A layer that counts the calls below TLS and lets through what it is told. */
struct meter {
    struct stream base;
    struct stream *below;
    unsigned writes, reads;
};

static ssize_t meter_read(struct stream *s, void *data, size_t len)
{
    struct meter *m = (struct meter *)s;

    m->reads++;
    return stream_read(m->below, data, len);
}

static ssize_t meter_write(struct stream *s, const void *data, size_t len)
{
    struct meter *m = (struct meter *)s;

    m->writes++;
    return stream_write(m->below, data, len);
}

static int meter_shutdown(struct stream *s)
{
    return stream_shutdown(((struct meter *)s)->below);
}

static void meter_event_cb(void *arg, unsigned events)
{
    stream_emit(arg, events);
}

static void meter_want(struct stream *s, unsigned events)
{
    stream_want(((struct meter *)s)->below, events);
}

static void meter_closed_cb(void *arg)
{
    stream_finish_close(arg);
}

static void meter_close(struct stream *s)
{
    stream_close(((struct meter *)s)->below, meter_closed_cb, s);
}

static int meter_fd(const struct stream *s)
{
    return stream_fd(((const struct meter *)s)->below);
}

static const struct stream_ops meter_ops = {
    meter_read, meter_write, meter_shutdown, meter_want, meter_close, meter_fd};

static struct meter *meter_create(struct stream *below)
{
    struct meter *m = calloc(1, sizeof(*m));

    stream_init(&m->base, &meter_ops, below->loop);
    m->below = below;
    stream_set_callback(below, meter_event_cb, m);
    return m;
}

START_TEST(records_share_system_calls)
{
    static char data[131072];
    struct stream *below[2];
    struct meter *m[2];
    struct pair p;
    size_t got = 0;

    pair_create(&p, NULL, NULL);
    stream_pair(p.loop, below, 1048576);
    for (int i = 0; i < 2; i++) {
        m[i] = meter_create(below[i]);
        below[i] = &m[i]->base;
    }
    pair_start_on(&p, below, "a.test");
    pair_finish_handshake(&p);
    ck_assert_uint_eq(m[1]->writes, 1); /* the server's flight */
    m[0]->writes = 0;
    ck_assert_int_eq(stream_write(p.client.stream, data, 100), 100);
    ck_assert_uint_eq(m[0]->writes, 1);
    ck_assert_int_eq(stream_write(p.client.stream, data, sizeof(data)),
                     sizeof(data));
    ck_assert_uint_eq(m[0]->writes, 2);
    m[1]->reads = 0;
    while (got < sizeof(data) + 100) {
        ssize_t n = read_some(p.loop, p.server.stream, data, sizeof(data));

        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_uint_le(m[1]->reads, 8); /* of nine records */
    pair_destroy(&p);
}
END_TEST

/* A peer that does not read must not make us collect more than a batch. */
START_TEST(writer_is_stopped_by_a_reader_that_stops)
{
    static char data[262144];
    struct pair p;
    size_t out = 0, in = 0;
    ssize_t n;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 8192);
    pair_finish_handshake(&p);
    while ((n = stream_write(p.client.stream, data, sizeof(data))) > 0) {
        out += (size_t)n;
        uv_run(p.loop, UV_RUN_NOWAIT);
        ck_assert_uint_lt(out, 8 * MIB);
    }
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert_int_eq(stream_shutdown(p.client.stream), -EAGAIN);
    stream_want(p.client.stream, STREAM_WRITABLE);
    while (in < out) {
        n = read_some(p.loop, p.server.stream, data, sizeof(data));
        ck_assert_int_gt(n, 0);
        in += (size_t)n;
    }
    while (stream_shutdown(p.client.stream) == -EAGAIN)
        uv_run(p.loop, UV_RUN_ONCE);
    ck_assert_int_eq(read_some(p.loop, p.server.stream, data, 1), 0);
    ck_assert_int_eq(stream_write(p.client.stream, data, 1), -EPIPE);
    pair_destroy(&p);
}
END_TEST

/* Garbage behind the handshake is an error, and one that makes an event. */
START_TEST(broken_record_is_an_error)
{
    struct pair p;
    char byte;

    pair_create(&p, NULL, NULL);
    pair_start(&p, "a.test", 0);
    pair_finish_handshake(&p);
    ck_assert_int_eq(send(stream_fd(p.server.stream),
                          "\x17\x03\x03\x00\x14"
                          "aaaaaaaaaaaaaaaaaaaa",
                          25, MSG_NOSIGNAL),
                     25);
    ck_assert_int_eq(read_some(p.loop, p.client.stream, &byte, 1), -EPROTO);
    ck_assert_ptr_nonnull(tls_error_text(p.client.stream));
    ck_assert_int_eq(stream_write(p.client.stream, "x", 1), -EPROTO);
    pair_destroy(&p);
}
END_TEST

static TCase *trust_case(void)
{
    TCase *tc = tcase_create("trust");

    tcase_add_unchecked_fixture(tc, make_identities, release_identities);
    tcase_add_loop_test(tc, server_is_verified, 0, COUNT(trust_rows));
    tcase_add_test(tc, client_certificate_is_required);
    tcase_add_test(tc, client_certificate_of_another_ca_is_refused);
    tcase_add_test(tc, client_certificate_gives_its_name);
    tcase_add_loop_test(tc, without_a_verified_certificate_there_is_no_name, 0,
                        2);
    tcase_add_test(tc, contexts_refuse_bad_pem);
    tcase_add_test(tc, system_store_is_the_default);
    tcase_add_loop_test(tc, peer_without_tls_is_recognized, 0, 3);
    tcase_add_test(tc, client_without_tls_is_recognized);
    tcase_add_loop_test(tc, silent_peer_is_given_up, 0, 2);
    tcase_add_test(tc, peer_that_goes_away_is_reported);
    tcase_add_loop_test(tc, close_during_the_handshake_calls_nobody, 0, 4);
    tcase_set_timeout(tc, 60);
    return tc;
}

static TCase *data_case(void)
{
    TCase *tc = tcase_create("data");

    tcase_add_unchecked_fixture(tc, make_identities, release_identities);
    tcase_add_loop_test(tc, tls_moves_data_both_ways, 0, 5);
    tcase_add_test(tc, data_may_follow_the_handshake_at_once);
    tcase_add_test(tc, pending_bytes_make_events_and_an_idle_stream_none);
    tcase_add_test(tc, truncation_is_no_end);
    tcase_add_test(tc, close_notify_is_the_end);
    tcase_add_test(tc, records_share_system_calls);
    tcase_add_test(tc, writer_is_stopped_by_a_reader_that_stops);
    tcase_add_test(tc, broken_record_is_an_error);
    tcase_set_timeout(tc, 120);
    return tc;
}

Suite *net_tls_suite(void)
{
    Suite *s = suite_create("net/tls");

    suite_add_tcase(s, trust_case());
    suite_add_tcase(s, data_case());
    return s;
}
