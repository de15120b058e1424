/* Unit tests: streams on sockets, bytes put back, connect, listener. */
#include "check_net.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/sockaddr.h"
#include "net/dial.h"
#include "net/listen.h"
#include "net/stream_internal.h"

#define MIB ((size_t)1024 * 1024)

START_TEST(fd_moves_64_mib_both_ways)
{
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    struct endpoint *a, *b;

    stream_pair(loop, s, 0);
    a = endpoint_create(s[0], 11, 64 * MIB);
    b = endpoint_create(s[1], 22, 64 * MIB);
    endpoints_run(loop, a, b);
    endpoint_destroy(a);
    endpoint_destroy(b);
    loop_destroy(loop);
}
END_TEST

START_TEST(fd_half_close_leaves_the_other_direction)
{
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    struct endpoint *a, *b;

    stream_pair(loop, s, 4096);
    a = endpoint_create(s[0], 1, 0);
    b = endpoint_create(s[1], 2, 3 * MIB);
    b->after_eof = true;
    endpoints_run(loop, a, b);
    ck_assert_uint_gt(b->eagain, 0);
    endpoint_destroy(a);
    endpoint_destroy(b);
    loop_destroy(loop);
}
END_TEST

START_TEST(fd_reader_that_stops_stops_the_writer)
{
    static char data[65536];
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    size_t in = 0, out = 0;
    ssize_t n;

    stream_pair(loop, s, 8192);
    stream_want(s[1], 0);
    while ((n = stream_write(s[0], data, sizeof(data))) > 0) {
        out += (size_t)n;
        uv_run(loop, UV_RUN_NOWAIT);
        ck_assert_uint_lt(out, 4 * MIB);
    }
    ck_assert_int_eq(n, -EAGAIN);
    while (in < out) {
        n = stream_read(s[1], data, sizeof(data));
        ck_assert(n > 0 || n == -EAGAIN);
        in += n > 0 ? (size_t)n : 0;
    }
    stream_close(s[0], NULL, NULL);
    stream_close(s[1], NULL, NULL);
    loop_destroy(loop);
}
END_TEST

struct counter {
    struct stream *stream;
    unsigned events, readable, writable;
    bool close_at_once, closed;
    int last;
};

static void count_closed_cb(void *arg)
{
    struct counter *c = arg;

    ck_assert(!c->closed);
    c->closed = true;
}

static void count_cb(void *arg, unsigned events)
{
    struct counter *c = arg;

    ck_assert_uint_ne(events, 0);
    ck_assert(!c->closed);
    c->events++;
    c->readable += !!(events & STREAM_READABLE);
    c->writable += !!(events & STREAM_WRITABLE);
    if (c->close_at_once) {
        stream_close(c->stream, count_closed_cb, c);
        c->stream = NULL;
    }
}

START_TEST(fd_events_are_level_triggered_and_only_those_wanted)
{
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    struct counter c = {0};
    char byte;

    stream_pair(loop, s, 0);
    c.stream = s[1];
    stream_set_callback(s[1], count_cb, &c);
    ck_assert_int_eq(stream_write(s[0], "ab", 2), 2);
    uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.events, 0);

    stream_want(s[1], STREAM_READABLE);
    uv_run(loop, UV_RUN_ONCE);
    uv_run(loop, UV_RUN_ONCE);
    ck_assert_uint_eq(c.readable, 2);
    ck_assert_int_eq(stream_read(s[1], &byte, 1), 1);
    uv_run(loop, UV_RUN_ONCE);
    ck_assert_uint_eq(c.readable, 3);
    ck_assert_uint_eq(c.writable, 0);

    stream_want(s[1], STREAM_WRITABLE);
    uv_run(loop, UV_RUN_ONCE);
    ck_assert_uint_eq(c.writable, 1);
    ck_assert_uint_eq(c.readable, 3);

    stream_want(s[1], 0);
    for (int i = 0; i < 3; i++)
        uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.events, 4);
    stream_close(s[0], NULL, NULL);
    stream_close(s[1], NULL, NULL);
    loop_destroy(loop);
}
END_TEST

static void tick_cb(uv_prepare_t *prepare)
{
    ++*(unsigned *)prepare->data;
}

