/* Unit tests of a link's dials, src/manager/link_dial.c, on loopback, and of
 * their turns, src/manager/dial_turns.c. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/engage_internal.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/policy.h"
#include "suite.h"
#include "tunnel_pair.h"

static struct pair pair;
static struct links links;
static struct link ours;
static struct metrics metrics;
static struct policy policy;

/* Loopback is dialled here, as no user can have it. */
static void set_policy(void)
{
    ck_assert_int_eq(subnets_add_text(&policy.reserved, "240.0.0.0/4"), 0);
    ck_assert_int_eq(subnets_add_text(&policy.allowed, "127.0.0.0/8"), 0);
}

static int dial_cb(struct pair *p, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    (void)p;
    return link_dial(&ours, s, open);
}

static void init_link(struct link *link, struct pair *p)
{
    *link = (struct link){.links = &links, .tunnel = p->server};
    dial_share_init(&link->share);
    bucket_init(&link->dials, 1e6, 1e6, uv_now(p->loop));
    bucket_init(&link->denials, 1, 1, uv_now(p->loop));
}

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
    memset(&metrics, 0, sizeof(metrics));
    set_policy();
    pair_init(&pair);
    pair.open_cb = dial_cb;
    links = (struct links){
        .env = {.loop = pair.loop, .metrics = &metrics, .policy = &policy},
    };
    dial_turns_init(&links.turns, pair.loop);
    init_link(&ours, &pair);
}

static void finish(void)
{
    dial_turns_close(&links.turns);
    pair_close(&pair);
}

static void teardown(void)
{
    policy_release(&policy);
}

static bool readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

