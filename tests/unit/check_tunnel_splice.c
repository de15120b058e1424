/*
 * Unit tests of src/tunnel/splice.c: two links in one loop, joined in the
 * middle. `users` are at the agent's end, `far_users` at the daemon's.
 *
 *   agent ==pair==> manager ==daemon==> daemon
 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/splice.h"
#include "tunnel/tunnel_internal.h"
#include "tunnel/udp.h"
#include "tunnel_pair.h"
#include "suite.h"

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))
#define NAME         "abcdefghijklmnopqrstuvwxyz"
#define MIB          ((uint64_t)1 << 20)
#define USERS        600

static struct pair pair, daemon_pair;
static struct user users[USERS], far_users[USERS];

static struct ended {
    struct tunnel_stream *in;
    int calls, status;
    uint64_t to_out, to_in;
} ended[USERS];
static int spliced; /* of `ended`, how many were begun */

static void ended_cb(void *arg, int status, uint64_t to_out, uint64_t to_in)
{
    struct ended *e = arg;

    e->calls++;
    e->status = status;
    e->to_out = to_out;
    e->to_in = to_in;
}

static int splice_open(struct pair *p, struct tunnel_stream *s,
                       const struct tunnel_open *open)
{
    struct ended *e = &ended[spliced];
    int rc = tunnel_splice(s, open, daemon_pair.client, open->name, open->port,
                           ended_cb, e);

    (void)p;
    if (rc != 0)
        return rc;
    e->in = s;
    spliced++;
    return 0;
}

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
    memset(&daemon_pair, 0, sizeof(daemon_pair));
    memset(users, 0, sizeof(users));
    memset(far_users, 0, sizeof(far_users));
    memset(ended, 0, sizeof(ended));
    spliced = 0;
    pair.config.names = daemon_pair.config.names = true;
    pair.open_cb = splice_open;
    daemon_pair.open_cb = user_serve;
    daemon_pair.arg = far_users;
    pair_init(&pair);
    daemon_pair.loop = pair.loop;
    pair_init(&daemon_pair);
}

static void teardown(void)
{
    pair_close(&daemon_pair);
    pair_close(&pair);
    for (int i = 0; i < spliced; i++)
        ck_assert_int_eq(ended[i].calls, 1);
}

static void open_user(struct user *u, enum tunnel_kind kind)
{
    u->pair = &pair;
    u->stream =
        (kind == TUNNEL_UDP ? tunnel_open_udp_name : tunnel_open_tcp_name)(
            pair.client, NAME, 8080, &user_ops, u);
    ck_assert_ptr_nonnull(u->stream);
}

/* A splice whose both ends stay open. */
static void open_pair(int i)
{
    users[i].keep_open = far_users[i].keep_open = true;
    open_user(&users[i], TUNNEL_TCP);
    RUN_UNTIL(users[i].opened && far_users[i].stream);
}

/* ---- bytes --------------------------------------------------------------- */

START_TEST(bytes_pass_both_ways)
{
    users[0].offer = 10 * MIB;
    far_users[0].offer = 10 * MIB + 17;
    open_user(&users[0], _i ? TUNNEL_UDP : TUNNEL_TCP);
    RUN_UNTIL(users[0].closed && far_users[0].closed && ended[0].calls);
    ck_assert_uint_eq(far_users[0].received, 10 * MIB);
    ck_assert_uint_eq(users[0].received, 10 * MIB + 17);
    ck_assert(!users[0].bad && !far_users[0].bad);
    ck_assert_int_eq(users[0].status | far_users[0].status, 0);
    ck_assert_int_eq(ended[0].status, 0);
    ck_assert_uint_eq(ended[0].to_out, 10 * MIB);
    ck_assert_uint_eq(ended[0].to_in, 10 * MIB + 17);
}
END_TEST

