/* Unit tests: WebSocket frames as a stream. */
#include "check_net.h"

#include <sys/socket.h>

#include "net/websocket.h"

#define MIB ((size_t)1024 * 1024)

START_TEST(keys_are_as_in_rfc_6455)
{
    char key[25], other[25], accept[29];

    websocket_make_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    websocket_make_key(key);
    websocket_make_key(other);
    ck_assert_uint_eq(strlen(key), 24);
    ck_assert_str_ne(key, other);
}
END_TEST

/* --- transfers ------------------------------------------------------------ */

static void handshake_cb(void *arg, int status, const char *text)
{
    bool *done = arg;

    ck_assert_msg(status == 0, "%s", text ? text : "");
    *done = true;
}

static void add_tls(uv_loop_t *loop, struct stream *s[2])
{
    struct identity ca;
    struct tls_ctx *client, *server;
    bool done[2] = {false, false};

    identity_make(&ca, NULL, "a.test", "DNS:a.test", -HOUR, HOUR);
    client = tls_ctx_create_client(
        &(struct tls_client_config){.ca_pem = ca.cert}, NULL);
    server = tls_ctx_create_server(
        &(struct tls_server_config){.cert_pem = ca.cert, .key_pem = ca.key},
        NULL);
    s[0] = tls_connect(client, s[0], "a.test", 20000, handshake_cb, &done[0]);
    s[1] = tls_accept(server, s[1], 20000, handshake_cb, &done[1]);
    loop_until(loop, &done[0]);
    loop_until(loop, &done[1]);
    tls_ctx_destroy(client); /* the streams keep what they need */
    tls_ctx_destroy(server);
    identity_release(&ca);
}

START_TEST(websocket_moves_data_both_ways)
{
    static const struct {
        bool tls;
        size_t a, b;
        int buf_size;
        size_t max_read;
        bool after_eof;
    } rows[] = {
        {true, 64 * MIB, 64 * MIB, 0, 200000, false},
        {false, 16 * MIB, 16 * MIB, 0, 200000, false},
        {false, 2 * MIB, 2 * MIB, 4096, 200000, false},
        {true, 300000, 300000, 0, 40, false},
        {false, 0, 2 * MIB, 0, 200000, true},
    };
    uv_loop_t *loop = loop_create();
    struct endpoint *a, *b;
    struct stream *s[2];

    stream_pair(loop, s, rows[_i].buf_size);
    if (rows[_i].tls)
        add_tls(loop, s);
    a = endpoint_create(websocket_create(s[0], true), 5, rows[_i].a);
    b = endpoint_create(websocket_create(s[1], false), 6, rows[_i].b);
    a->max_read = b->max_read = rows[_i].max_read;
    b->after_eof = rows[_i].after_eof;
    endpoints_run(loop, a, b);
    endpoint_destroy(a);
    endpoint_destroy(b);
    loop_destroy(loop);
}
END_TEST

/* --- single frames -------------------------------------------------------- */

/* One end is a bare socket. */
struct half {
    uv_loop_t *loop;
    struct stream *ws;
    int fd;
};

static void half_create(struct half *h, bool is_client)
{
    int fds[2];

    h->loop = loop_create();
    tcp_pair(fds, 0);
    h->ws = websocket_create(stream_create_fd(h->loop, fds[0]), is_client);
    h->fd = fds[1];
    ck_assert_ptr_nonnull(h->ws);
}

static void half_destroy(struct half *h)
{
    stream_close(h->ws, NULL, NULL);
    close(h->fd);
    loop_destroy(h->loop);
}

static ssize_t read_some(struct half *h, void *data, size_t len)
{
    ssize_t n;

    stream_want(h->ws, STREAM_READABLE);
    while ((n = stream_read(h->ws, data, len)) == -EAGAIN)
        uv_run(h->loop, UV_RUN_ONCE);
    return n;
}

#define MASK      "\x01\x02\x03\x04"
#define LEN(text) (sizeof(text) - 1)

/* What a server reads: payload, and then 0 or an error. */
static const struct {
    const char *bytes;
    size_t len;
    const char *payload;
    int end;
} frame_rows[] = {
#define ROW(bytes, payload, end)                                               \
    {                                                                          \
        bytes, LEN(bytes), payload, end                                        \
    }
    ROW("\x82\x82" MASK "`\x60"
        "\x88\x80" MASK,
        "ab", 0),
    ROW("\x82\x82"
        "\0\0\0\0"
        "ab"
        "\x88\x82\0\0\0\0\x03\xe8",
        "ab", 0),
    /* fragments, with a ping and a pong between them, and an empty one */
    ROW("\x02\x81\0\0\0\0a"
        "\x89\x81\0\0\0\0p"
        "\x00\x81\0\0\0\0b"
        "\x8a\x80\0\0\0\0"
        "\x00\x80\0\0\0\0"
        "\x80\x81\0\0\0\0c"
        "\x88\x80\0\0\0\0",
        "abc", 0),
    /* what follows a close frame does not count */
    ROW("\x88\x80\0\0\0\0"
        "\x82\x81\0\0\0\0z",
        "", 0),
    ROW("\x82\x81\0\0\0\0a"
        "\x81\x81\0\0\0\0t",
        "a", -EBADMSG), /* text */
    ROW("\x82\x02"
        "ab",
        "", -EBADMSG),                      /* no mask */
    ROW("\xc2\x81\0\0\0\0a", "", -EBADMSG), /* RSV1 */
    ROW("\xa2\x81\0\0\0\0a", "", -EBADMSG), /* RSV2 */
    ROW("\x92\x81\0\0\0\0a", "", -EBADMSG), /* RSV3 */
    ROW("\x83\x81\0\0\0\0a", "", -EBADMSG), /* reserved opcode */
    ROW("\x8b\x81\0\0\0\0a", "", -EBADMSG),
    ROW("\x80\x81\0\0\0\0a", "", -EBADMSG), /* continues nothing */
    ROW("\x02\x81\0\0\0\0a"
        "\x82\x81\0\0\0\0b",
        "a", -EBADMSG),
    ROW("\x09\x81\0\0\0\0a", "", -EBADMSG),        /* ping in fragments */
    ROW("\x89\xfe\x00\x7e\0\0\0\0", "", -EBADMSG), /* ping too long */
    ROW("\x82\xfe\x00\x7d\0\0\0\0", "", -EBADMSG), /* not the shortest */
    ROW("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", "", -EBADMSG),
    ROW("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", "", -EBADMSG), /* 2^63 */
    ROW("\x88\x81\0\0\0\0a", "", -EBADMSG),       /* half a close code */
    ROW("\x82\x85\0\0\0\0ab", "ab", -ECONNRESET), /* cut */
    ROW("\x82", "", -ECONNRESET),
#undef ROW
};

