/* Engagements: what the CLI asks for. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/engagement_internal.h"
#include "suite.h"

static struct json_object *parse(const char *text)
{
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(text, strlen(text), &err);

    ck_assert_msg(obj != NULL, "%s: %s", text, err.text);
    return obj;
}

static const struct {
    const char *text, *error; /* NULL: good */
} requests[] = {
    {"{\"type\":\"intercept\",\"workload\":\"web\"}", NULL},
    {"{\"type\":\"mirror\",\"workload\":\"sts/db\",\"ports\":[{\"local\":1,"
     "\"remote\":\"http\"},{\"remote\":\"53\",\"protocol\":\"udp\"}]}",
     NULL},
    {"{\"type\":\"steal\",\"workload\":\"web\"}", "kind of engagement"},
    {"{\"type\":\"intercept\"}", "workload"},
    {"{\"type\":\"intercept\",\"workload\":\"a b\"}", "not valid"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"namespace\":\"A/../b\"}",
     "namespace"},
    {"{\"type\":\"ingest\",\"workload\":\"web\",\"ports\":[{\"remote\":\"1\"}]"
     "}",
     "no ports"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{\"local\":70000,"
     "\"remote\":\"1\"}]}",
     "port number"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{\"remote\":"
     "\"1\","
     "\"protocol\":\"sctp\"}]}",
     "tcp or udp"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"toPod\":[{\"port\":0}]}",
     "port number"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{\"local\":8080,"
     "\"remote\":\"http\"},{\"local\":8080,\"remote\":\"grpc\"}]}",
     "a local port of its own"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{\"local\":8080,"
     "\"remote\":\"http\"},{\"local\":8080,\"remote\":\"dns\","
     "\"protocol\":\"udp\"}]}",
     NULL},
    {"[]", "no engagement"},
};

START_TEST(test_requests)
{
    cleanup_json struct json_object *obj = parse(requests[_i].text);
    struct tp_error err = {0};
    struct eng_spec spec;
    int rc = engagement_spec_parse(&spec, obj, "team-a", &err);

    if (!requests[_i].error) {
        ck_assert_msg(rc == 0, "%s", err.text);
        ck_assert_str_eq(spec.ns, "team-a");
        ck_assert_str_eq(spec.address, "127.0.0.1");
        ck_assert(engagement_spec_same(&spec, &spec));
    } else {
        ck_assert_int_eq(rc, -EINVAL);
        ck_assert_msg(strstr(err.text, requests[_i].error), "%s", err.text);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engagement spec");
    TCase *tc = tcase_create("requests");

    tcase_add_loop_test(tc, test_requests, 0,
                        sizeof(requests) / sizeof(*requests));
    suite_add_tcase(s, tc);
    return suite_run(s);
}