/* _i: which side ends first; the other one still sends for a while. */
START_TEST(half_close_passes)
{
    struct user *first = _i ? &far_users[0] : &users[0];
    struct user *second = _i ? &users[0] : &far_users[0];

    open_pair(0);
    first->offer = 100;
    first->keep_open = false;
    tunnel_stream_resume(first->stream);
    RUN_UNTIL(second->eofs);
    ck_assert_uint_eq(second->received, 100);
    second->offer = 3 * MIB;
    second->keep_open = false;
    tunnel_stream_resume(second->stream);
    RUN_UNTIL(users[0].closed && far_users[0].closed && ended[0].calls);
    ck_assert_uint_eq(first->received, 3 * MIB);
    ck_assert_int_eq(users[0].eofs + far_users[0].eofs, 2);
    ck_assert_int_eq(ended[0].status, 0);
}
END_TEST

START_TEST(five_hundred_at_once)
{
    const int n = 500;

    for (int i = 0; i < n; i++) {
        users[i].offer = far_users[i].offer = 100000 + (uint64_t)i;
        open_user(&users[i], i & 1 ? TUNNEL_UDP : TUNNEL_TCP);
    }
    for (int i = 0; i < n; i++) {
        RUN_UNTIL(users[i].closed && far_users[i].closed && ended[i].calls);
        ck_assert(!users[i].bad && !far_users[i].bad);
        ck_assert_uint_eq(users[i].received, ended[i].to_in);
        ck_assert_int_eq(ended[i].status, 0);
    }
    ck_assert_int_eq(spliced, n);
}
END_TEST

/* _i: which side does not read. */
START_TEST(stalled_reader_is_bounded_and_alone)
{
    struct user *slow = _i ? &users[0] : &far_users[0];
    struct user *sender = _i ? &far_users[0] : &users[0];
    uint64_t sent;

    open_pair(0);
    slow->stall = true;
    sender->offer = 100 * MIB;
    tunnel_stream_resume(sender->stream);
    users[1].offer = far_users[1].offer = 40 * MIB;
    open_user(&users[1], TUNNEL_TCP);
    RUN_UNTIL(users[1].closed && far_users[1].closed);
    ck_assert_uint_eq(users[1].received + far_users[1].received, 80 * MIB);
    sent = sender->sent; /* two windows, that of a reader that takes nothing */
    ck_assert_uint_le(sent, 1 * MIB);
    for (int i = 0; i < 100; i++)
        pair_turn(&pair);
    ck_assert_uint_eq(sender->sent, sent);
    ck_assert_uint_le(pair.server->unread + daemon_pair.client->unread,
                      512 * 1024);
    slow->stall = false;
    tunnel_stream_drain(slow->stream);
    RUN_UNTIL(slow->received == 100 * MIB);
    ck_assert(!slow->bad);
}
END_TEST

/* The link to the daemon is blocked by a peer that does not read it at all. */
START_TEST(blocked_link_holds_windows_only)
{
    stream_want(daemon_pair.server->io, 0);
    for (int i = 0; i < 20; i++) {
        users[i].offer = 10 * MIB;
        open_user(&users[i], TUNNEL_UDP);
    }
    for (int i = 0; i < 200; i++)
        pair_turn(&pair);
    for (int i = 0; i < 20; i++)
        ck_assert_uint_le(users[i].sent, TUNNEL_WINDOW_BASE);
    daemon_pair.server->want = 0;
    stream_want(daemon_pair.server->io, STREAM_READABLE);
    for (int i = 0; i < 20; i++)
        RUN_UNTIL(far_users[i].received == 10 * MIB);
}
END_TEST

/* ---- refusals ------------------------------------------------------------ */

static const int refusals[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH,
                               -ETIMEDOUT,    -EACCES,       -EMFILE,
                               -EINVAL,       -EIO};

START_TEST(refusal_passes_as_its_errno)
{
    daemon_pair.open_cb = NULL;
    daemon_pair.refuse = refusals[_i / 2];
    users[0].offer = MIB; /* TCP: must not be pulled */
    open_user(&users[0], _i & 1 ? TUNNEL_UDP : TUNNEL_TCP);
    RUN_UNTIL(users[0].closed && ended[0].calls);
    ck_assert_str_eq(daemon_pair.opened_text, NAME ":8080");
    ck_assert_int_eq(users[0].opened, 1);
    ck_assert_int_eq(users[0].open_status, refusals[_i / 2]);
    ck_assert_int_eq(ended[0].status, refusals[_i / 2]);
    ck_assert_uint_eq(ended[0].to_out + ended[0].to_in, 0);
}
END_TEST

