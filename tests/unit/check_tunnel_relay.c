/*
 * Unit tests of src/tunnel/relay.c: sockets at both ends of a link. The
 * applications at the sockets are threads that block, so that the loop under
 * test sees the timing of real ones.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/relay.h"
#include "tunnel/serve.h"
#include "tunnel/tunnel_internal.h"
#include "tunnel_pair.h"
#include "suite.h"

static struct pair pair;

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
}

/* A conversation: app <-> relay <-> link <-> relay <-> far. */
struct talk {
    int app, far, status;
};

static void talk_open(struct talk *talk)
{
    union sockaddr_any addr;
    int listener = tcp_listen(&addr);

    talk->app = pair_dial(&pair, &addr, &talk->status);
    RUN_UNTIL(talk->status != 0);
    ck_assert_int_eq(talk->status, 1);
    talk->far = accept(listener, NULL, NULL);
    ck_assert_int_ge(talk->far, 0);
    close(listener);
}

static void reset_socket(int fd)
{
    struct linger rst = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    close(fd);
}

static bool readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

START_TEST(bytes_and_fin_pass_both_ways)
{
    struct talk talk;
    char text[16];

    pair_init(&pair);
    talk_open(&talk);
    ck_assert_int_eq(write(talk.app, "hello", 5), 5);
    RUN_UNTIL(readable(talk.far));
    ck_assert_int_eq(read(talk.far, text, sizeof(text)), 5);
    ck_assert_mem_eq(text, "hello", 5);
    ck_assert_int_eq(shutdown(talk.app, SHUT_WR), 0);
    RUN_UNTIL(readable(talk.far));
    ck_assert_int_eq(read(talk.far, text, 1), 0);
    ck_assert_int_eq(write(talk.far, "after the fin", 13), 13);
    RUN_UNTIL(readable(talk.app));
    ck_assert_int_eq(read(talk.app, text, sizeof(text)), 13);
    ck_assert_uint_eq(pair.relays, 2); /* half open */
    close(talk.far);
    RUN_UNTIL(readable(talk.app));
    ck_assert_int_eq(read(talk.app, text, 1), 0);
    RUN_UNTIL(pair.relays == 0);
    close(talk.app);
    pair_close(&pair);
}
END_TEST

START_TEST(reset_passes_both_ways)
{
    struct talk talk;
    char c;

    pair_init(&pair);
    talk_open(&talk);
    reset_socket(_i ? talk.app : talk.far);
    if (_i)
        talk.app = talk.far;
    RUN_UNTIL(readable(talk.app));
    ck_assert_int_eq(read(talk.app, &c, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    RUN_UNTIL(pair.relays == 0);
    close(talk.app);
    pair_close(&pair);
}
END_TEST

/* libuv takes a descriptor once: the relay cannot have it. */
static uv_poll_t taken;

static void taken_cb(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

static int serve_without_relay(struct pair *p, struct tunnel_stream *s,
                               const struct tunnel_open *open)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, &open->addr.sa, sizeof(open->addr.in4)), 0);
    ck_assert_int_eq(tunnel_stream_answer(s, 0), 0);
    ck_assert_int_eq(uv_poll_init(p->loop, &taken, fd), 0);
    ck_assert_int_eq(uv_poll_start(&taken, UV_DISCONNECT, taken_cb), 0);
    ck_assert_ptr_null(relay_create(p->loop, fd, s, NULL, NULL));
    uv_close((uv_handle_t *)&taken, NULL);
    return 0;
}

