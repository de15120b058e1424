/* Unit tests of src/tunnel: links, streams, requests. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/tunnel_internal.h"
#include "tunnel_pair.h"
#include "suite.h"

static struct pair pair;
static struct user users[1024], far_users[30000];

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
    memset(users, 0, sizeof(users));
    memset(far_users, 0, sizeof(far_users));
}

/* A pair whose far end is made of far_users. */
static void user_pair(void)
{
    pair.open_cb = user_serve;
    pair.arg = far_users;
    pair_init(&pair);
}

/* ---- refusals ----------------------------------------------------------- */

static const int refusals[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH,
                               -ETIMEDOUT,    -EACCES,       -EMFILE,
                               -EINVAL,       -EIO};

START_TEST(refusal_travels_as_its_errno)
{
    pair.refuse = refusals[_i];
    pair_init(&pair);
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].closed);
    ck_assert_int_eq(users[0].opened, 1);
    ck_assert_int_eq(users[0].open_status, refusals[_i]);
    ck_assert_int_eq(users[0].status, refusals[_i]);
    pair_close(&pair);
}
END_TEST

static int refuse_later(struct pair *p, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    (void)open;
    far_users[0].stream = s;
    far_users[0].pair = p;
    tunnel_stream_set_user(s, &user_ops, &far_users[0]);
    return 0;
}

START_TEST(late_refusal_closes_both_users_once)
{
    pair.open_cb = refuse_later;
    pair_init(&pair);
    users[0].offer = 1 << 20; /* must not be pulled before the answer */
    user_open(&users[0], &pair);
    RUN_UNTIL(far_users[0].stream);
    ck_assert_int_eq(tunnel_stream_answer(far_users[0].stream, -ETIMEDOUT), 0);
    ck_assert_int_eq(tunnel_stream_answer(far_users[0].stream, 0), -EINVAL);
    RUN_UNTIL(users[0].closed && far_users[0].closed);
    ck_assert_int_eq(users[0].open_status, -ETIMEDOUT);
    ck_assert_uint_eq(users[0].sent, 0);
    pair_close(&pair);
    ck_assert_int_eq(users[0].closed + far_users[0].closed, 2);
}
END_TEST

START_TEST(types_and_errnos_are_inverse)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        const struct tunnel_errno_row *row = tunnel_errno_by_error(refusals[i]);

        ck_assert_int_eq(row->error, refusals[i]);
        ck_assert_ptr_eq(tunnel_errno_by_type(row->type), row);
    }
    ck_assert_int_eq(tunnel_errno_by_error(-EXDEV)->error, -EIO);
    ck_assert_int_eq(tunnel_errno_by_type("dns_error")->error, -EIO);
}
END_TEST

/* ---- requests ------------------------------------------------------------ */

struct answer {
    int calls, status;
    size_t len;
    char text[64];
    int lines;
};

static void answer_cb(void *arg, int status, const char *body, size_t len)
{
    struct answer *a = arg;

    a->calls++;
    a->status = status;
    a->len = len;
    snprintf(a->text, sizeof(a->text), "%s", body);
}

static void line_cb(void *arg, const char *line, size_t len)
{
    struct answer *a = arg;

    a->lines++;
    ck_assert_uint_eq(strlen(line), len);
    snprintf(a->text, sizeof(a->text), "%s", line);
}

static int answer_requests(struct pair *p, struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    char text[64];

    if (strcmp(open->path, "/echo") == 0)
        return tunnel_stream_respond(s, 201, open->body);
    if (strcmp(open->path, "/len") == 0) {
        snprintf(text, sizeof(text), "%zu", open->body_len);
        return tunnel_stream_respond(s, 200, text);
    }
    (void)p;
    return tunnel_stream_respond(s, 404, NULL);
}