static int keep_unanswered(struct pair *p, struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    (void)p;
    (void)open;
    far_users[0].stream = s;
    tunnel_stream_set_user(s, &user_ops, &far_users[0]);
    return 0;
}

START_TEST(peer_that_gives_up_is_heard_at_the_far_side)
{
    daemon_pair.open_cb = keep_unanswered;
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(far_users[0].stream);
    tunnel_stream_reset(users[0].stream, -ECANCELED);
    RUN_UNTIL(far_users[0].closed && ended[0].calls);
    ck_assert_int_eq(ended[0].status, -ECONNRESET);
}
END_TEST

START_TEST(nobody_is_told_before_the_far_side_answered)
{
    daemon_pair.open_cb = keep_unanswered;
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(far_users[0].stream);
    for (int i = 0; i < 20; i++)
        pair_turn(&pair);
    ck_assert_int_eq(users[0].opened, 0);
    ck_assert_int_eq(tunnel_stream_answer(far_users[0].stream, 0), 0);
    RUN_UNTIL(users[0].opened && users[0].closed);
    ck_assert_int_eq(users[0].open_status, 0);
}
END_TEST

START_TEST(link_that_is_gone_is_the_callers_to_refuse)
{
    shutdown(stream_fd(daemon_pair.server->io), SHUT_RDWR);
    RUN_UNTIL(daemon_pair.client_ended);
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(users[0].closed);
    ck_assert_int_eq(users[0].open_status, -EIO);
    ck_assert_int_eq(spliced, 0);
}
END_TEST

static int splice_wrongly(struct pair *p, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    if (open->kind == TUNNEL_REQUEST || open->port == 1)
        return tunnel_splice(s, open,
                             open->port == 1 ? p->server : daemon_pair.client,
                             NAME, 1, ended_cb, &ended[0]);
    return tunnel_splice(s, open, daemon_pair.client, "web", 80, NULL, NULL);
}

static void response_cb(void *arg, int status, const char *body, size_t len)
{
    (void)body;
    (void)len;
    *(int *)arg = status;
}

START_TEST(what_cannot_be_joined_is_einval)
{
    int status = 0;

    pair.open_cb = splice_wrongly;
    tunnel_open_tcp_name(pair.client, NAME, 1, &user_ops, &users[0]);
    tunnel_open_tcp_name(pair.client, NAME, 2, &user_ops, &users[1]);
    tunnel_request(pair.client, "GET", "/x", NULL, response_cb, &status);
    RUN_UNTIL(users[0].closed && users[1].closed && status);
    ck_assert_int_eq(users[0].open_status, -EINVAL);
    ck_assert_int_eq(users[1].open_status, -EINVAL);
    ck_assert_int_eq(status, 400);
    ck_assert_int_eq(ended[0].calls, 0);
}
END_TEST

/* ---- resets and lost links ------------------------------------------------
 */

START_TEST(reset_passes)
{
    struct user *other = _i ? &users[0] : &far_users[0];

    open_pair(0);
    tunnel_stream_reset(_i ? far_users[0].stream : users[0].stream,
                        -ECONNRESET);
    RUN_UNTIL(other->closed && ended[0].calls);
    ck_assert_int_eq(other->status, -ECONNRESET);
    ck_assert_int_eq(ended[0].status, -ECONNRESET);
}
END_TEST

/* _i: which of the four ends. The manager's own go at once, the others' when
 * the connection breaks. */
START_TEST(lost_link_is_a_reset_on_the_other)
{
    struct tunnel **ends[] = {&pair.client, &pair.server, &daemon_pair.client,
                              &daemon_pair.server};
    struct user *other = _i < 2 ? &far_users[0] : &users[0];

    users[0].offer = far_users[0].offer = 500 * MIB;
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(users[0].received > MIB && far_users[0].received > MIB);
    tunnel_destroy(*ends[_i]);
    *ends[_i] = NULL;
    RUN_UNTIL(other->closed && ended[0].calls);
    ck_assert_int_eq(other->status, -ECONNRESET);
    ck_assert_int_eq(ended[0].status, -EPIPE);
}
END_TEST