/* Whole, and byte by byte. */
START_TEST(frames_are_read)
{
    size_t row = (size_t)_i / 2, step = _i % 2 ? 1 : frame_rows[row].len;
    char data[64];
    size_t got = 0;
    struct half h;
    ssize_t n;

    half_create(&h, false);
    for (size_t i = 0; i < frame_rows[row].len; i += step) {
        fd_write_all(h.loop, h.fd, frame_rows[row].bytes + i, step);
        n = stream_read(h.ws, data + got, sizeof(data) - got);
        if (n > 0)
            got += (size_t)n;
    }
    shutdown(h.fd, SHUT_WR);
    while ((n = read_some(&h, data + got, sizeof(data) - got)) > 0)
        got += (size_t)n;
    ck_assert_uint_eq(got, strlen(frame_rows[row].payload));
    ck_assert_mem_eq(data, frame_rows[row].payload, got);
    ck_assert_int_eq(n, frame_rows[row].end);
    ck_assert_int_eq(read_some(&h, data, sizeof(data)), frame_rows[row].end);
    half_destroy(&h);
}
END_TEST

START_TEST(client_refuses_masked_frames)
{
    struct half h;
    char data[8];

    half_create(&h, true);
    fd_write_all(h.loop, h.fd,
                 "\x82\x01"
                 "a"
                 "\x82\x81" MASK "a",
                 10);
    ck_assert_int_eq(read_some(&h, data, sizeof(data)), 1);
    ck_assert_int_eq(read_some(&h, data, sizeof(data)), -EBADMSG);
    half_destroy(&h);
}
END_TEST

START_TEST(pings_are_answered)
{
    static const char pings[] = "\x89\x81\0\0\0\0x"
                                "\x89\x83\0\0\0\0abc"
                                "\x82\x81\0\0\0\0.";
    char data[16];
    struct half h;

    half_create(&h, false);
    fd_write_all(h.loop, h.fd, pings, LEN(pings));
    ck_assert_int_eq(read_some(&h, data, sizeof(data)), 1);
    fd_read_all(h.loop, h.fd, data, 5); /* only the latest, RFC 6455 5.5.3 */
    ck_assert_mem_eq(data,
                     "\x8a\x03"
                     "abc",
                     5);
    half_destroy(&h);
}
END_TEST

START_TEST(client_masks_and_closes)
{
    uint8_t data[32];
    struct half h;

    half_create(&h, true);
    ck_assert_int_eq(stream_write(h.ws, "hello", 5), 5);
    fd_read_all(h.loop, h.fd, data, 11);
    ck_assert_uint_eq(data[0], 0x82);
    ck_assert_uint_eq(data[1], 0x85);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(data[6 + i] ^ data[2 + i % 4], "hello"[i]);
    ck_assert_int_eq(stream_shutdown(h.ws), 0);
    ck_assert_int_eq(stream_write(h.ws, "x", 1), -EPIPE);
    fd_read_all(h.loop, h.fd, data, 8);
    ck_assert_uint_eq(data[0], 0x88);
    ck_assert_uint_eq(data[1], 0x82);
    ck_assert_int_eq((data[6] ^ data[2]) << 8 | (data[7] ^ data[3]), 1000);
    half_destroy(&h);
}
END_TEST

/* Each of the three forms of a length, as the server writes it. */
START_TEST(lengths_take_the_shortest_form)
{
    static char payload[65536];
    uint8_t head[10];
    struct half h;

    half_create(&h, false);
    ck_assert_int_eq(stream_write(h.ws, payload, 125), 125);
    fd_read_all(h.loop, h.fd, head, 2);
    ck_assert_uint_eq(head[1], 125);
    fd_read_all(h.loop, h.fd, payload, 125);
    ck_assert_int_eq(stream_write(h.ws, payload, 126), 126);
    fd_read_all(h.loop, h.fd, head, 4);
    ck_assert_mem_eq(head, "\x82\x7e\x00\x7e", 4);
    half_destroy(&h);
}
END_TEST

Suite *net_websocket_suite(void)
{
    Suite *s = suite_create("net/websocket");
    TCase *tc = tcase_create("websocket");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, keys_are_as_in_rfc_6455);
    tcase_add_loop_test(tc, websocket_moves_data_both_ways, 0, 5);
    tcase_add_loop_test(tc, frames_are_read, 0, 2 * COUNT(frame_rows));
    tcase_add_test(tc, client_refuses_masked_frames);
    tcase_add_test(tc, pings_are_answered);
    tcase_add_test(tc, client_masks_and_closes);
    tcase_add_test(tc, lengths_take_the_shortest_form);
    suite_add_tcase(s, tc);
    return s;
}