START_TEST(requests_are_answered)
{
    struct answer a = {0}, b = {0}, c = {0};

    pair.open_cb = answer_requests;
    pair_init(&pair);
    ck_assert_int_eq(tunnel_request(pair.client, "POST", "/echo", "{\"a\":1}",
                                    answer_cb, &a),
                     0);
    ck_assert_int_eq(
        tunnel_request(pair.client, "GET", "/none", NULL, answer_cb, &b), 0);
    ck_assert_int_eq(
        tunnel_request(pair.client, "POST", "/len", "", answer_cb, &c), 0);
    RUN_UNTIL(a.calls && b.calls && c.calls);
    ck_assert_int_eq(a.status, 201);
    ck_assert_str_eq(a.text, "{\"a\":1}");
    ck_assert_int_eq(b.status, 404);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(c.text, "0");
    pair_close(&pair);
    ck_assert_int_eq(a.calls + b.calls + c.calls, 3);
}
END_TEST

START_TEST(bodies_of_one_mib_and_not_more)
{
    static char body[TUNNEL_BODY_MAX + 2];
    struct answer a = {0}, b = {0}, c = {0};

    pair.open_cb = answer_requests;
    pair_init(&pair);
    memset(body, 'b', TUNNEL_BODY_MAX);
    tunnel_request(pair.client, "POST", "/len", body, answer_cb, &a);
    tunnel_request(pair.client, "POST", "/echo", body, answer_cb, &b);
    RUN_UNTIL(a.calls && b.calls);
    ck_assert_str_eq(a.text, "1048576");
    ck_assert_int_eq(b.status, 201);
    ck_assert_uint_eq(b.len, TUNNEL_BODY_MAX);
    body[TUNNEL_BODY_MAX] = 'b';
    tunnel_request(pair.client, "POST", "/len", body, answer_cb, &c);
    RUN_UNTIL(c.calls);
    ck_assert_int_eq(c.status, 400);
    pair_close(&pair);
}
END_TEST

/* The NUL behind a body was given back as if it had been unread data: after as
 * many requests as a body has bytes it was refused, and streams were reset. */
START_TEST(many_requests_leave_the_account_of_unread_data_as_it_was)
{
    struct answer a = {0}, b = {0};

    pair.open_cb = answer_requests;
    pair_init(&pair);
    for (int i = 1; i <= 50; i++) {
        tunnel_request(pair.client, "GET", "/none", NULL, answer_cb, &a);
        RUN_UNTIL(a.calls == i);
    }
    tunnel_request(pair.client, "POST", "/len", "{}", answer_cb, &b);
    RUN_UNTIL(b.calls);
    ck_assert_int_eq(b.status, 200);
    ck_assert_str_eq(b.text, "2");
    pair_close(&pair);
}
END_TEST

/* A long answer: the parts that were released so far. */
struct lines {
    struct tunnel_stream *stream;
    const char *parts[3];
    int at, released, closed;
    int expected; /* how it ends */
};

static ssize_t lines_pull_cb(void *arg, void *data, size_t len)
{
    struct lines *lines = arg;
    const char *part = lines->parts[lines->at];

    if (lines->at == lines->released)
        return -EAGAIN;
    lines->at++;
    if (!part)
        return 0;
    ck_assert_uint_ge(len, strlen(part));
    memcpy(data, part, strlen(part));
    return (ssize_t)strlen(part);
}

static void lines_closed_cb(void *arg, int status)
{
    struct lines *lines = arg;

    lines->closed++;
    ck_assert_int_eq(status, lines->expected);
}

static int answer_watch(struct pair *p, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    static struct tunnel_stream_ops ops;

    ck_assert_str_eq(open->path, "/watch");
    ops = user_ops;
    ops.pull_cb = lines_pull_cb;
    ops.closed_cb = lines_closed_cb;
    ((struct lines *)p->arg)->stream = s;
    tunnel_stream_set_user(s, &ops, p->arg);
    return tunnel_stream_answer(s, 0);
}

START_TEST(watch_gives_whole_lines)
{
    struct lines lines = {.parts = {"{\"n\":1}\n{\"n\"", ":2}\n", NULL},
                          .released = 1};
    struct answer a = {0};

    pair.open_cb = answer_watch;
    pair.arg = &lines;
    pair_init(&pair);
    ck_assert_int_eq(
        tunnel_watch(pair.client, "/watch", line_cb, answer_cb, &a), 0);
    RUN_UNTIL(a.lines == 1);
    ck_assert_str_eq(a.text, "{\"n\":1}");
    lines.released = 2;
    tunnel_stream_resume(lines.stream);
    RUN_UNTIL(a.lines == 2);
    ck_assert_str_eq(a.text, "{\"n\":2}");
    ck_assert_int_eq(a.calls, 0);
    lines.released = 3;
    tunnel_stream_resume(lines.stream);
    RUN_UNTIL(a.calls && lines.closed);
    ck_assert_int_eq(a.status, 200);
    pair_close(&pair);
    ck_assert_int_eq(a.calls, 1);
}
END_TEST

