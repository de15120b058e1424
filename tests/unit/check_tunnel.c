/* Unit tests of src/tunnel: links, TCP streams, requests. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel_pair.h"

static struct pair pair;

static void setup(void)
{
    memset(&pair, 0, sizeof(pair));
}

/* Turns of the loop until the condition holds. */
#define RUN_UNTIL(condition)                                                   \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            pair_turn(&pair);                                                  \
        }                                                                      \
    } while (0)

START_TEST(bytes_and_fin_pass_both_ways)
{
    union sockaddr_any addr;
    int status, app, far, listener = tcp_listen(&addr);
    char text[16];

    pair_init(&pair);
    app = pair_dial(&pair, &addr, &status);
    RUN_UNTIL(status == 1);
    far = accept(listener, NULL, NULL);
    ck_assert_int_eq(write(app, "hello", 5), 5);
    RUN_UNTIL(recv(far, text, 5, MSG_DONTWAIT | MSG_PEEK) == 5);
    ck_assert_int_eq(read(far, text, sizeof(text)), 5);
    ck_assert_int_eq(shutdown(app, SHUT_WR), 0);
    RUN_UNTIL(recv(far, text, 1, MSG_DONTWAIT) == 0);
    ck_assert_int_eq(write(far, "after the fin", 13), 13);
    close(far);
    RUN_UNTIL(recv(app, text, 13, MSG_DONTWAIT | MSG_PEEK) == 13);
    ck_assert_int_eq(recv(app, text, 13, 0), 13);
    RUN_UNTIL(recv(app, text, 1, MSG_DONTWAIT) == 0);
    RUN_UNTIL(pair.relays == 0);
    close(app);
    close(listener);
    pair_close(&pair);
}
END_TEST

static const int refusals[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH,
                               -ETIMEDOUT,    -EACCES,       -EMFILE,
                               -EINVAL,       -EIO};

START_TEST(refusal_travels_as_its_errno)
{
    union sockaddr_any addr;
    int status, app;

    ck_assert_int_eq(sockaddr_parse(&addr, "10.1.2.3", 80), 0);
    pair_init(&pair);
    pair.refuse = refusals[_i];
    app = pair_dial(&pair, &addr, &status);
    RUN_UNTIL(status != 0);
    ck_assert_int_eq(status, refusals[_i]);
    close(app);
    pair_close(&pair);
}
END_TEST

static void add_link_tests(TCase *tc)
{
    tcase_add_test(tc, bytes_and_fin_pass_both_ways);
    tcase_add_loop_test(tc, refusal_travels_as_its_errno, 0,
                        sizeof(refusals) / sizeof(*refusals));
}

int main(void)
{
    Suite *s = suite_create("tunnel");
    TCase *tc = tcase_create("link");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    add_link_tests(tc);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
