/* Unit tests of src/net/limit.c: bytes are bounded, none is lost. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/limit.h"
#include "suite.h"

#define RATE  1000000u /* bytes a second; bursts are a tenth */
#define TOTAL 300000u

struct reader {
    struct stream *s;
    size_t got;
    unsigned sum;
    size_t first_turn;       /* bytes before the bucket was dry */
    uint64_t started, ended; /* ms */
    bool dry;
};

static void readable_cb(void *arg, unsigned events)
{
    struct reader *r = arg;
    uint8_t data[8192];
    ssize_t n;

    ck_assert_uint_eq(events, STREAM_READABLE);
    while ((n = stream_read(r->s, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            r->sum += data[i];
        r->got += (size_t)n;
        if (!r->dry)
            r->first_turn = r->got;
    }
    r->dry = true;
    if (n == 0) {
        r->ended = uv_now(r->s->loop);
        stream_close(r->s, NULL, NULL);
    }
}

static void fill_socket(int fd)
{
    int size = 2 * TOTAL;
    uint8_t *data = malloc(TOTAL);

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (uint8_t)(i * 7);
    ck_assert_int_eq(write(fd, data, TOTAL), TOTAL);
    free(data);
    shutdown(fd, SHUT_WR);
}

START_TEST(reading_is_bounded_and_complete)
{
    struct reader r = {0};
    unsigned sum = 0;
    uv_loop_t loop;
    int fds[2];

    uv_loop_init(&loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fill_socket(fds[1]);
    r.s = limit_create(stream_create_fd(&loop, fds[0]), RATE);
    stream_set_callback(r.s, readable_cb, &r);
    r.started = uv_now(&loop);
    stream_want(r.s, STREAM_READABLE);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < TOTAL; i++)
        sum += (uint8_t)(i * 7);
    ck_assert_uint_eq(r.got, TOTAL);
    ck_assert_uint_eq(r.sum, sum);
    /* The burst and one read of debt at most. */
    ck_assert_uint_le(r.first_turn, RATE / 10 + 8192);
    /* What is over the burst was paid for by the clock that fills. */
    ck_assert_uint_ge((r.ended - r.started) * RATE / 1000 + RATE / 10 + 8192,
                      TOTAL);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(fds[1]);
}
END_TEST

START_TEST(writing_stops_at_the_burst)
{
    uint8_t data[8192] = {0};
    struct stream *s;
    size_t sent = 0;
    uv_loop_t loop;
    ssize_t n;
    int fds[2], size = 2 * TOTAL;

    uv_loop_init(&loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    s = limit_create(stream_create_fd(&loop, fds[0]), RATE);
    while ((n = stream_write(s, data, sizeof(data))) > 0)
        sent += (size_t)n;
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert_uint_ge(sent, RATE / 10);
    ck_assert_uint_le(sent, RATE / 10 + sizeof(data));
    stream_close(s, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(fds[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net_limit");
    TCase *tc = tcase_create("limit");

    tcase_add_test(tc, reading_is_bounded_and_complete);
    tcase_add_test(tc, writing_stops_at_the_burst);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