START_TEST(an_unwatched_link_ends_when_it_is_drained)
{
    struct lines lines = {
        .parts = {"{\"n\":1}\n", NULL}, .released = 1, .expected = -ECONNRESET};
    struct answer a = {0};

    pair.open_cb = answer_watch;
    pair.arg = &lines;
    pair_init(&pair);
    ck_assert_int_eq(
        tunnel_watch(pair.client, "/watch", line_cb, answer_cb, &a), 0);
    RUN_UNTIL(a.lines == 1);
    tunnel_drain(pair.client);
    for (int i = 0; i < 20; i++)
        pair_turn(&pair);
    ck_assert_int_eq(pair.client_ended, 0);
    tunnel_unwatch(pair.client);
    ck_assert_int_eq(a.calls, 1);
    ck_assert_int_eq(a.status, -ECANCELED);
    RUN_UNTIL(pair.client_ended && pair.server_ended);
    ck_assert_int_eq(pair.client_status, 0);
    ck_assert_int_eq(lines.closed, 1);
    pair_close(&pair);
}
END_TEST

/* ---- bytes --------------------------------------------------------------- */

START_TEST(both_directions_end_in_order)
{
    user_pair();
    users[0].offer = 300000;
    far_users[0].offer = 5000000;
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].closed && far_users[0].closed);
    ck_assert_uint_eq(users[0].received, 5000000);
    ck_assert_uint_eq(far_users[0].received, 300000);
    ck_assert(!users[0].bad && !far_users[0].bad);
    ck_assert_int_eq(users[0].eofs + far_users[0].eofs, 2);
    ck_assert_int_eq(users[0].status | far_users[0].status, 0);
    pair_close(&pair);
}
END_TEST

static unsigned pushes;

static void count_pushes_hook(struct user *u, enum user_event event)
{
    (void)u;
    pushes += event == USER_PUSH;
}

/* 64 KiB are two frames: the first time that one read has both will do. */
START_TEST(frames_of_one_read_come_in_one_piece)
{
    user_pair();
    for (int i = 0; (i == 0 || pushes != 1) && i < 500; i++) {
        pushes = 0;
        far_users[i].hook_cb = count_pushes_hook;
        users[i].offer = 65536;
        user_open(&users[i], &pair);
        RUN_UNTIL(users[i].closed && far_users[i].closed);
        ck_assert_uint_eq(far_users[i].received, 65536);
        ck_assert(!far_users[i].bad);
    }
    ck_assert_uint_eq(pushes, 1);
    pair_close(&pair);
}
END_TEST

