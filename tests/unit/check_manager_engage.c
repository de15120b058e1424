/* Unit tests of engagements in tp-manager: requests, objects, claims, rights,
 * and the life of the whole against an API server that is not there. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/json.h"
#include "kube/client.h"
#include "manager/api.h"
#include "manager/claims.h"
#include "manager/creation.h"
#include "manager/engagement_json.h"
#include "manager/lease.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "manager/review.h"
#include "manager/workload_event.h"
#include "quoted.h"
#include "suite.h"

#define ID "abcdefghijklmnopqrstuvwxyz"

/* ---- ENGAGE ---------------------------------------------------------------
 */

#define HEAD "{'id':'" ID "','type':'intercept','namespace':'ns','workload':"

static int read_spec(struct engage_spec *spec, const char *text,
                     struct tp_error *err)
{
    char *copy = quoted_text(text);
    int rc = engage_spec_parse(spec, copy, strlen(copy), err);

    free(copy);
    return rc;
}

START_TEST(engage_is_read)
{
    struct engage_spec spec;
    struct tp_error err = {0};

    ck_assert_msg(
        read_spec(&spec,
                  HEAD "'deploy/web','container':'app','service':'s','ports':[{"
                       "'remote':'http'},{'remote':'53','protocol':'udp'}],"
                       "'toPod':[{'port':5432,'protocol':'tcp'}],'force':true,"
                       "'yes':true,'name':'mine','later':{}}",
                  &err) == 0,
        "%s", err.text);
    ck_assert_str_eq(spec.id, ID);
    ck_assert_int_eq(spec.type, ENGAGEMENT_INTERCEPT);
    ck_assert_str_eq(spec.kind->kind, "Deployment");
    ck_assert_str_eq(spec.workload, "web");
    ck_assert_uint_eq(spec.port_count, 2);
    ck_assert(!spec.ports[0].udp && spec.ports[1].udp);
    ck_assert_str_eq(spec.ports[1].remote, "53");
    ck_assert_uint_eq(spec.to_pod_count, 1);
    ck_assert_uint_eq(spec.to_pod[0].port, 5432);
    ck_assert(spec.force && spec.yes);
    ck_assert_str_eq(spec.name, "mine");
}
END_TEST

static const char *const bad_specs[] = {
    "",
    "[]",
    "{}",
    "nonsense",
    "{'id':'short','type':'intercept','namespace':'ns','workload':'web'}",
    "{'id':'ABCDEFGHIJKLMNOPQRSTUVWXYZ','type':'intercept','namespace':'ns',"
    "'workload':'web'}",
    "{'id':'" ID "','type':'steal','namespace':'ns','workload':'web'}",
    "{'id':'" ID "','namespace':'ns','workload':'web'}",
    "{'id':'" ID "','type':'mirror','workload':'web'}",
    "{'id':'" ID "','type':'mirror','namespace':'../x','workload':'web'}",
    "{'id':'" ID "','type':'mirror','namespace':'a.b','workload':'web'}",
    HEAD "''}",
    HEAD "'deploy/../x'}",
    HEAD "5}",
    HEAD "'web','container':'a/b'}",
    HEAD "'web','container':7}",
    HEAD "'web','force':'yes'}",
    HEAD "'web','ports':{}}",
    HEAD "'web','ports':[5]}",
    HEAD "'web','ports':[{}]}",
    HEAD "'web','ports':[{'remote':''}]}",
    HEAD "'web','ports':[{'remote':'0'}]}",
    HEAD "'web','ports':[{'remote':'65536'}]}",
    HEAD "'web','ports':[{'remote':'99999999999999999999'}]}",
    HEAD "'web','ports':[{'remote':80}]}",
    HEAD "'web','ports':[{'remote':'80','protocol':'sctp'}]}",
    HEAD "'web','ports':[{'remote':'80'},{'remote':'80'}]}",
    HEAD "'web','toPod':[{'port':0}]}",
    HEAD "'web','toPod':[{'port':70000}]}",
    HEAD "'web','toPod':[{'port':'80'}]}",
    HEAD "'web','name':'a\\nb'}",
    "{'id':'" ID "','type':'ingest','namespace':'ns','workload':'web','ports':"
    "[{'remote':'80'}]}",
};