static void stop_cb(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Bytes that nobody wants must not keep the loop turning. */
START_TEST(fd_unwanted_events_do_not_spin)
{
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    struct counter c = {0};
    uv_prepare_t prepare;
    uv_timer_t timer;
    unsigned turns = 0;
    bool stop = false;

    stream_pair(loop, s, 0);
    c.stream = s[1];
    stream_set_callback(s[1], count_cb, &c);
    stream_want(s[1], STREAM_READABLE | STREAM_WRITABLE);
    uv_run(loop, UV_RUN_ONCE);
    stream_want(s[1], 0);
    ck_assert_int_eq(stream_write(s[0], "ab", 2), 2);
    uv_prepare_init(loop, &prepare);
    prepare.data = &turns;
    uv_prepare_start(&prepare, tick_cb);
    uv_timer_init(loop, &timer);
    timer.data = &stop;
    uv_timer_start(&timer, stop_cb, 100, 0);
    loop_until(loop, &stop);
    ck_assert_uint_lt(turns, 20);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    stream_close(s[0], NULL, NULL);
    stream_close(s[1], NULL, NULL);
    loop_destroy(loop);
}
END_TEST

START_TEST(fd_reset_is_reported_and_close_in_a_callback_is_fine)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    uv_loop_t *loop = loop_create();
    struct stream *s[2];
    struct counter c = {0};
    char byte;

    stream_pair(loop, s, 0);
    c.stream = s[1];
    stream_set_callback(s[1], count_cb, &c);
    stream_want(s[1], STREAM_READABLE);
    setsockopt(stream_fd(s[0]), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    stream_close(s[0], NULL, NULL);
    while (c.readable < 2) /* again and again until it is read */
        uv_run(loop, UV_RUN_ONCE);
    ck_assert_int_eq(stream_read(s[1], &byte, 1), -ECONNRESET);
    ck_assert_int_eq(stream_write(s[1], "x", 1), -EPIPE);
    c.close_at_once = true;
    loop_until(loop, &c.closed);
    loop_destroy(loop);
}
END_TEST

START_TEST(prepended_bytes_come_first)
{
    uv_loop_t *loop = loop_create();
    struct stream *s[2], *p;
    struct counter c = {0};
    char data[16];

    stream_pair(loop, s, 0);
    ck_assert_ptr_eq(stream_prepend(s[1], "", 0), s[1]);
    p = stream_prepend(s[1], "hello", 5);
    stream_set_callback(p, count_cb, &c);
    uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.events, 0);
    stream_want(p, STREAM_READABLE);
    uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.readable, 1);
    ck_assert_int_eq(stream_read(p, data, 3), 3);
    uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.readable, 2);
    ck_assert_int_eq(stream_read(p, data, 16), 2);
    ck_assert_mem_eq(data, "lo", 2);
    uv_run(loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(c.readable, 2);
    ck_assert_int_eq(stream_write(s[0], " world", 6), 6);
    uv_run(loop, UV_RUN_ONCE);
    ck_assert_uint_eq(c.readable, 3);
    ck_assert_int_eq(stream_read(p, data, 16), 6);
    ck_assert_int_eq(stream_fd(p), stream_fd(s[1]));
    stream_close(s[0], NULL, NULL);
    stream_close(p, NULL, NULL);
    loop_destroy(loop);
}
END_TEST

/* --- connect and listener ------------------------------------------------- */

struct meeting {
    uv_loop_t *loop;
    struct listener *listener;
    union sockaddr_any addr;
    int accepted, connected, status;
    unsigned accepts;
    bool done, both;
};

static void check_both(struct meeting *m)
{
    m->both = m->accepts > 0 && m->done;
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct meeting *m = arg;

    ck_assert_int_eq(peer->sa.sa_family, m->addr.sa.sa_family);
    m->accepts++;
    if (m->accepted >= 0)
        close(m->accepted);
    m->accepted = fd;
    check_both(m);
}

static void connect_done_cb(void *arg, int status, int fd)
{
    struct meeting *m = arg;

    ck_assert(!m->done);
    m->status = status;
    m->connected = fd;
    m->done = true;
    check_both(m);
}

