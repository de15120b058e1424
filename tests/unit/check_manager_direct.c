/* Tickets of direct links, where the managers are reached, and answers that are
 * kept. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "net/direct_endpoint.h"
#include "manager/direct.h"
#include "manager/lookups.h"
#include "manager/ticket.h"
#include "suite.h"

#define NOW 1700000000

/* ---- tickets --------------------------------------------------------------
 */

static uint8_t key[TICKET_KEY], other_key[TICKET_KEY];

static struct ticket anna(void)
{
    struct ticket t = {.ns = "shop",
                       .name = "abcdefghijklmnopqrstuvwxyz",
                       .expires = NOW + TICKET_SECONDS};

    t.who.user = strdup("anna");
    t.who.uid = strdup("u-1");
    t.who.groups = json_parse_text("[\"a\", \"b\"]", 10, NULL);
    t.who.extra = json_parse_text("{\"k\": [\"v\"]}", 12, NULL);
    return t;
}

static char *make(const uint8_t with[TICKET_KEY])
{
    struct ticket t = anna();
    char *text = ticket_make(with, &t, NULL);

    ck_assert_ptr_nonnull(text);
    ticket_release(&t);
    return text;
}

static void setup(void)
{
    ck_assert_int_eq(ticket_derive_key(key, "secret"), 0);
    ck_assert_int_eq(ticket_derive_key(other_key, "another"), 0);
}

START_TEST(a_ticket_says_who_it_is)
{
    cleanup_free char *text = make(key);
    struct ticket t;

    ck_assert_int_eq(ticket_read(&t, key, text, NOW, NULL), 0);
    ck_assert_str_eq(t.who.user, "anna");
    ck_assert_str_eq(t.who.uid, "u-1");
    ck_assert_str_eq(json_object_to_json_string_ext(t.who.groups, 0),
                     "[\"a\",\"b\"]");
    ck_assert_str_eq(json_object_to_json_string_ext(t.who.extra, 0),
                     "{\"k\":[\"v\"]}");
    ck_assert_str_eq(t.ns, "shop");
    ck_assert_str_eq(t.name, "abcdefghijklmnopqrstuvwxyz");
    ticket_release(&t);
}
END_TEST

static void check_refused(const char *text, int64_t now, const char *why)
{
    struct tp_error err = {0};
    struct ticket t;

    ck_assert_int_eq(ticket_read(&t, key, text, now, &err), -EACCES);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s: %s", text, err.text);
    ticket_release(&t);
}

START_TEST(a_ticket_lasts_a_minute)
{
    cleanup_free char *text = make(key);
    struct ticket t;

    ck_assert_int_eq(ticket_read(&t, key, text, NOW + TICKET_SECONDS - 1, NULL),
                     0);
    ticket_release(&t);
    check_refused(text, NOW + TICKET_SECONDS, "too old");
    check_refused(text, NOW - 61, "too old"); /* no clock is that wrong */
}
END_TEST

/* Each character of it counts. */
START_TEST(a_ticket_that_was_changed_is_refused)
{
    cleanup_free char *text = make(key);

    for (size_t i = 0; i < strlen(text); i++) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        check_refused(text, NOW, "not one of ours");
        text[i] = was;
    }
    text[strlen(text) - 1] = '\0';
    check_refused(text, NOW, "not one of ours");
}
END_TEST

START_TEST(what_is_no_ticket_is_refused)
{
    cleanup_free char *foreign = make(other_key);
    static const char *const bad[] = {"", ".", "a.b", "no dot",
                                      "e30=.00000000000000000000000000000000"
                                      "00000000000000000000000000000000"};

    check_refused(foreign, NOW, "not one of ours");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check_refused(bad[i], NOW, "not one of ours");
}
END_TEST

START_TEST(a_user_of_too_many_groups_has_none)
{
    struct ticket t = anna();
    struct tp_error err = {0};

    for (int i = 0; i < 1000; i++)
        json_object_array_add(t.who.groups,
                              json_object_new_string("a-group-of-a-company"));
    ck_assert_ptr_null(ticket_make(key, &t, &err));
    ck_assert_int_eq(err.code, -EMSGSIZE);
    ticket_release(&t);
}
END_TEST

/* ---- endpoints ------------------------------------------------------------
 */

#define PORTS "\"ports\": [{\"port\": 8446, \"nodePort\": 31000}]"