START_TEST(engage_refuses_what_is_wrong)
{
    struct engage_spec spec;
    struct tp_error err = {0};

    ck_assert_msg(read_spec(&spec, bad_specs[_i], &err) == -EINVAL, "%s",
                  bad_specs[_i]);
    ck_assert_str_ne(err.text, "");
}
END_TEST

START_TEST(engage_has_limits)
{
    struct engage_spec spec;
    struct tp_error err = {0};
    char text[8192] = HEAD "'web','ports':[";

    for (int i = 0; i < 65; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "%s{'remote':'%d'}", i ? "," : "", i + 1);
    strcat(text, "]}");
    ck_assert_int_eq(read_spec(&spec, text, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "at most 64"));
}
END_TEST

/* ---- objects --------------------------------------------------------------
 */

static void make_identity(struct identity *who)
{
    *who = (struct identity){
        .user = strdup("alice"),
        .uid = strdup("u1"),
        .groups = quoted_parse("['g']"),
        .extra = quoted_parse("{'k':['v']}"),
    };
}

/* The object as the API server gives it back. */
static struct json_object *make_object(const char *more)
{
    struct engage_spec spec;
    struct tp_error err = {0};
    struct identity who;
    struct resolved ports = {.container = "app", .count = 1};
    struct json_object *obj;
    char text[1024];

    snprintf(text, sizeof(text), "%s'web','name':'mine','toPod':[{'port':1}]%s",
             HEAD, more);
    ck_assert_int_eq(read_spec(&spec, text, &err), 0);
    ports.ports[0] = (struct resolved_port){.port = 8080,
                                            .mode = PORT_NAMED,
                                            .service_port = 80,
                                            .name = "http",
                                            .requested = "80"};
    make_identity(&who);
    obj = engagement_build(&spec, workload_kind_find("Deployment"), &ports,
                           &who, "session", "session-uid");
    json_put_str(json_get(obj, "metadata"), "creationTimestamp",
                 "2026-01-02T14:02:03Z");
    json_put_str(json_get(obj, "metadata"), "resourceVersion", "77");
    identity_release(&who);
    return obj;
}

START_TEST(engagement_is_read_as_it_was_written)
{
    struct json_object *obj = make_object("}"), *client, *status;
    struct engagement eng;
    struct resolved ports;
    struct tp_error err = {0};

    ck_assert_msg(engagement_parse(&eng, obj, &err) == 0, "%s", err.text);
    ck_assert_str_eq(eng.id, ID);
    ck_assert_str_eq(eng.session, "session");
    ck_assert_str_eq(eng.workload.kind, "Deployment");
    ck_assert_str_eq(eng.who.user, "alice");
    ck_assert_str_eq(json_to_text(eng.who.extra), "{\"k\":[\"v\"]}");
    ck_assert_uint_eq(eng.port_count, 1);
    ck_assert_uint_eq(eng.to_pod[0].port, 1);
    ck_assert_int_eq(eng.phase, ENGAGEMENT_PENDING);
    ck_assert_uint_eq(object_version(obj), 77);
    engagement_ports(&ports, obj);
    ck_assert_str_eq(ports.container, "app");
    ck_assert_int_eq(ports.ports[0].mode, PORT_NAMED);
    ck_assert_str_eq(ports.ports[0].requested, "80");
    status = engagement_status("ready", "fine", 2);
    json_object_object_add(obj, "status",
                           json_object_get(json_get(status, "status")));
    engagement_release(&eng);
    ck_assert_int_eq(engagement_parse(&eng, obj, &err), 0);
    client = engagement_to_client(obj, &eng, NULL);
    ck_assert_str_eq(json_get_str(client, "phase", ""), "ready");
    ck_assert_str_eq(json_get_str(client, "message", ""), "fine");
    ck_assert_int_eq(json_get_int(client, "pods", 0), 2);
    ck_assert_int_eq(json_get_int(client, "since", 0), 1767362523);
    ck_assert_str_eq(json_get_str(client, "workload.name", ""), "web");
    ck_assert_str_eq(json_get_str(client, "name", ""), "mine");
    ck_assert_ptr_null(json_get(client, "groups"));
    ck_assert_ptr_null(json_get(client, "uid"));
    json_object_put(client);
    json_object_put(status);
    engagement_release(&eng);
    json_object_put(obj);
}
END_TEST