START_TEST(slow_reader_gets_all_after_the_end)
{
    user_pair();
    far_users[0].offer = 50000; /* within the window: all is sent at once */
    users[0].stall = true;
    user_open(&users[0], &pair);
    RUN_UNTIL(far_users[0].eofs && pair.client->unread == 50000);
    ck_assert_int_eq(users[0].eofs + users[0].closed, 0);
    users[0].stall = false;
    tunnel_stream_drain(users[0].stream);
    ck_assert_uint_eq(users[0].received, 50000);
    ck_assert_int_eq(users[0].eofs, 1);
    RUN_UNTIL(users[0].closed);
    ck_assert_int_eq(users[0].status, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(five_hundred_stalled_readers_are_bounded_and_alone)
{
    unsigned n = 500;
    uint64_t sent = 0;

    user_pair();
    for (unsigned i = 0; i < n; i++) {
        users[i].stall = true;
        far_users[i].offer = 16 << 20;
        user_open(&users[i], &pair);
    }
    for (int i = 0; i < 300; i++)
        pair_turn(&pair);
    for (unsigned i = 0; i < n; i++)
        sent += far_users[i].sent;
    ck_assert_uint_ge(pair.client->unread, 1 << 20);
    ck_assert_uint_le(pair.client->unread, 3 * TUNNEL_BUDGET);
    ck_assert_uint_eq(sent, pair.client->unread);
    far_users[n].offer = 32 << 20; /* the 501st is not held up */
    user_open(&users[n], &pair);
    RUN_UNTIL(users[n].closed);
    ck_assert_uint_eq(users[n].received, 32 << 20);
    ck_assert(!users[n].bad);
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(users[i].closed, 0);
    pair_close(&pair);
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(users[i].closed + far_users[i].closed, 2);
}
END_TEST

START_TEST(first_windows_come_back_when_readers_go_on)
{
    unsigned n = 500;

    user_pair();
    for (unsigned i = 0; i < n; i++) {
        users[i].stall = true;
        far_users[i].offer = 200000;
        user_open(&users[i], &pair);
    }
    RUN_UNTIL(pair.client->base == TUNNEL_WINDOW_BASE / 16);
    for (unsigned i = 0; i < n; i++) {
        users[i].stall = false;
        tunnel_stream_drain(users[i].stream);
    }
    for (unsigned i = 0; i < n; i++) {
        RUN_UNTIL(users[i].closed);
        ck_assert_uint_eq(users[i].received, 200000);
        ck_assert(!users[i].bad);
    }
    ck_assert_uint_eq(pair.client->base, TUNNEL_WINDOW_BASE);
    ck_assert_int_eq(pair.client_ended, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(windows_grow_within_the_budget_and_come_back)
{
    user_pair();
    for (unsigned i = 0; i < 20; i++) {
        far_users[i].offer = 64 << 20;
        user_open(&users[i], &pair);
    }
    for (int i = 0; i < 300; i++) {
        pair_turn(&pair);
        ck_assert_uint_le(pair.client->granted, TUNNEL_BUDGET);
    }
    ck_assert_uint_ge(pair.client->granted, 10 * 192 * 1024);
    for (unsigned i = 0; i < 20; i++)
        if (users[i].stream)
            tunnel_stream_reset(users[i].stream, -ECANCELED);
    ck_assert_uint_eq(pair.client->granted, 0);
    pair_close(&pair);
}
END_TEST

/* ---- resets -------------------------------------------------------------- */

START_TEST(reset_reaches_the_other_side)
{
    user_pair();
    users[0].keep_open = far_users[0].keep_open = true;
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].opened);
    tunnel_stream_reset(_i ? users[0].stream : far_users[0].stream,
                        -ECONNRESET);
    RUN_UNTIL(users[0].closed && far_users[0].closed);
    ck_assert_int_eq(users[0].status, -ECONNRESET);
    ck_assert_int_eq(far_users[0].status, -ECONNRESET);
    pair_close(&pair);
    ck_assert_int_eq(users[0].closed + far_users[0].closed, 2);
}
END_TEST

START_TEST(twenty_thousand_resets_leave_the_others_alone)
{
    static struct user brief;

    user_pair();
    far_users[0].offer = 100 << 20;
    users[0].keep_open = true;
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].opened);
    for (int i = 0; i < 20000; i++) {
        memset(&brief, 0, sizeof(brief));
        brief.keep_open = true;
        user_open(&brief, &pair);
        pair_turn(&pair); /* so that it really goes out */
        if (brief.stream)
            tunnel_stream_reset(brief.stream, -ECANCELED);
        ck_assert_int_eq(brief.closed, 1);
    }
    RUN_UNTIL(users[0].eofs);
    ck_assert_uint_eq(users[0].received, 100 << 20);
    ck_assert(!users[0].bad);
    ck_assert_int_eq(pair.client_ended + pair.server_ended, 0);
    RUN_UNTIL(pair.server->stats.streams == 1);
    pair_close(&pair);
}
END_TEST