/* An orderly end would say that the conversation was a short but good one. */
START_TEST(relay_that_cannot_start_resets_both)
{
    union sockaddr_any addr;
    int listener = tcp_listen(&addr), status, app, far;
    char c;

    pair_init(&pair);
    pair.open_cb = serve_without_relay;
    app = pair_dial(&pair, &addr, &status);
    RUN_UNTIL(status != 0);
    ck_assert_int_eq(status, -ECONNRESET);
    far = accept(listener, NULL, NULL);
    ck_assert_int_eq(read(far, &c, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(app);
    close(far);
    close(listener);
    pair_close(&pair);
}
END_TEST

START_TEST(both_sides_reset_at_once)
{
    struct talk talk;

    pair_init(&pair);
    talk_open(&talk);
    reset_socket(talk.app);
    reset_socket(talk.far);
    RUN_UNTIL(pair.relays == 0);
    pair_close(&pair);
}
END_TEST

START_TEST(answer_before_a_reset_arrives)
{
    struct talk talk;
    char text[16];

    pair_init(&pair);
    talk_open(&talk);
    ck_assert_int_eq(write(talk.far, "bye", 3), 3);
    reset_socket(talk.far); /* "bye" is in the relay's socket already */
    RUN_UNTIL(readable(talk.app));
    ck_assert_int_eq(read(talk.app, text, sizeof(text)), 3);
    RUN_UNTIL(readable(talk.app));
    ck_assert_int_eq(read(talk.app, text, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(talk.app);
    RUN_UNTIL(pair.relays == 0);
    pair_close(&pair);
}
END_TEST

/* ---- threads ------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    int fd;
    uint64_t bytes, hash, done;
    unsigned seed;
    atomic_int finished;
};

/* Writes bytes in pieces of random sizes, then ends the direction. */
static void *write_main(void *arg)
{
    static _Thread_local uint8_t data[200000];
    struct worker *w = arg;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rand_r(&w->seed);
    while (w->done < w->bytes) {
        size_t len = (size_t)rand_r(&w->seed) % (w->done % 3 ? 3000 : 200000);
        ssize_t n;

        if (++len > w->bytes - w->done)
            len = (size_t)(w->bytes - w->done);
        data[0] = (uint8_t)rand_r(&w->seed);
        n = send(w->fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        w->hash = hash_bytes(w->hash, data, (size_t)n);
        w->done += (uint64_t)n;
    }
    shutdown(w->fd, SHUT_WR);
    w->finished = 1;
    return NULL;
}

static void *read_main(void *arg)
{
    static _Thread_local uint8_t data[100000];
    struct worker *w = arg;
    ssize_t n;

    while ((n = recv(w->fd, data, 1 + (size_t)rand_r(&w->seed) % 100000, 0)) >
           0) {
        w->hash = hash_bytes(w->hash, data, (size_t)n);
        w->done += (uint64_t)n;
    }
    w->finished = n < 0 ? -errno : 1;
    return NULL;
}

static void start(struct worker *w, int fd, void *(*main_cb)(void *),
                  uint64_t bytes)
{
    memset(w, 0, sizeof(*w));
    w->fd = fd;
    w->bytes = bytes;
    w->seed = (unsigned)fd;
    ck_assert_int_eq(pthread_create(&w->thread, NULL, main_cb, w), 0);
}

static void expect_same(const struct worker *out, const struct worker *in,
                        uint64_t bytes)
{
    ck_assert_int_eq(in->finished, 1);
    ck_assert_uint_eq(out->done, bytes);
    ck_assert_uint_eq(in->done, bytes);
    ck_assert_uint_eq(in->hash, out->hash);
}

/* Opens a conversation, says something and resets it at either end. */
static void brief_talk(unsigned i)
{
    struct talk talk;

    talk_open(&talk);
    (void)!write(talk.app, "x", i & 1);
    reset_socket(i & 2 ? talk.app : talk.far);
    pair_turn(&pair);
    if (i & 4)
        reset_socket(i & 2 ? talk.far : talk.app);
    else
        close(i & 2 ? talk.far : talk.app);
}

START_TEST(hundred_mib_both_ways_while_others_come_and_go)
{
    struct worker w[4];
    struct talk talk;
    uint64_t bytes = 100 << 20;

    pair_init(&pair);
    talk_open(&talk);
    start(&w[0], talk.app, write_main, bytes);
    start(&w[1], talk.far, read_main, 0);
    start(&w[2], talk.far, write_main, bytes);
    start(&w[3], talk.app, read_main, 0);
    for (unsigned i = 0; i < 200; i++)
        brief_talk(i);
    while (!w[1].finished || !w[3].finished)
        pair_turn(&pair);
    for (int i = 0; i < 4; i++)
        pthread_join(w[i].thread, NULL);
    expect_same(&w[0], &w[1], bytes);
    expect_same(&w[2], &w[3], bytes);
    RUN_UNTIL(pair.relays == 0);
    close(talk.app);
    close(talk.far);
    pair_close(&pair);
}
END_TEST

START_TEST(fin_behind_bytes_that_nobody_reads_yet)
{
    struct worker w[2];
    struct talk talk;
    uint64_t bytes = 80 << 20;

    pair_init(&pair);
    talk_open(&talk);
    start(&w[0], talk.far, write_main, bytes);
    for (int i = 0; i < 100; i++)
        pair_turn(&pair);
    ck_assert_int_eq(w[0].finished, 0); /* it is held up */
    ck_assert_uint_le(pair.client->unread, TUNNEL_BUDGET);
    start(&w[1], talk.app, read_main, 0);
    while (!w[1].finished)
        pair_turn(&pair);
    pthread_join(w[0].thread, NULL);
    pthread_join(w[1].thread, NULL);
    expect_same(&w[0], &w[1], bytes);
    close(talk.app);
    close(talk.far);
    RUN_UNTIL(pair.relays == 0);
    pair_close(&pair);
}
END_TEST

START_TEST(stalled_reader_does_not_stop_the_others)
{
    struct worker stalled, w[2];
    struct talk still, talk;
    uint64_t bytes = 30 << 20;

    pair_init(&pair);
    talk_open(&still);
    start(&stalled, still.far, write_main, 1 << 30);
    talk_open(&talk);
    start(&w[0], talk.app, write_main, bytes);
    start(&w[1], talk.far, read_main, 0);
    while (!w[1].finished)
        pair_turn(&pair);
    pthread_join(w[0].thread, NULL);
    pthread_join(w[1].thread, NULL);
    expect_same(&w[0], &w[1], bytes);
    ck_assert_uint_le(pair.client->unread, TUNNEL_BUDGET);
    reset_socket(still.app); /* seen although both directions are blocked */
    while (!stalled.finished)
        pair_turn(&pair);
    pthread_join(stalled.thread, NULL);
    close(still.far);
    close(talk.app);
    close(talk.far);
    RUN_UNTIL(pair.relays == 0);
    pair_close(&pair);
}
END_TEST

START_TEST(reset_is_seen_while_the_link_does_not_read_the_socket)
{
    struct talk talk;
    char data[65536] = {0};
    int idle = 0;

    pair_init(&pair);
    talk_open(&talk);
    while (idle < 50) { /* until nothing moves: nobody reads talk.far */
        if (send(talk.app, data, sizeof(data), MSG_DONTWAIT) > 0)
            idle = 0;
        else
            idle++;
        pair_turn(&pair);
    }
    reset_socket(talk.app);
    RUN_UNTIL(pair.relays == 0);
    close(talk.far);
    pair_close(&pair);
}
END_TEST

START_TEST(cut_link_resets_the_sockets)
{
    struct talk talk;
    char c;

    pair_init(&pair);
    talk_open(&talk);
    shutdown(stream_fd(pair.client->io), SHUT_RDWR);
    RUN_UNTIL(readable(talk.app) && readable(talk.far));
    ck_assert_int_eq(read(talk.app, &c, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    ck_assert_int_eq(read(talk.far, &c, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(talk.app);
    close(talk.far);
    pair_close(&pair);
}
END_TEST

START_TEST(refused_port_is_econnrefused)
{
    union sockaddr_any addr;
    int status, app;

    close(tcp_listen(&addr));
    pair_init(&pair);
    app = pair_dial(&pair, &addr, &status);
    RUN_UNTIL(status != 0);
    ck_assert_int_eq(status, -ECONNREFUSED);
    close(app);
    pair_close(&pair);
}
END_TEST

/* ---- serve.h ---- */

static union sockaddr_any served;

static int serve_open_cb(struct pair *p, struct tunnel_stream *s,
                         const struct tunnel_open *open)
{
    static const struct tunnel_serve_ops ops = {0};
    const struct tunnel_serve_config config = {
        .addr = served, .eof = true, .tos = 0x0c, .timeout_ms = 5000};

    (void)open;
    return tunnel_serve(p->loop, s, &config, &ops, NULL);
}

/* Who had the stream before has seen its end, which comes only once. The far
 * end sees it, and what it then says arrives. */
START_TEST(serving_a_stream_that_has_ended)
{
    struct user u = {.keep_open = true};
    int listener = tcp_listen(&served), fd;
    ssize_t n = -1;
    char byte;

    pair.open_cb = serve_open_cb;
    pair_init(&pair);
    user_open(&u, &pair);
    RUN_UNTIL(u.opened);
    ck_assert_int_eq(u.open_status, 0);
    fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; n < 0 && i < 1000; i++) {
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        pair_turn(&pair);
    }
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(send(fd, "x", 1, 0), 1);
    RUN_UNTIL(u.received == 1);
    close(fd);
    close(listener);
    pair_close(&pair);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel-relay");
    TCase *tc = tcase_create("relay");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 180);
    tcase_add_test(tc, bytes_and_fin_pass_both_ways);
    tcase_add_loop_test(tc, reset_passes_both_ways, 0, 2);
    tcase_add_test(tc, relay_that_cannot_start_resets_both);
    tcase_add_test(tc, both_sides_reset_at_once);
    tcase_add_test(tc, answer_before_a_reset_arrives);
    tcase_add_test(tc, hundred_mib_both_ways_while_others_come_and_go);
    tcase_add_test(tc, fin_behind_bytes_that_nobody_reads_yet);
    tcase_add_test(tc, stalled_reader_does_not_stop_the_others);
    tcase_add_test(tc, reset_is_seen_while_the_link_does_not_read_the_socket);
    tcase_add_test(tc, cut_link_resets_the_sockets);
    tcase_add_test(tc, refused_port_is_econnrefused);
    tcase_add_test(tc, serving_a_stream_that_has_ended);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
