/* Unit tests of a link's dials, src/manager/link_dial.c, on loopback. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    ours = (struct link){.links = &links, .tunnel = pair.server};
    bucket_init(&ours.dials, 1e6, 1e6, uv_now(pair.loop));
    bucket_init(&ours.denials, 1, 1, uv_now(pair.loop));
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
    pair_close(&pair);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_link");
    TCase *tc = tcase_create("dial");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, dial_that_cannot_be_answered_resets_both);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