static void meeting_start(struct meeting *m, const char *ip)
{
    struct tp_error err = {0};

    memset(m, 0, sizeof(*m));
    m->accepted = m->connected = -1;
    m->loop = loop_create();
    sockaddr_parse(&m->addr, ip, 0);
    m->listener = listener_create(m->loop, &m->addr, 16, accept_cb, m, &err);
    ck_assert_ptr_nonnull(m->listener);
    listener_get_addr(m->listener, &m->addr);
    ck_assert_uint_ne(sockaddr_port(&m->addr), 0);
}

static void meeting_end(struct meeting *m)
{
    listener_close(m->listener);
    if (m->accepted >= 0)
        close(m->accepted);
    if (m->connected >= 0)
        close(m->connected);
    loop_destroy(m->loop);
}

/* Containers often have no IPv6, not even on the loopback. */
static bool has_address(const char *ip)
{
    union sockaddr_any addr;
    bool has;
    int fd;

    ck_assert_int_eq(sockaddr_parse(&addr, ip, 0), 0);
    fd = socket(addr.sa.sa_family, SOCK_STREAM, 0);
    has = fd >= 0 && bind(fd, &addr.sa, sockaddr_len(&addr)) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

START_TEST(connect_and_accept_on_both_families)
{
    static const char *const ips[] = {"127.0.0.1", "::1"};
    struct meeting m;

    if (_i > 0 && !has_address(ips[_i]))
        return;
    meeting_start(&m, ips[_i]);
    connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    loop_until(m.loop, &m.both);
    ck_assert_int_eq(m.status, 0);
    ck_assert_int_ge(m.connected, 0);
    fd_write_all(m.loop, m.connected, "hi", 2);
    meeting_end(&m);
}
END_TEST

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

/* doc/decisions.md: without this connect() becomes slow, not wrong. */
START_TEST(connect_may_take_any_local_port)
{
    uint32_t range = 0;
    socklen_t len = sizeof(range);
    struct meeting m;

    meeting_start(&m, "127.0.0.1");
    connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    loop_until(m.loop, &m.both);
    if (getsockopt(m.connected, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range,
                   &len) == 0) /* Linux 6.3 */
        ck_assert_uint_eq(range, 1 | UINT32_C(65535) << 16);
    meeting_end(&m);
}
END_TEST

START_TEST(connect_to_a_closed_port_is_refused)
{
    struct meeting m;

    meeting_start(&m, "127.0.0.1");
    listener_close(m.listener);
    m.listener = NULL;
    connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    ck_assert(!m.done); /* only ever from the loop */
    loop_until(m.loop, &m.done);
    ck_assert_int_eq(m.status, -ECONNREFUSED);
    ck_assert_int_eq(m.connected, -1);
    meeting_end(&m);
}
END_TEST

START_TEST(connect_fails_from_the_loop_when_it_fails_at_once)
{
    struct meeting m;
    union sockaddr_any addr;

    meeting_start(&m, "127.0.0.1");
    sockaddr_parse(&addr, "255.255.255.255", 1);
    connect_start(m.loop, &addr, 0, 10000, connect_done_cb, &m);
    ck_assert(!m.done);
    loop_until(m.loop, &m.done);
    ck_assert_int_lt(m.status, 0);
    ck_assert_int_ne(m.status, -ETIMEDOUT);
    meeting_end(&m);
}
END_TEST

/* A listener with a full queue answers no further SYN. */
START_TEST(connect_times_out)
{
    struct meeting m;
    union sockaddr_any addr;
    socklen_t len = sizeof(addr);
    int fd, fill[2];

    meeting_start(&m, "127.0.0.1");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_parse(&addr, "127.0.0.1", 0);
    bind(fd, &addr.sa, sockaddr_len(&addr));
    listen(fd, 0);
    getsockname(fd, &addr.sa, &len);
    for (int i = 0; i < 2; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], &addr.sa, sockaddr_len(&addr));
    }
    connect_start(m.loop, &addr, 0, 50, connect_done_cb, &m);
    loop_until(m.loop, &m.done);
    ck_assert_int_eq(m.status, -ETIMEDOUT);
    close(fd);
    close(fill[0]);
    close(fill[1]);
    meeting_end(&m);
}
END_TEST