START_TEST(lost_link_before_the_answer_is_a_refusal)
{
    daemon_pair.open_cb = keep_unanswered;
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(far_users[0].stream);
    tunnel_destroy(daemon_pair.client);
    daemon_pair.client = NULL;
    RUN_UNTIL(users[0].closed && ended[0].calls);
    ck_assert_int_eq(users[0].open_status, -EIO);
    ck_assert_int_eq(ended[0].status, -EPIPE);
}
END_TEST

/* _i 0: unanswered, 1: open, 2: open, and one side has ended in order. */
START_TEST(abort_ends_both_sides)
{
    if (_i == 0)
        daemon_pair.open_cb = keep_unanswered;
    users[0].keep_open = far_users[0].keep_open = true;
    open_user(&users[0], TUNNEL_TCP);
    RUN_UNTIL(far_users[0].stream && (_i == 0 || users[0].opened));
    if (_i == 2) {
        users[0].keep_open = false;
        tunnel_stream_resume(users[0].stream);
        RUN_UNTIL(far_users[0].eofs);
    }
    splice_abort(ended[0].in);
    ck_assert_int_eq(ended[0].calls, 1);
    ck_assert_int_eq(ended[0].status, -ECONNRESET);
    RUN_UNTIL(users[0].closed && far_users[0].closed);
    ck_assert_int_eq(users[0].status, -ECONNRESET);
    ck_assert_int_eq(far_users[0].status, -ECONNRESET);
}
END_TEST

/* The peer's side has ended in order while the daemon's link takes nothing:
 * what abort is given is still good. */
START_TEST(abort_after_in_has_closed)
{
    open_pair(0);
    far_users[0].keep_open = users[0].keep_open = false;
    tunnel_stream_resume(far_users[0].stream);
    RUN_UNTIL(users[0].eofs);
    daemon_pair.client->blocked = true;
    tunnel_stream_resume(users[0].stream);
    RUN_UNTIL(users[0].closed && pair.server->stats.streams == 0);
    ck_assert_int_eq(ended[0].calls, 0);
    splice_abort(ended[0].in);
    ck_assert_int_eq(ended[0].calls, 1);
}
END_TEST

static struct {
    struct tunnel **victim;
    enum user_event event;
    int left; /* events until it happens */
} plan;

static void destroy_hook(struct user *u, enum user_event event)
{
    (void)u;
    if (event != plan.event || plan.left-- != 0)
        return;
    tunnel_destroy(*plan.victim);
    *plan.victim = NULL;
}

/* One of the four tunnels goes away inside a user's callback. */
START_TEST(destroy_in_every_callback)
{
    struct tunnel **ends[] = {&pair.client, &pair.server, &daemon_pair.client,
                              &daemon_pair.server};

    plan.victim = ends[_i % 4];
    plan.event = (enum user_event)(_i / 4 % USER_EVENTS);
    plan.left = _i / 4 / USER_EVENTS;
    for (int i = 0; i < 8; i++) {
        users[i].hook_cb = far_users[i].hook_cb = destroy_hook;
        users[i].offer = far_users[i].offer = 300000;
        open_user(&users[i], TUNNEL_TCP);
    }
    for (int i = 0; i < 8; i++)
        RUN_UNTIL(users[i].closed);
    for (int i = 0; i < spliced; i++)
        RUN_UNTIL(ended[i].calls);
}
END_TEST

/* ---- datagrams ------------------------------------------------------------
 */

static struct {
    unsigned n;
    size_t bytes;
    int closed, status;
} flow;

static void flow_datagram_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    flow.n++;
    flow.bytes += len;
}

static void flow_closed_cb(void *arg, int status)
{
    (void)arg;
    flow.closed++;
    flow.status = status;
}

static const struct tunnel_udp_ops flow_ops = {NULL, flow_datagram_cb,
                                               flow_closed_cb};

static int udp_socket(union sockaddr_any *addr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(addr->in4);

    ck_assert_int_eq(sockaddr_parse(addr, "127.0.0.1", 0), 0);
    ck_assert_int_eq(bind(fd, &addr->sa, len), 0);
    ck_assert_int_eq(getsockname(fd, &addr->sa, &len), 0);
    return fd;
}