static void must_be_reset(int fd)
{
    char byte;

    RUN_UNTIL(readable(fd));
    ck_assert_int_eq(read(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(fd);
}

static int answer_too_early(struct pair *p, struct tunnel_stream *s,
                            const struct tunnel_open *open)
{
    int rc = dial_cb(p, s, open);

    ck_assert_int_eq(tunnel_stream_answer(s, 0), 0);
    return rc;
}

/* An orderly end would tell the far end that it had been a good conversation.
 */
START_TEST(dial_that_cannot_be_answered_resets_both)
{
    union sockaddr_any addr;
    int listener = tcp_listen(&addr), status, app, far;

    pair.open_cb = answer_too_early;
    app = pair_dial(&pair, &addr, &status);
    RUN_UNTIL(readable(listener));
    far = accept(listener, NULL, NULL);
    must_be_reset(far);
    must_be_reset(app);
    ck_assert_uint_eq(metrics.dials[metrics_dial_outcome(0)], 1);
    close(listener);
    RUN_UNTIL(pair.relays == 0);
    finish();
}
END_TEST

/* ---- turns ------------------------------------------------------------- */

#define JOBS 1000

struct test_job {
    struct dial_job job; /* first */
    int link;
};

/* Which link's jobs have started, in their order. */
static struct {
    struct test_job jobs[3 * JOBS];
    int order[3 * JOBS];
    unsigned submitted, started;
} t;
static struct dial_share shares[3];

static void test_start_cb(struct dial_job *job)
{
    t.order[t.started++] = ((struct test_job *)job)->link;
}

static struct dial_job *submit(int link)
{
    struct test_job *j = &t.jobs[t.submitted++];

    j->link = link;
    j->job.start_cb = test_start_cb;
    dial_turns_submit(&links.turns, &shares[link], &j->job);
    return &j->job;
}

static void setup_turns(void)
{
    setup();
    memset(&t, 0, sizeof(t));
    for (int i = 0; i < 3; i++)
        dial_share_init(&shares[i]);
    for (int i = 0; i < 20; i++)
        pair_turn(&pair); /* the link's own beginning */
}

START_TEST(few_dials_are_made_in_a_turn)
{
    for (int i = 0; i < JOBS; i++)
        submit(0);
    ck_assert_uint_ge(t.started, 1);
    ck_assert_uint_le(t.started, DIAL_SHARE_MAX);
    for (unsigned turns = 1; t.started < JOBS; turns++) {
        unsigned before = t.started;

        pair_turn(&pair);
        ck_assert_uint_gt(t.started, before); /* they do not wait for events */
        ck_assert_uint_le(t.started - before, DIAL_TURN_MAX);
    }
    for (int i = 0; i < 3; i++)
        pair_turn(&pair);
    ck_assert(!uv_is_active((uv_handle_t *)&links.turns.idle));
    ck_assert(!uv_is_active((uv_handle_t *)&links.turns.check));
    finish();
}
END_TEST

START_TEST(links_take_turns)
{
    unsigned first = 0;

    for (int i = 0; i < JOBS; i++)
        submit(0);
    for (int i = 0; i < JOBS; i++)
        submit(1);
    submit(2); /* wants one only, and came last */
    while (t.started < 2 * JOBS + 1)
        pair_turn(&pair);
    while (t.order[first] != 2)
        first++;
    ck_assert_uint_le(first, 2 * DIAL_SHARE_MAX + 2);
    for (unsigned i = first + 1; i + 1 < 2 * (JOBS - DIAL_SHARE_MAX); i++)
        ck_assert_int_ne(t.order[i], t.order[i + 1]);
    finish();
}
END_TEST

START_TEST(a_single_dial_does_not_wait)
{
    submit(0);
    ck_assert_uint_eq(t.started, 1);
    for (int i = 0; i < 5; i++) {
        pair_turn(&pair);
        submit(1);
        ck_assert_uint_eq(t.started, t.submitted);
    }
    finish();
}
END_TEST

START_TEST(what_was_cancelled_does_not_start)
{
    struct dial_job *jobs[100];
    unsigned before;

    for (int i = 0; i < 100; i++)
        jobs[i] = submit(0);
    before = t.started;
    ck_assert_uint_le(before, DIAL_SHARE_MAX);
    for (int i = 0; i < 100; i++)
        dial_turns_cancel(&links.turns, jobs[i]);
    submit(1);
    for (int i = 0; i < 5; i++)
        pair_turn(&pair);
    ck_assert_uint_eq(t.started, before + 1);
    finish();
}
END_TEST

static void slow_start_cb(struct dial_job *job)
{
    uint64_t begin = uv_hrtime();

    while (uv_hrtime() - begin <= DIAL_TURN_NS)
        ;
    test_start_cb(job);
}

START_TEST(a_slow_dial_is_enough_for_a_turn)
{
    for (int i = 0; i < 10; i++) {
        t.jobs[i].job.start_cb = slow_start_cb;
        dial_turns_submit(&links.turns, &shares[0], &t.jobs[i].job);
    }
    ck_assert_uint_eq(t.started, 1);
    for (unsigned n = 2; n <= 10; n++) {
        pair_turn(&pair);
        ck_assert_uint_eq(t.started, n);
    }
    finish();
}
END_TEST

#define FLOOD 600

static unsigned count_opened(const struct user *users, unsigned n)
{
    unsigned opened = 0;

    for (unsigned i = 0; i < n; i++)
        opened += users[i].opened > 0;
    return opened;
}

static void ask(struct pair *p, struct user *u, const union sockaddr_any *addr)
{
    u->pair = p;
    u->keep_open = true;
    u->stream = tunnel_open_tcp(p->client, addr, &user_ops, u);
    ck_assert_ptr_nonnull(u->stream);
}

static struct link theirs;

static int dial_theirs_cb(struct pair *p, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    (void)p;
    return link_dial(&theirs, s, open);
}

START_TEST(a_flood_of_dials_lets_others_pass)
{
    static struct user flood[FLOOD], one;
    static struct pair other;
    union sockaddr_any addr;
    int listener = tcp_listen(&addr);

    other.loop = pair.loop;
    other.open_cb = dial_theirs_cb;
    pair_init(&other);
    init_link(&theirs, &other);
    for (int i = 0; i < 20; i++)
        pair_turn(&pair);
    for (int i = 0; i < FLOOD; i++)
        ask(&pair, &flood[i], &addr);
    ask(&other, &one, &addr);
    RUN_UNTIL(one.opened);
    ck_assert_int_eq(one.open_status, 0);
    ck_assert_uint_lt(count_opened(flood, FLOOD), 150);
    RUN_UNTIL(count_opened(flood, FLOOD) == FLOOD);
    for (int i = 0; i < FLOOD; i++)
        ck_assert_int_eq(flood[i].open_status, 0);
    ck_assert_uint_eq(metrics.dials[metrics_dial_outcome(0)], FLOOD + 1);
    tunnel_destroy(pair.client);
    pair.client = NULL;
    pair_close(&other);
    close(listener);
    finish();
}
END_TEST

/* The link ends while most of its dials wait. */
START_TEST(dials_that_wait_go_with_their_link)
{
    static struct user flood[FLOOD];
    union sockaddr_any addr;
    int listener = tcp_listen(&addr);

    for (int i = 0; i < FLOOD; i++)
        ask(&pair, &flood[i], &addr);
    RUN_UNTIL(!TAILQ_EMPTY(&links.turns.waiting));
    tunnel_destroy(pair.server);
    pair.server = NULL;
    ck_assert(TAILQ_EMPTY(&links.turns.waiting));
    RUN_UNTIL(pair.client_ended);
    ck_assert_uint_lt(metrics.dials[metrics_dial_outcome(0)], FLOOD / 2);
    close(listener);
    finish();
}
END_TEST

/* ---- age, and what holds a session ------------------------------------- */

static struct link *held(enum link_direction direction, const char *name)
{
    struct link *link = calloc(1, sizeof(*link));

    ck_assert_ptr_nonnull(link);
    link->links = &links;
    link->direction = direction;
    link->greeted = true;
    snprintf(link->name, sizeof(link->name), "%s", name);
    events_init(&link->events);
    TAILQ_INSERT_TAIL(&links.list, link, entry);
    return link;
}

static void drop(struct link *link)
{
    TAILQ_REMOVE(&links.list, link, entry);
    free(link);
}

START_TEST(what_holds_a_session)
{
    struct link *link;

    TAILQ_INIT(&links.list);
    link = held(LINK_DIRECT, "s");
    ck_assert(!engage_links_any(&links, "s"));
    ck_assert(!engage_links_outgoing(&links, "s"));
    drop(link);
    link = held(LINK_OUTGOING, "s");
    ck_assert(engage_links_any(&links, "s"));
    ck_assert(!engage_links_any(&links, "t"));
    link->renewing = true; /* and nobody listens any more */
    ck_assert(!engage_links_any(&links, "s"));
    link->renewing = false;
    link->drained = true;
    ck_assert(!engage_links_any(&links, "s"));
    drop(link);
    finish();
}
END_TEST

START_TEST(a_link_grows_old)
{
    struct link *link;

    TAILQ_INIT(&links.list);
    links.env.lifetime = 1;
    link = held(LINK_OUTGOING, "s");
    link->tunnel = pair.server;
    link_age_start(link);
    pair_turn(&pair);
    ck_assert(!link->renewing);
    RUN_UNTIL(link->renewing);
    ck_assert(!link->drained);
    RUN_UNTIL(link->drained);
    ck_assert(!uv_is_active((uv_handle_t *)&link->age));
    uv_close((uv_handle_t *)&link->age, NULL);
    pair_turn(&pair);
    drop(link);
    finish();
}
END_TEST

START_TEST(some_links_do_not_grow_old)
{
    struct link *link;

    TAILQ_INIT(&links.list);
    links.env.lifetime = _i == 0 ? 0 : 1;
    link = held(_i == 0 ? LINK_DIRECT : LINK_INCOMING, "s");
    link_age_start(link);
    ck_assert(!uv_is_active((uv_handle_t *)&link->age));
    uv_close((uv_handle_t *)&link->age, NULL);
    pair_turn(&pair);
    drop(link);
    finish();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_link");
    TCase *tc = tcase_create("dial");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, dial_that_cannot_be_answered_resets_both);
    tcase_add_test(tc, a_flood_of_dials_lets_others_pass);
    tcase_add_test(tc, dials_that_wait_go_with_their_link);
    suite_add_tcase(s, tc);
    tc = tcase_create("turns");
    tcase_add_checked_fixture(tc, setup_turns, teardown);
    tcase_add_test(tc, few_dials_are_made_in_a_turn);
    tcase_add_test(tc, links_take_turns);
    tcase_add_test(tc, a_single_dial_does_not_wait);
    tcase_add_test(tc, what_was_cancelled_does_not_start);
    tcase_add_test(tc, a_slow_dial_is_enough_for_a_turn);
    suite_add_tcase(s, tc);
    tc = tcase_create("age");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_holds_a_session);
    tcase_add_test(tc, a_link_grows_old);
    tcase_add_loop_test(tc, some_links_do_not_grow_old, 0, 2);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