START_TEST(connect_can_be_cancelled)
{
    struct meeting m;
    struct connect_op *op;

    meeting_start(&m, "127.0.0.1");
    op = connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    connect_cancel(op);
    meeting_end(&m);
    ck_assert(!m.done);
}
END_TEST

/* Or its port would stay in use for a minute (TIME_WAIT). */
START_TEST(connect_that_is_cancelled_too_late_is_a_reset)
{
    union sockaddr_any addr;
    socklen_t len = sizeof(addr.in4);
    int listener = socket(AF_INET, SOCK_STREAM, 0), accepted;
    struct connect_op *op;
    uv_loop_t loop;
    char byte;

    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(sockaddr_parse(&addr, "127.0.0.1", 0), 0);
    ck_assert_int_eq(bind(listener, &addr.sa, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, &addr.sa, &len), 0);
    op = connect_start(&loop, &addr, 0, 10000, NULL, NULL);
    accepted = accept(listener, NULL, NULL); /* it is connected */
    ck_assert_int_ge(accepted, 0);
    connect_cancel(op);
    ck_assert_int_eq(read(accepted, &byte, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(accepted);
    close(listener);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(listener_survives_without_descriptors)
{
    struct meeting m;
    struct rlimit old, low;
    int probe;

    meeting_start(&m, "127.0.0.1");
    connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    probe = dup(0);
    close(probe);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)probe; /* the next descriptor is one too many */
    setrlimit(RLIMIT_NOFILE, &low);
    loop_until(m.loop, &m.done);
    for (int i = 0; i < 10; i++)
        uv_run(m.loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(m.accepts, 0);
    setrlimit(RLIMIT_NOFILE, &old);

    /* The peer was told, and the next one is served. */
    char byte;
    while (recv(m.connected, &byte, 1, 0) < 0)
        ck_assert_int_eq(errno, EAGAIN);
    close(m.connected);
    m.done = false;
    connect_start(m.loop, &m.addr, 0, 10000, connect_done_cb, &m);
    loop_until(m.loop, &m.both);
    ck_assert_uint_eq(m.accepts, 1);
    meeting_end(&m);
}
END_TEST

START_TEST(listener_says_which_address_is_taken)
{
    struct tp_error err = {0};
    struct meeting m;
    char text[SOCKADDR_TEXT], expected[128];

    meeting_start(&m, "127.0.0.1");
    ck_assert_ptr_null(
        listener_create(m.loop, &m.addr, 1, accept_cb, &m, &err));
    ck_assert_int_eq(err.code, -EADDRINUSE);
    snprintf(expected, sizeof(expected), "listen on %s: Address already in use",
             sockaddr_format(&m.addr, text));
    ck_assert_str_eq(err.text, expected);
    meeting_end(&m);
}
END_TEST

Suite *net_stream_suite(void)
{
    Suite *s = suite_create("net/stream");
    TCase *tc = tcase_create("stream");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, fd_moves_64_mib_both_ways);
    tcase_add_test(tc, fd_half_close_leaves_the_other_direction);
    tcase_add_test(tc, fd_reader_that_stops_stops_the_writer);
    tcase_add_test(tc, fd_events_are_level_triggered_and_only_those_wanted);
    tcase_add_test(tc, fd_unwanted_events_do_not_spin);
    tcase_add_test(tc, fd_reset_is_reported_and_close_in_a_callback_is_fine);
    tcase_add_test(tc, prepended_bytes_come_first);
    tcase_add_loop_test(tc, connect_and_accept_on_both_families, 0, 2);
    tcase_add_test(tc, connect_to_a_closed_port_is_refused);
    tcase_add_test(tc, connect_may_take_any_local_port);
    tcase_add_test(tc, connect_fails_from_the_loop_when_it_fails_at_once);
    tcase_add_test(tc, connect_times_out);
    tcase_add_test(tc, connect_can_be_cancelled);
    tcase_add_test(tc, connect_that_is_cancelled_too_late_is_a_reset);
    tcase_add_test(tc, listener_survives_without_descriptors);
    tcase_add_test(tc, listener_says_which_address_is_taken);
    suite_add_tcase(s, tc);
    return s;
}