START_TEST(endless_resets_end_the_link)
{
    pair_init(&pair);
    pair.server->resets.tokens = 10; /* as if it had gone on for long */
    pair.server->resets.rate = 0;
    pair.refuse = 0;
    pair.open_cb = user_serve;
    pair.arg = far_users;
    for (unsigned i = 0; i < 50 && !pair.client_ended; i++) {
        users[i].keep_open = far_users[i].keep_open = true;
        user_open(&users[i], &pair);
    }
    RUN_UNTIL(users[49].opened);
    for (unsigned i = 0; i < 50; i++)
        if (users[i].stream)
            tunnel_stream_reset(users[i].stream, -ECANCELED);
    RUN_UNTIL(pair.server_ended && pair.client_ended);
    ck_assert_int_eq(pair.server_status, -EPROTO);
    pair_close(&pair);
}
END_TEST

/* ---- the end of a link --------------------------------------------------- */

START_TEST(cut_link_closes_every_stream_once)
{
    unsigned n = 100;

    user_pair();
    for (unsigned i = 0; i < n; i++) {
        users[i].keep_open = true;
        users[i].offer = far_users[i].offer = UINT64_MAX / 2;
        user_open(&users[i], &pair);
    }
    RUN_UNTIL(users[n - 1].received > 100000);
    user_open(&users[n], &pair); /* not answered yet */
    shutdown(stream_fd(pair.server->io), SHUT_RDWR);
    RUN_UNTIL(pair.client_ended && pair.server_ended);
    for (unsigned i = 0; i <= n; i++) {
        ck_assert_int_eq(users[i].closed, 1);
        ck_assert_int_eq(users[i].status, -EPIPE);
        ck_assert_int_eq(users[i].opened, 1);
    }
    ck_assert_int_eq(users[n].open_status, -EPIPE);
    ck_assert_int_lt(pair.client_status, 0);
    errno = 0;
    ck_assert_ptr_null(
        tunnel_open_tcp(pair.client, &(union sockaddr_any){0}, &user_ops, 0));
    pair_close(&pair);
    ck_assert_int_eq(pair.client_ended + pair.server_ended, 2);
}
END_TEST

/* Which callback of which side destroys which side. */
static struct {
    enum user_event event;
    bool far_side, other;
    int left; /* this many calls later */
    bool done;
} plan;

static void destroy_hook(struct user *u, enum user_event event)
{
    bool far_side = u >= far_users && u < far_users + 30000;
    bool server = plan.far_side != plan.other;

    if (plan.done || event != plan.event || far_side != plan.far_side ||
        plan.left-- > 0)
        return;
    plan.done = true;
    tunnel_destroy(server ? pair.server : pair.client);
    if (server)
        pair.server = NULL;
    else
        pair.client = NULL;
}

START_TEST(destroy_in_every_callback)
{
    memset(&plan, 0, sizeof(plan));
    plan.event = (enum user_event)(_i % USER_EVENTS);
    plan.far_side = _i / USER_EVENTS % 2;
    plan.other = _i / USER_EVENTS / 2 % 2;
    plan.left = _i / USER_EVENTS / 4;
    if (plan.far_side && plan.event == USER_OPENED)
        return; /* there is none */
    user_pair();
    for (unsigned i = 0; i < 10; i++) {
        users[i].hook_cb = far_users[i].hook_cb = destroy_hook;
        users[i].offer = far_users[i].offer = 200000;
        user_open(&users[i], &pair);
    }
    RUN_UNTIL(plan.done);
    pair_close(&pair);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(users[i].closed, 1);
        ck_assert_int_le(far_users[i].closed, 1);
        ck_assert_ptr_null(far_users[i].stream);
    }
}
END_TEST

static void reset_hook(struct user *u, enum user_event event)
{
    if (event == plan.event && u->stream && event != USER_CLOSED) {
        struct tunnel_stream *s = u->stream;

        u->hook_cb = NULL;
        tunnel_stream_reset(s, -ECANCELED);
    }
}

START_TEST(reset_in_every_callback)
{
    memset(&plan, 0, sizeof(plan));
    plan.event = (enum user_event)_i;
    user_pair();
    for (unsigned i = 0; i < 10; i++) {
        users[i].hook_cb = far_users[i + (i & 1)].hook_cb = reset_hook;
        users[i].offer = far_users[i].offer = 200000;
        user_open(&users[i], &pair);
    }
    for (unsigned i = 0; i < 10; i++)
        RUN_UNTIL(users[i].closed && !far_users[i].stream);
    pair_close(&pair);
}
END_TEST