START_TEST(engagement_refuses_foreign_objects)
{
    static const struct {
        const char *path, *key, *value;
    } cases[] = {
        {"metadata", "name", "'x'"},
        {"spec", "type", "'steal'"},
        {"spec", "namespace", "'a/b'"},
        {"spec", "session", "''"},
        {"spec", "user", "''"},
        {"spec", "container", "'../x'"},
        {"spec", "ports", "[{'port':0}]"},
        {"spec", "ports", "[{'port':70000}]"},
        {"spec", "extra", "[]"},
        {"spec", "workload", "{'kind':'Node','name':'n'}"},
        {"spec", "workload", "{'kind':'Pod','name':'../n'}"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct json_object *obj = make_object("}"), *value;
        struct engagement eng;
        struct tp_error err = {0};
        char text[128];

        snprintf(text, sizeof(text), "{'v':%s}", cases[i].value);
        value = quoted_parse(text);
        json_object_object_add(json_get(obj, cases[i].path), cases[i].key,
                               json_object_get(json_get(value, "v")));
        ck_assert_msg(engagement_parse(&eng, obj, &err) == -EBADMSG, "%zu", i);
        engagement_release(&eng);
        json_object_put(value);
        json_object_put(obj);
    }
}
END_TEST

START_TEST(session_is_read_as_it_was_written)
{
    struct json_object *obj, *status;
    struct session_cr cr;
    struct identity who;
    struct tp_error err = {0};

    make_identity(&who);
    obj = session_build("s", "ns", &who);
    ck_assert_int_eq(session_parse(&cr, obj, &err), 0);
    ck_assert(cr.connected && !*cr.replica &&
              identity_same_owner(&cr.who, &who));
    session_release(&cr);
    status = session_status(false, "pod-1", 99);
    json_object_object_add(obj, "status",
                           json_object_get(json_get(status, "status")));
    ck_assert_int_eq(session_parse(&cr, obj, &err), 0);
    ck_assert(!cr.connected && cr.since == 99);
    ck_assert_str_eq(cr.replica, "pod-1");
    session_release(&cr);
    json_object_put(status);
    json_object_put(obj);
    identity_release(&who);
}
END_TEST

/* ---- claims and leases ----------------------------------------------------
 */

static struct engagement some(enum engagement_type type)
{
    return (struct engagement){
        .id = ID,
        .type = type,
        .workload = {"ns", "Deployment", "web"},
        .ports = {{8080, false}, {53, true}},
        .port_count = 2,
    };
}

START_TEST(claims_are_of_intercept_and_replace_only)
{
    struct claim a[CLAIMS_MAX], b[CLAIMS_MAX];
    struct engagement eng = some(ENGAGEMENT_INTERCEPT);

    ck_assert_uint_eq(claims_of(&eng, a), 2);
    /* printf 'ns/Deployment/web/tcp/8080' | sha256sum */
    ck_assert_str_eq(a[0].name, "tp-claim-f9f80cb606c7a4d321ed1d1719c5b9f6");
    ck_assert_str_eq(a[0].what, "8080/tcp");
    ck_assert_str_eq(a[1].what, "53/udp");
    eng = some(ENGAGEMENT_REPLACE);
    ck_assert_uint_eq(claims_of(&eng, b), 3);
    ck_assert_str_eq(b[0].what, "replace");
    ck_assert_str_eq(b[1].name, a[0].name);
    eng.workload = (struct workload_ref){"ns", "StatefulSet", "web"};
    ck_assert_uint_eq(claims_of(&eng, b), 3);
    ck_assert_str_ne(b[1].name, a[0].name);
    eng = some(ENGAGEMENT_MIRROR);
    ck_assert_uint_eq(claims_of(&eng, a), 0);
    eng = some(ENGAGEMENT_INGEST);
    ck_assert_uint_eq(claims_of(&eng, a), 0);
}
END_TEST

START_TEST(claim_belongs_to_its_engagement)
{
    struct claim claims[CLAIMS_MAX];
    struct engagement eng = some(ENGAGEMENT_INTERCEPT);
    struct json_object *lease, *owner;

    claims_of(&eng, claims);
    lease = claim_build(&claims[0], "tp", ID, "uid-1");
    owner = json_object_array_get_idx(
        json_get_array(lease, "metadata.ownerReferences"), 0);
    ck_assert_str_eq(json_get_str(owner, "kind", ""), "Engagement");
    ck_assert_str_eq(json_get_str(owner, "uid", ""), "uid-1");
    ck_assert_str_eq(json_get_str(lease, "spec.holderIdentity", ""), ID);
    json_object_put(lease);
}
END_TEST

START_TEST(an_engagement_has_begun_with_its_phase)
{
    struct json_object *obj = json_object_new_object(), *patch;

    ck_assert(!engagement_has_begun(obj));
    patch = engagement_status("pending", "", 0);
    ck_assert(engagement_has_begun(patch));
    json_object_put(patch);
    json_object_put(obj);
}
END_TEST

START_TEST(conflict_says_who_since_when_and_what_to_do)
{
    struct claim_conflict conflict = {.what = "8080/tcp"};
    char text[600];

    conflict.holder = make_object("}");
    claim_explain(&conflict, text, sizeof(text));
    ck_assert_str_eq(text,
                     "8080/tcp of Deployment web is held by alice (intercept) "
                     "since 2026-01-02 14:02 UTC; wait, use tp mirror, or "
                     "--force with the right engagements/takeover");
    json_object_put(conflict.holder);
}
END_TEST

START_TEST(lease_is_fresh_for_its_duration)
{
    struct json_object *lease = lease_build("l", "ns", "me", 30);
    int64_t now = wall_ms();

    ck_assert(lease_is_fresh(lease, now));
    ck_assert(!lease_is_fresh(lease, now + 31000));
    lease_renew(lease, "you", 30);
    ck_assert_str_eq(json_get_str(lease, "spec.holderIdentity", ""), "you");
    ck_assert(lease_is_fresh(lease, now + 29000));
    json_object_put(lease);
    lease = quoted_parse("{'spec':{'leaseDurationSeconds':30}}");
    ck_assert(!lease_is_fresh(lease, now));
    json_object_put(lease);
    ck_assert_int_eq(lease_time("2026-01-02T15:04:05.250000Z"), 1767366245250);
    ck_assert_int_eq(lease_time("2026-01-02T15:04:05Z"), 1767366245000);
    ck_assert_int_eq(lease_time("tomorrow"), 0);
    ck_assert_int_eq(lease_time("2026-01-02T15:04:05.25+01:00"), 0);
}
END_TEST

/* ---- rights ---------------------------------------------------------------
 */

START_TEST(right_is_asked_for_and_named)
{
    const struct right right = {"tp.internal", "engagements", "intercept",
                                "team-a", "deployments.web"};
    struct json_object *review, *attributes;
    struct identity who;
    char text[400];

    right_format(&right, text, sizeof(text));
    ck_assert_str_eq(text, "create engagements/intercept on deployments.web in "
                           "namespace team-a (group tp.internal)");
    make_identity(&who);
    review = review_build_right(&who, &right);
    attributes = json_get(review, "spec.resourceAttributes");
    ck_assert_str_eq(json_to_text(attributes),
                     "{\"namespace\":\"team-a\",\"verb\":\"create\",\"group\":"
                     "\"tp.internal\",\"version\":\"v1\",\"resource\":"
                     "\"engagements\",\"subresource\":\"intercept\",\"name\":"
                     "\"deployments.web\"}");
    json_object_put(review);
    review = review_build(&who, "ns");
    ck_assert_ptr_null(json_get(review, "spec.resourceAttributes.subresource"));
    ck_assert_str_eq(
        json_get_str(review, "spec.resourceAttributes.resource", ""),
        "connections");
    json_object_put(review);
    identity_release(&who);
}
END_TEST

START_TEST(event_tells_who_and_which_ports)
{
    struct engagement eng = some(ENGAGEMENT_INTERCEPT);
    struct json_object *event;

    make_identity(&eng.who);
    event = workload_event_build(&eng, true, "pod-1");
    ck_assert_str_eq(json_get_str(event, "message", ""),
                     "intercept by alice starts: ports 8080/tcp, 53/udp");
    ck_assert_str_eq(json_get_str(event, "involvedObject.apiVersion", ""),
                     "apps/v1");
    ck_assert_str_eq(json_get_str(event, "metadata.namespace", ""), "ns");
    json_object_put(event);
    engagement_release(&eng);
}
END_TEST

START_TEST(pod_security_forbids_redirection_only)
{
    struct json_object *open = quoted_parse("{'metadata':{'name':'n'}}");
    struct json_object *baseline = quoted_parse(
        "{'metadata':{'labels':{'pod-security.kubernetes.io/enforce':"
        "'baseline'}}}");
    struct json_object *named = quoted_parse("{'ports':[{'mode':'named'}]}");
    struct json_object *redirect =
        quoted_parse("{'ports':[{'mode':'named'},{'mode':'redirect'}]}");

    ck_assert_ptr_null(namespace_forbids(open, redirect));
    ck_assert_ptr_null(namespace_forbids(baseline, named));
    ck_assert_str_eq(namespace_forbids(baseline, redirect), "baseline");
    json_object_put(open);
    json_object_put(baseline);
    json_object_put(named);
    json_object_put(redirect);
}
END_TEST

/* ---- life -----------------------------------------------------------------
 */

static void timer_cb(uv_timer_t *timer)
{
    struct engagements *e = timer->data;
    uint64_t start = uv_hrtime();

    ck_assert_ptr_null(engagements_find(e, ID));
    engagements_poke(e);
    engagements_close(e);
    ck_assert_uint_lt(uv_hrtime() - start, 1000000000);
    uv_close((uv_handle_t *)timer, NULL);
}

/* Without an API server nothing is known, and all of it stops at once. */
START_TEST(engagements_live_and_end_without_an_api_server)
{
    struct kube_endpoint ep = {.server = strdup("http://127.0.0.1:9"),
                               .proxy_url = strdup("")};
    struct metrics metrics = {0};
    struct parts parts = {0};
    struct tp_error err = {0};
    struct engagements_env env = {
        .endpoint = &ep, .metrics = &metrics, .parts = &parts, .ns = "tp"};
    struct engagements *e;
    uv_timer_t timer;
    uv_loop_t loop;

    uv_loop_init(&loop);
    env.loop = &loop;
    env.api = api_create(&loop, &ep);
    e = engagements_create(&env, &err);
    ck_assert_msg(e != NULL, "%s", err.text);
    uv_timer_init(&loop, &timer);
    timer.data = e;
    uv_timer_start(&timer, timer_cb, 400, 0);
    while (!uv_is_closing((uv_handle_t *)&timer))
        uv_run(&loop, UV_RUN_ONCE);
    api_close(env.api);
    uv_run(&loop, UV_RUN_DEFAULT);
    engagements_destroy(e);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    kube_endpoint_release(&ep);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manager engage");
    TCase *tc = tcase_create("engage");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, engage_is_read);
    tcase_add_loop_test(tc, engage_refuses_what_is_wrong, 0,
                        (int)(sizeof(bad_specs) / sizeof(*bad_specs)));
    tcase_add_test(tc, engage_has_limits);
    tcase_add_test(tc, engagement_is_read_as_it_was_written);
    tcase_add_test(tc, engagement_refuses_foreign_objects);
    tcase_add_test(tc, session_is_read_as_it_was_written);
    tcase_add_test(tc, claims_are_of_intercept_and_replace_only);
    tcase_add_test(tc, claim_belongs_to_its_engagement);
    tcase_add_test(tc, an_engagement_has_begun_with_its_phase);
    tcase_add_test(tc, conflict_says_who_since_when_and_what_to_do);
    tcase_add_test(tc, lease_is_fresh_for_its_duration);
    tcase_add_test(tc, right_is_asked_for_and_named);
    tcase_add_test(tc, event_tells_who_and_which_ports);
    tcase_add_test(tc, pod_security_forbids_redirection_only);
    tcase_add_test(tc, engagements_live_and_end_without_an_api_server);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