static int serve_udp(struct pair *p, struct tunnel_stream *s,
                     const struct tunnel_open *open)
{
    union sockaddr_any *to = p->arg;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(open->kind, TUNNEL_UDP);
    ck_assert_int_eq(connect(fd, &to->sa, sizeof(to->in4)), 0);
    ck_assert_ptr_nonnull(tunnel_udp_serve(p->loop, s, fd, 0, NULL, NULL));
    return 0;
}

static void echo(int fd)
{
    static uint8_t data[TUNNEL_UDP_MAX];
    union sockaddr_any from;
    socklen_t len = sizeof(from.storage);
    ssize_t n = recvfrom(fd, data, sizeof(data), 0, &from.sa, &len);

    if (n >= 0)
        ck_assert_int_eq(sendto(fd, data, (size_t)n, 0, &from.sa, len), n);
}

START_TEST(datagrams_pass_whole)
{
    static const size_t lens[] = {0, 1, 512, 1400, 9000, 65507};
    static uint8_t data[65507];
    union sockaddr_any addr;
    int fd = udp_socket(&addr);
    struct tunnel_udp *u;
    size_t total = 0;

    memset(&flow, 0, sizeof(flow));
    daemon_pair.open_cb = serve_udp;
    daemon_pair.arg = &addr;
    u = tunnel_udp_open_name(pair.client, NAME, 53, 0, &flow_ops, NULL);
    ck_assert_ptr_nonnull(u);
    for (int i = 0; i < COUNT(lens); i++) {
        ck_assert_int_eq(tunnel_udp_send(u, data, lens[i]), 0);
        total += lens[i];
    }
    RUN_UNTIL((echo(fd), flow.n == COUNT(lens)));
    ck_assert_uint_eq(flow.bytes, total);
    tunnel_udp_close(u);
    RUN_UNTIL(ended[0].calls);
    ck_assert_int_eq(ended[0].status, 0);
    close(fd);
}
END_TEST

START_TEST(closed_udp_port_passes_as_econnrefused)
{
    union sockaddr_any addr;
    struct tunnel_udp *u;

    memset(&flow, 0, sizeof(flow));
    close(udp_socket(&addr));
    daemon_pair.open_cb = serve_udp;
    daemon_pair.arg = &addr;
    u = tunnel_udp_open_name(pair.client, NAME, 53, 0, &flow_ops, NULL);
    ck_assert_int_eq(tunnel_udp_send(u, "?", 1), 0);
    RUN_UNTIL(flow.closed && ended[0].calls);
    ck_assert_int_eq(flow.status, -ECONNREFUSED);
    ck_assert_int_eq(ended[0].status, -ECONNREFUSED);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_loop_test(tc, bytes_pass_both_ways, 0, 2);
    tcase_add_loop_test(tc, half_close_passes, 0, 2);
    tcase_add_test(tc, five_hundred_at_once);
    tcase_add_loop_test(tc, stalled_reader_is_bounded_and_alone, 0, 2);
    tcase_add_test(tc, blocked_link_holds_windows_only);
    tcase_add_loop_test(tc, refusal_passes_as_its_errno, 0,
                        2 * COUNT(refusals));
    tcase_add_test(tc, peer_that_gives_up_is_heard_at_the_far_side);
    tcase_add_test(tc, nobody_is_told_before_the_far_side_answered);
    tcase_add_test(tc, link_that_is_gone_is_the_callers_to_refuse);
    tcase_add_test(tc, what_cannot_be_joined_is_einval);
    tcase_add_loop_test(tc, reset_passes, 0, 2);
    tcase_add_loop_test(tc, lost_link_is_a_reset_on_the_other, 0, 4);
    tcase_add_test(tc, lost_link_before_the_answer_is_a_refusal);
    tcase_add_loop_test(tc, abort_ends_both_sides, 0, 3);
    tcase_add_test(tc, abort_after_in_has_closed);
    tcase_add_loop_test(tc, destroy_in_every_callback, 0, 4 * USER_EVENTS * 3);
    tcase_add_test(tc, datagrams_pass_whole);
    tcase_add_test(tc, closed_udp_port_passes_as_econnrefused);
}

int main(void)
{
    Suite *s = suite_create("tunnel-splice");
    TCase *tc = tcase_create("splice");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    add_tests(tc);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