START_TEST(drained_link_ends_after_its_streams)
{
    struct tunnel *t;

    user_pair();
    users[0].keep_open = true;
    far_users[0].offer = 1000;
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].eofs);
    t = _i ? pair.client : pair.server;
    tunnel_drain(t);
    for (int i = 0; i < 20; i++)
        pair_turn(&pair);
    ck_assert_int_eq(pair.client_ended + pair.server_ended, 0);
    errno = 0;
    ck_assert_ptr_null(
        tunnel_open_tcp(pair.client, &(union sockaddr_any){0}, &user_ops, 0));
    ck_assert_int_eq(errno, ESHUTDOWN);
    users[0].keep_open = false;
    tunnel_stream_resume(users[0].stream);
    RUN_UNTIL(pair.client_ended && pair.server_ended);
    ck_assert_int_eq(users[0].status, 0);
    ck_assert_int_eq(pair.client_status, 0);
    ck_assert_int_eq(pair.server_status, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(exhausted_stream_ids_drain_the_link)
{
    user_pair();
    nghttp2_session_set_next_stream_id(pair.client->h2, 0x7fffffff);
    user_open(&users[0], &pair);
    errno = 0;
    ck_assert_ptr_null(tunnel_open_tcp(pair.client, &(union sockaddr_any){0},
                                       &user_ops, &users[1]));
    ck_assert_int_eq(errno, ESHUTDOWN);
    ck_assert_int_eq(users[1].closed, 0);
    RUN_UNTIL(users[0].closed && pair.client_ended);
    ck_assert_int_eq(users[0].status, 0);
    ck_assert_int_eq(pair.client_status, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(streams_beyond_the_limit_are_emfile)
{
    pair.config.max_streams = 5;
    user_pair();
    users[0].keep_open = true;
    user_open(&users[0], &pair);
    RUN_UNTIL(users[0].opened);
    for (unsigned i = 1; i < 5; i++) {
        users[i].keep_open = true;
        user_open(&users[i], &pair);
    }
    ck_assert_ptr_null(tunnel_open_tcp(pair.client, &(union sockaddr_any){0},
                                       &user_ops, &users[5]));
    ck_assert_int_eq(errno, EMFILE);
    tunnel_stream_reset(users[0].stream, -ECANCELED);
    user_open(&users[5], &pair);
    RUN_UNTIL(users[5].opened);
    ck_assert_int_eq(users[5].open_status, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(silent_peer_is_timed_out)
{
    int fd;

    pair.config.ping_ms = 20;
    fd = pair_lonely(&pair, TUNNEL_CLIENT);
    users[0].keep_open = true;
    user_open(&users[0], &pair);
    RUN_UNTIL(pair.client_ended);
    ck_assert_int_eq(pair.client_status, -ETIMEDOUT);
    ck_assert_int_eq(users[0].status, -EPIPE);
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(pings_measure_the_round_trip)
{
    struct tunnel_stats stats;

    pair.config.ping_ms = 10;
    pair_init(&pair);
    for (int i = 0; i < 100; i++)
        pair_turn(&pair);
    ck_assert_int_eq(pair.client_ended, 0);
    tunnel_get_stats(pair.client, &stats);
    ck_assert_int_ge(stats.rtt_us, 0);
    pair_close(&pair);
}
END_TEST

static int64_t silence(void)
{
    struct tunnel_stats stats;

    tunnel_get_stats(pair.client, &stats);
    return stats.silent_ms;
}

/* A link that has just died looks as before until it is asked. */
START_TEST(a_probe_is_answered)
{
    pair_init(&pair);
    RUN_UNTIL(silence() == 0);
    tunnel_probe(pair.client);
    ck_assert_int_gt(silence(), 0); /* also in the first millisecond */
    RUN_UNTIL(silence() == 0);
    pair_close(&pair);
}
END_TEST

START_TEST(a_probe_tells_silence)
{
    int fd = pair_lonely(&pair, TUNNEL_CLIENT);

    RUN_UNTIL(silence() > 30);
    tunnel_probe(pair.client); /* the older ping goes on waiting */
    ck_assert_int_gt(silence(), 30);
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(garbage_ends_the_link)
{
    static const char junk[] = "HTTP/1.1 400 Bad Request\r\n\r\nsorry, no "
                               "HTTP/2 lives here, please go away now";
    int fd = pair_lonely(&pair, TUNNEL_CLIENT);

    ck_assert_int_eq(write(fd, junk, sizeof(junk)), sizeof(junk));
    RUN_UNTIL(pair.client_ended);
    ck_assert_int_eq(pair.client_status, -EPROTO);
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(peer_that_does_not_read_is_not_buffered_for)
{
    int fd = pair_lonely(&pair, TUNNEL_CLIENT);

    users[0].offer = UINT64_MAX / 2;
    user_open(&users[0], &pair);
    for (int i = 0; i < 50; i++)
        pair_turn(&pair);
    ck_assert_uint_le(buf_used(&pair.client->out), 65536);
    ck_assert_uint_le(pair.client->pending_len, TUNNEL_FRAME_MAX + 9);
    close(fd);
    pair_close(&pair);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

static TCase *request_tests(void)
{
    TCase *tc = tcase_create("requests");

    tcase_add_loop_test(tc, refusal_travels_as_its_errno, 0, COUNT(refusals));
    tcase_add_test(tc, late_refusal_closes_both_users_once);
    tcase_add_test(tc, types_and_errnos_are_inverse);
    tcase_add_test(tc, requests_are_answered);
    tcase_add_test(tc, bodies_of_one_mib_and_not_more);
    tcase_add_test(tc,
                   many_requests_leave_the_account_of_unread_data_as_it_was);
    tcase_add_test(tc, watch_gives_whole_lines);
    tcase_add_test(tc, an_unwatched_link_ends_when_it_is_drained);
    return tc;
}

static TCase *stream_tests(void)
{
    TCase *tc = tcase_create("streams");

    tcase_add_test(tc, both_directions_end_in_order);
    tcase_add_test(tc, frames_of_one_read_come_in_one_piece);
    tcase_add_test(tc, slow_reader_gets_all_after_the_end);
    tcase_add_test(tc, five_hundred_stalled_readers_are_bounded_and_alone);
    tcase_add_test(tc, first_windows_come_back_when_readers_go_on);
    tcase_add_test(tc, windows_grow_within_the_budget_and_come_back);
    tcase_add_loop_test(tc, reset_reaches_the_other_side, 0, 2);
    tcase_add_test(tc, twenty_thousand_resets_leave_the_others_alone);
    tcase_add_test(tc, endless_resets_end_the_link);
    return tc;
}

static TCase *link_tests(void)
{
    TCase *tc = tcase_create("link");

    tcase_add_test(tc, cut_link_closes_every_stream_once);
    tcase_add_loop_test(tc, destroy_in_every_callback, 0, USER_EVENTS * 4 * 3);
    tcase_add_loop_test(tc, reset_in_every_callback, 0, USER_CLOSED);
    tcase_add_loop_test(tc, drained_link_ends_after_its_streams, 0, 2);
    tcase_add_test(tc, exhausted_stream_ids_drain_the_link);
    tcase_add_test(tc, streams_beyond_the_limit_are_emfile);
    tcase_add_test(tc, silent_peer_is_timed_out);
    tcase_add_test(tc, pings_measure_the_round_trip);
    tcase_add_test(tc, a_probe_is_answered);
    tcase_add_test(tc, a_probe_tells_silence);
    tcase_add_test(tc, garbage_ends_the_link);
    tcase_add_test(tc, peer_that_does_not_read_is_not_buffered_for);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("tunnel");
    TCase *tcs[] = {request_tests(), stream_tests(), link_tests()};

    for (int i = 0; i < COUNT(tcs); i++) {
        tcase_add_checked_fixture(tcs[i], setup, NULL);
        tcase_set_timeout(tcs[i], 120);
        suite_add_tcase(s, tcs[i]);
    }
    return suite_run(s);
}