static void check_endpoints(const char *service, const char *want)
{
    cleanup_json struct json_object *obj =
        json_parse_text(service, strlen(service), NULL);
    const char *nodes_text = "[\"192.168.7.1\", \"fd00::7\"]";
    cleanup_json struct json_object *nodes =
        json_parse_text(nodes_text, strlen(nodes_text), NULL);
    cleanup_json struct json_object *list = direct_endpoints_of(obj, nodes);

    ck_assert_str_eq(json_object_to_json_string_ext(list, 0), want);
}

START_TEST(endpoints_come_from_the_service)
{
    check_endpoints("{\"spec\": {\"type\": \"NodePort\", " PORTS "}}",
                    "[\"192.168.7.1:31000\",\"[fd00::7]:31000\"]");
    check_endpoints("{\"spec\": {\"type\": \"LoadBalancer\", " PORTS "}, "
                    "\"status\": {\"loadBalancer\": {\"ingress\": ["
                    "{\"ip\": \"203.0.113.9\"}, {\"hostname\": \"lb.x\"}]}}}",
                    "[\"203.0.113.9:8446\",\"lb.x:8446\"]");
    check_endpoints("{\"spec\": {\"type\": \"LoadBalancer\", " PORTS "}}",
                    "[]");
    check_endpoints("{\"spec\": {\"type\": \"ClusterIP\", " PORTS "}}", "[]");
    check_endpoints("{}", "[]");
}
END_TEST

START_TEST(given_endpoints_are_checked)
{
    static const char *const bad[] = {"a",
                                      "a:",
                                      ":1",
                                      "a:0",
                                      "a:65536",
                                      "a b:1",
                                      "a:1x",
                                      "a:1,b",
                                      "a:+1",
                                      "a: 1",
                                      "::2:1",
                                      "a:b:1",
                                      "[::2:1",
                                      "127.0.0.1:1",
                                      "localhost:1",
                                      "[::ffff:127.0.0.1]:1",
                                      "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9"};
    cleanup_json struct json_object *list =
        direct_endpoints_parse("a.b:1,[::2]:65535", NULL);

    ck_assert_str_eq(json_object_to_json_string_ext(list, 0),
                     "[\"a.b:1\",\"[::2]:65535\"]");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(!direct_endpoints_parse(bad[i], NULL), "%s", bad[i]);
}
END_TEST

/* What the workstation makes of it. */
START_TEST(a_hostile_manager_leads_to_no_address_of_this_host)
{
    static const char *const bad[] = {"127.0.0.1:22",
                                      "127.9.9.9:1",
                                      "0.0.0.0:22",
                                      "[::1]:22",
                                      "[::]:22",
                                      "[::ffff:127.0.0.1]:22",
                                      "169.254.169.254:80",
                                      "[fe80::1]:80",
                                      "224.0.0.1:1",
                                      "255.255.255.255:1",
                                      "[ff02::1]:1",
                                      "localhost:22",
                                      "LOCALHOST.:22",
                                      "a.localhost:22",
                                      "10.0.0.1",
                                      "10.0.0.1:",
                                      "10.0.0.1:0",
                                      "10.0.0.1:65536",
                                      "10.0.0.1:22x",
                                      "::1:22",
                                      "[::2]",
                                      ":22",
                                      "a b:22",
                                      "a\r\nb:22",
                                      "",
                                      "[]:22"};
    struct direct_endpoint e;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(direct_endpoint_parse(&e, bad[i], NULL) == -EINVAL, "%s",
                      bad[i]);
    ck_assert_int_eq(direct_endpoint_parse(&e, "10.0.0.1:8446", NULL), 0);
    ck_assert_str_eq(e.host, "10.0.0.1");
    ck_assert_uint_eq(e.port, 8446);
    ck_assert_int_eq(direct_endpoint_parse(&e, "[fd00::1]:1", NULL), 0);
    ck_assert_str_eq(e.host, "fd00::1");
    ck_assert_int_eq(direct_endpoint_parse(&e, "mylocalhost:1", NULL), 0);
}
END_TEST

/* ---- answers that are kept ------------------------------------------------
 */

static struct {
    uv_loop_t loop;
    struct lookups *lookups;
    int told, status;
    char value[LOOKUP_VALUE];
    struct lookup_waiter *victim; /* is cancelled by the first that is told */
} k;

