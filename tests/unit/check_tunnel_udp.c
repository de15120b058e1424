/* Unit tests of src/tunnel/udp.c and capsule.c. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/capsule.h"
#include "tunnel/udp.h"
#include "tunnel_pair.h"
#include "suite.h"

static struct pair pair;

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
}

/* ---- capsules ----------------------------------------------------------- */

struct seen {
    unsigned n;
    size_t bytes;
    uint64_t hash;
    size_t last;
    int rc;
};

static int seen_cb(void *arg, const void *data, size_t len)
{
    struct seen *seen = arg;

    seen->n++;
    seen->bytes += len;
    seen->last = len;
    seen->hash = hash_bytes(seen->hash, data, len);
    return seen->rc;
}

static size_t put_capsule(uint8_t *out, const uint8_t *data, size_t len)
{
    size_t n = capsule_head(out, len);

    memcpy(out + n, data, len);
    return n + len;
}

static const size_t pieces[] = {1, 2, 3, 7, 64, 4096, 1 << 20};

START_TEST(capsules_in_pieces_of_any_size)
{
    static const size_t lens[] = {0, 1, 62, 63, 64, 1400, 16382, 16383, 65507};
    static uint8_t wire[200000], data[65507];
    struct capsule_reader r;
    struct seen seen = {0};
    uint64_t hash = 0;
    size_t n = 0, total = 0;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31);
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        n += put_capsule(wire + n, data, lens[i]);
        hash = hash_bytes(hash, data, lens[i]);
        total += lens[i];
    }
    capsule_reader_init(&r);
    for (size_t at = 0; at < n; at += pieces[_i]) {
        size_t len = n - at < pieces[_i] ? n - at : pieces[_i];

        ck_assert_int_eq(capsule_read(&r, wire + at, len, seen_cb, &seen), 0);
    }
    ck_assert_uint_eq(seen.n, sizeof(lens) / sizeof(*lens));
    ck_assert_uint_eq(seen.bytes, total);
    ck_assert_uint_eq(seen.hash, hash);
    capsule_reader_release(&r);
}
END_TEST

START_TEST(capsules_of_others_are_skipped)
{
    static const uint8_t wire[] = {
        0x17, 3,    'x',  'y', 'z',      /* another type */
        0x40, 0x25, 0,                   /* empty, two-byte type */
        0,    3,    2,    'a', 'b',      /* another context */
        0,    0,                         /* no context at all */
        0,    1,    0x40,                /* half a context */
        0,    4,    0x40, 0,   'o', 'k', /* context 0 in two bytes */
        0xc0, 0,    0,    0,   0,   0,   0, 0, 2, 0, '!' /* type 0 in eight */
    };
    static uint8_t big[70000];
    struct capsule_reader r;
    struct seen seen = {0};

    capsule_reader_init(&r);
    ck_assert_int_eq(capsule_read(&r, wire, sizeof(wire), seen_cb, &seen), 0);
    ck_assert_uint_eq(seen.n, 2);
    ck_assert_uint_eq(seen.hash, hash_bytes(0, "ok!", 3));
    capsule_head(big, 66000); /* too long: skipped, then one that counts */
    ck_assert_int_eq(capsule_read(&r, big, 6 + 66000, seen_cb, &seen), 0);
    ck_assert_uint_eq(seen.n, 2);
    ck_assert_int_eq(capsule_read(&r, wire, sizeof(wire), seen_cb, &seen), 0);
    ck_assert_uint_eq(seen.n, 4);
    capsule_reader_release(&r);
}
END_TEST

/* ---- flows -------------------------------------------------------------- */

struct flow {
    struct seen seen;
    int opened, open_status, closed, status;
};

static void opened_cb(void *arg, int status)
{
    struct flow *f = arg;

    f->opened++;
    f->open_status = status;
}

static void datagram_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    seen_cb(&f->seen, data, len);
}

static void closed_cb(void *arg, int status)
{
    struct flow *f = arg;

    f->closed++;
    f->status = status;
}

static const struct tunnel_udp_ops flow_ops = {opened_cb, datagram_cb,
                                               closed_cb};

static struct flow far; /* the far end's */
static unsigned far_idle_ms;

static int serve_udp(struct pair *p, struct tunnel_stream *s,
                     const struct tunnel_open *open)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(open->kind, TUNNEL_UDP);
    ck_assert_int_eq(connect(fd, &open->addr.sa, sizeof(open->addr.in4)), 0);
    ck_assert_ptr_nonnull(
        tunnel_udp_serve(p->loop, s, fd, far_idle_ms, &flow_ops, &far));
    return 0;
}

/* A bound UDP socket on loopback. */
static int udp_socket(union sockaddr_any *addr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(addr->in4);
    int size = 4 << 20;

    memset(addr, 0, sizeof(*addr));
    addr->in4.sin_family = AF_INET;
    addr->in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    ck_assert_int_eq(bind(fd, &addr->sa, sizeof(addr->in4)), 0);
    ck_assert_int_eq(getsockname(fd, &addr->sa, &len), 0);
    return fd;
}

static void udp_pair(void)
{
    memset(&far, 0, sizeof(far));
    pair.open_cb = serve_udp;
    pair_init(&pair);
}

/* Sends back what is there. */
static void echo(int fd)
{
    static uint8_t data[TUNNEL_UDP_MAX];
    union sockaddr_any from;
    socklen_t len = sizeof(from.storage);
    ssize_t n = recvfrom(fd, data, sizeof(data), 0, &from.sa, &len);

    if (n >= 0)
        ck_assert_int_eq(sendto(fd, data, (size_t)n, 0, &from.sa, len), n);
}

