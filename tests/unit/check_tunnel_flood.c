/*
 * check_tunnel_flood.c - header blocks of a peer that means harm
 *
 * The peer is a socket of the test that writes frames by hand: HEADERS without
 * END_HEADERS, then CONTINUATION (RFC 9113 6.10). Both roles are flooded: the
 * manager by a client, tp-daemon by a manager.
 */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "tunnel/tunnel_internal.h"
#include "tunnel_pair.h"

#define FRAME_HEADERS      1
#define FRAME_SETTINGS     4
#define FRAME_CONTINUATION 9

#define FLOOD_FRAMES 1000
/* nghttp2 says no after 8; more are on their way by then. */
#define FEW_FRAMES 100
#define LITTLE     ((size_t)1 << 20)

static struct pair pair;
static struct user user;

/* Only where the sanitizer is in charge of the heap. */
extern size_t __sanitizer_get_current_allocated_bytes(void)
    __attribute__((weak));

static size_t heap_used(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

static bool has_ended(void)
{
    return pair.client_ended || pair.server_ended;
}

static void send_bytes(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0 && !has_ended()) {
        ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else {
            pair_turn(&pair);
        }
    }
}

static void send_frame(int fd, uint8_t type, uint8_t stream,
                       const void *payload, size_t len)
{
    uint8_t head[9] = {(uint8_t)(len >> 16),
                       (uint8_t)(len >> 8),
                       (uint8_t)len,
                       type,
                       0,
                       0,
                       0,
                       0,
                       stream};

    send_bytes(fd, head, sizeof(head));
    send_bytes(fd, payload, len);
    pair_turn(&pair);
}

/* The far end up to where a header block of stream 1 is open. HPACK (RFC 7541
 * A): indexed fields of the static table, and :authority as a literal. */
static int open_block(enum tunnel_role role)
{
    static const uint8_t request[] = {0x82, 0x86, 0x84, 0x01, 0x02, 't', 'p'};
    static const uint8_t response[] = {0x88}; /* :status 200 */
    int fd;

    memset(&pair, 0, sizeof(pair));
    memset(&user, 0, sizeof(user));
    fd = pair_lonely(&pair, role);
    if (role == TUNNEL_SERVER) {
        send_bytes(fd, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
        send_frame(fd, FRAME_SETTINGS, 0, NULL, 0);
        send_frame(fd, FRAME_HEADERS, 1, request, sizeof(request));
    } else {
        send_frame(fd, FRAME_SETTINGS, 0, NULL, 0);
        user.keep_open = true;
        user_open(&user, &pair);
        pair_turn(&pair);
        send_frame(fd, FRAME_HEADERS, 1, response, sizeof(response));
    }
    ck_assert(!has_ended());
    return fd;
}

/* A literal field "x" (indexed: kept in the table of the peer as entry 62)
 * whose value has so many bytes. Returns its length on the wire. */
static size_t make_field(uint8_t *out, bool indexed, size_t value_len)
{
    size_t n = 0, rest = value_len - 127;

    out[n++] = indexed ? 0x40 : 0;
    out[n++] = 1;
    out[n++] = 'x';
    out[n++] = 0x7f; /* RFC 7541 5.1: an integer of 7 bits and more */
    for (; rest >= 128; rest >>= 7)
        out[n++] = (uint8_t)(rest | 128);
    out[n++] = (uint8_t)rest;
    memset(out + n, 'v', value_len);
    return n + value_len;
}

static void assert_ended_cheaply(enum tunnel_role role, int fd, size_t before)
{
    RUN_UNTIL(has_ended());
    ck_assert_int_eq(role == TUNNEL_CLIENT ? pair.client_status
                                           : pair.server_status,
                     -EPROTO);
    ck_assert_uint_lt(heap_used(), before + LITTLE);
    ck_assert_int_eq(user.closed, role == TUNNEL_CLIENT);
    close(fd);
    pair_close(&pair);
}

/* Frames without a byte, with one short field, with one of almost a frame. */
START_TEST(endless_continuations_end_the_link)
{
    static const size_t sizes[] = {0, 200, 60000};
    static uint8_t field[TUNNEL_FRAME_MAX];
    enum tunnel_role role = _i % 2 ? TUNNEL_SERVER : TUNNEL_CLIENT;
    size_t size = sizes[_i / 2], before;
    int fd = open_block(role), frames = 0;

    if (size > 0)
        size = make_field(field, false, size);
    before = heap_used();
    for (; frames < FLOOD_FRAMES && !has_ended(); frames++)
        send_frame(fd, FRAME_CONTINUATION, 1, field, size);
    ck_assert_int_le(frames, FEW_FRAMES);
    assert_ended_cheaply(role, fd, before);
}
END_TEST

/* A byte for each field of 4 KiB: two frames make a list of 256 MiB. */
START_TEST(list_that_unpacks_without_end_ends_the_link)
{
    static uint8_t field[4096], bomb[60000];
    enum tunnel_role role = _i % 2 ? TUNNEL_SERVER : TUNNEL_CLIENT;
    int fd = open_block(role), frames = 0;
    size_t before = heap_used();

    send_frame(fd, FRAME_CONTINUATION, 1, field, make_field(field, true, 4000));
    memset(bomb, 0x80 | 62, sizeof(bomb));
    for (; frames < 2 && !has_ended(); frames++)
        send_frame(fd, FRAME_CONTINUATION, 1, bomb, sizeof(bomb));
    assert_ended_cheaply(role, fd, before);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel floods");
    TCase *tc = tcase_create("header blocks");

    tcase_add_loop_test(tc, endless_continuations_end_the_link, 0, 6);
    tcase_add_loop_test(tc, list_that_unpacks_without_end_ends_the_link, 0, 2);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