static void told_cb(void *arg, int status, const char *value)
{
    (void)arg;
    k.told++;
    k.status = status;
    snprintf(k.value, sizeof(k.value), "%s", value);
    if (k.victim)
        lookup_cancel(k.victim);
    k.victim = NULL;
}

static enum lookup_state look(const char *name, struct lookup_waiter *w)
{
    char value[LOOKUP_VALUE] = "";
    enum lookup_state state;

    *w = (struct lookup_waiter){.cb = told_cb};
    state = lookups_find(k.lookups, name, w, value);
    if (state == LOOKUP_KNOWN)
        snprintf(k.value, sizeof(k.value), "%s", value);
    return state;
}

static void setup_lookups(void)
{
    memset(&k, 0, sizeof(k));
    uv_loop_init(&k.loop);
    k.lookups = lookups_create(&k.loop, 20, 3);
}

static void teardown_lookups(void)
{
    lookups_destroy(k.lookups);
    uv_loop_close(&k.loop);
}

START_TEST(one_asks_and_all_are_told)
{
    static struct lookup_waiter a, b, c; /* teardown forgets them */

    ck_assert_int_eq(look("x", &a), LOOKUP_ASK);
    ck_assert_int_eq(look("x", &b), LOOKUP_WAITS);
    ck_assert_int_eq(look("x", &c), LOOKUP_WAITS);
    k.victim = &c;
    lookups_answer(k.lookups, "x", 0, "shop");
    ck_assert_int_eq(k.told, 2);
    ck_assert_str_eq(k.value, "shop");
    *k.value = '\0';
    ck_assert_int_eq(look("x", &a), LOOKUP_KNOWN);
    ck_assert_str_eq(k.value, "shop");
}
END_TEST

static void time_cb(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(answers_grow_old_and_failures_are_not_kept)
{
    static struct lookup_waiter a;
    uv_timer_t timer;

    ck_assert_int_eq(look("x", &a), LOOKUP_ASK);
    lookups_answer(k.lookups, "x", -EIO, "");
    ck_assert_int_eq(k.status, -EIO);
    ck_assert_int_eq(look("x", &a), LOOKUP_ASK);
    lookups_answer(k.lookups, "x", 0, "shop");
    uv_timer_init(&k.loop, &timer);
    uv_timer_start(&timer, time_cb, 50, 0);
    uv_run(&k.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(look("x", &a), LOOKUP_ASK);
}
END_TEST

START_TEST(the_oldest_answers_make_room)
{
    static struct lookup_waiter a, b, c, d;

    ck_assert_int_eq(look("a", &a), LOOKUP_ASK);
    ck_assert_int_eq(look("b", &b), LOOKUP_ASK);
    ck_assert_int_eq(look("c", &c), LOOKUP_ASK);
    ck_assert_int_eq(look("d", &d), LOOKUP_FULL); /* all are under way */
    lookups_answer(k.lookups, "b", 0, "x");
    ck_assert_int_eq(look("d", &d), LOOKUP_ASK);
    lookup_cancel(&d);
    lookups_answer(k.lookups, "d", 0, "x"); /* nobody waits any more */
    ck_assert_int_eq(k.told, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manager_direct");
    TCase *tc = tcase_create("tickets");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_ticket_says_who_it_is);
    tcase_add_test(tc, a_ticket_lasts_a_minute);
    tcase_add_test(tc, a_ticket_that_was_changed_is_refused);
    tcase_add_test(tc, what_is_no_ticket_is_refused);
    tcase_add_test(tc, a_user_of_too_many_groups_has_none);
    suite_add_tcase(suite, tc);
    tc = tcase_create("endpoints");
    tcase_add_test(tc, endpoints_come_from_the_service);
    tcase_add_test(tc, given_endpoints_are_checked);
    tcase_add_test(tc, a_hostile_manager_leads_to_no_address_of_this_host);
    suite_add_tcase(suite, tc);
    tc = tcase_create("lookups");
    tcase_add_checked_fixture(tc, setup_lookups, teardown_lookups);
    tcase_add_test(tc, one_asks_and_all_are_told);
    tcase_add_test(tc, answers_grow_old_and_failures_are_not_kept);
    tcase_add_test(tc, the_oldest_answers_make_room);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