START_TEST(datagrams_of_all_sizes_keep_their_order)
{
    static const size_t lens[] = {1, 2, 512, 1400, 9000, 40000, 65507};
    static uint8_t data[65507];
    union sockaddr_any addr;
    struct flow flow = {0};
    uint64_t hash = 0;
    struct tunnel_udp *u;
    int fd = udp_socket(&addr);

    udp_pair();
    u = tunnel_udp_open(pair.client, &addr, 0, &flow_ops, &flow);
    ck_assert_ptr_nonnull(u);
    for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        memset(data, (int)i + 1, sizeof(data));
        ck_assert_int_eq(tunnel_udp_send(u, data, lens[i]), 0);
        hash = hash_bytes(hash, data, lens[i]);
    }
    RUN_UNTIL((echo(fd), flow.seen.n == sizeof(lens) / sizeof(*lens)));
    ck_assert_uint_eq(flow.seen.hash, hash);
    ck_assert_int_eq(flow.opened, 1);
    ck_assert_int_eq(flow.open_status, 0);
    tunnel_udp_close(u);
    RUN_UNTIL(far.closed == 1);
    ck_assert_int_eq(far.status, 0);
    ck_assert_int_eq(flow.closed, 0);
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(full_queue_drops_and_too_long_is_refused)
{
    static uint8_t data[TUNNEL_UDP_MAX + 1];
    union sockaddr_any addr;
    struct flow flow = {0};
    struct tunnel_udp *u;
    int fd = udp_socket(&addr), sent = 0;

    udp_pair();
    u = tunnel_udp_open(pair.client, &addr, 0, &flow_ops, &flow);
    ck_assert_int_eq(tunnel_udp_send(u, data, sizeof(data)), -EMSGSIZE);
    while (tunnel_udp_send(u, data, 1000) == 0)
        ck_assert_int_lt(++sent, 1000);
    ck_assert_int_gt(sent, 200);
    RUN_UNTIL((echo(fd), flow.seen.n == (unsigned)sent));
    ck_assert_int_eq(tunnel_udp_send(u, data, 0), 0);
    RUN_UNTIL((echo(fd), flow.seen.n == (unsigned)sent + 1));
    ck_assert_uint_eq(flow.seen.last, 0);
    close(fd);
    pair_close(&pair);
    ck_assert_int_eq(flow.closed, 1);
    ck_assert_int_eq(flow.status, -EPIPE);
    ck_assert_int_eq(far.closed, 1);
}
END_TEST

START_TEST(closed_port_comes_back_as_econnrefused)
{
    union sockaddr_any addr;
    struct flow flow = {0};
    struct tunnel_udp *u;

    close(udp_socket(&addr));
    udp_pair();
    u = tunnel_udp_open(pair.client, &addr, 0, &flow_ops, &flow);
    ck_assert_int_eq(tunnel_udp_send(u, "?", 1), 0);
    RUN_UNTIL(flow.closed == 1);
    ck_assert_int_eq(flow.status, -ECONNREFUSED);
    ck_assert_int_eq(far.status, -ECONNREFUSED);
    pair_close(&pair);
}
END_TEST

START_TEST(idle_flow_ends_in_order)
{
    union sockaddr_any addr;
    struct flow flow = {0};
    int fd = udp_socket(&addr);

    far_idle_ms = _i ? 300 : 0;
    udp_pair();
    ck_assert_ptr_nonnull(
        tunnel_udp_open(pair.client, &addr, _i ? 0 : 300, &flow_ops, &flow));
    RUN_UNTIL(flow.closed == 1 && far.closed == 1);
    ck_assert_int_eq(flow.status, 0);
    ck_assert_int_eq(far.status, 0);
    far_idle_ms = 0;
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(ipv6_address_survives_the_path)
{
    union sockaddr_any addr;
    struct flow flow = {0};

    ck_assert_int_eq(sockaddr_parse(&addr, "fd00::1:2", 53), 0);
    udp_pair();
    pair.open_cb = NULL; /* the built-in one refuses UDP with what is set */
    pair.refuse = -EACCES;
    pair.opened_text[0] = '\0';
    ck_assert_ptr_nonnull(
        tunnel_udp_open(pair.client, &addr, 0, &flow_ops, &flow));
    RUN_UNTIL(flow.closed == 1);
    ck_assert_int_eq(flow.open_status, -EACCES);
    ck_assert_str_eq(pair.opened_text, "[fd00::1:2]:53");
    pair_close(&pair);
}
END_TEST

#define NAME "abcdefghijklmnopqrstuvwxyz"

START_TEST(flow_by_name)
{
    struct flow flow = {0};

    pair.config.names = true;
    pair.refuse = -ECONNREFUSED;
    pair_init(&pair);
    ck_assert_ptr_null(
        tunnel_udp_open_name(pair.client, "dns", 53, 0, &flow_ops, &flow));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_nonnull(
        tunnel_udp_open_name(pair.client, NAME, 53, 0, &flow_ops, &flow));
    RUN_UNTIL(flow.closed == 1);
    ck_assert_int_eq(flow.open_status, -ECONNREFUSED);
    ck_assert_str_eq(pair.opened_text, NAME ":53");
    pair_close(&pair);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel-udp");
    TCase *tc = tcase_create("udp");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, capsules_in_pieces_of_any_size, 0,
                        sizeof(pieces) / sizeof(*pieces));
    tcase_add_test(tc, capsules_of_others_are_skipped);
    tcase_add_test(tc, datagrams_of_all_sizes_keep_their_order);
    tcase_add_test(tc, full_queue_drops_and_too_long_is_refused);
    tcase_add_test(tc, closed_port_comes_back_as_econnrefused);
    tcase_add_loop_test(tc, idle_flow_ends_in_order, 0, 2);
    tcase_add_test(tc, ipv6_address_survives_the_path);
    tcase_add_test(tc, flow_by_name);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
