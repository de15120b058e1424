/* Whose token is that, what its pod says, where the replicas are. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "manager/agent_pod.h"
#include "manager/cluster.h"
#include "manager/replicas.h"
#include "manager/slices.h"
#include "suite.h"

static struct json_object *parse(const char *text)
{
    struct tp_error err;
    struct json_object *obj = json_parse_text(text, strlen(text), &err);

    ck_assert_msg(obj != NULL, "%s: %s", text, err.text);
    return obj;
}

/* ---- TokenReview ----------------------------------------------------------
 */

#define USER "\"username\":\"system:serviceaccount:shop:default\""
#define EXTRA                                                                  \
    "\"extra\":{\"authentication.kubernetes.io/pod-name\":[\"web-1\"],"        \
    "\"authentication.kubernetes.io/pod-uid\":[\"u-1\"]}"
#define OURS "\"audiences\":[\"x\",\"tp-manager.tp.internal\"]"

static int review(const char *status, struct agent_token *token,
                  struct tp_error *err)
{
    char text[2048];
    struct json_object *obj;
    int rc;

    snprintf(text, sizeof(text), "{\"status\":%s}", status);
    obj = parse(text);
    rc = agent_token_parse(token, obj, err);
    json_object_put(obj);
    return rc;
}

START_TEST(a_token_names_its_pod)
{
    struct agent_token token;
    struct tp_error err = {0};
    char path[AGENT_PATH_MAX];

    ck_assert_int_eq(review("{\"authenticated\":true," OURS ",\"user\":{" USER
                            "," EXTRA "}}",
                            &token, &err),
                     0);
    ck_assert_str_eq(token.ns, "shop");
    ck_assert_str_eq(token.pod, "web-1");
    ck_assert_str_eq(token.uid, "u-1");
    agent_pod_path(&token, path);
    ck_assert_str_eq(path, "/api/v1/namespaces/shop/pods/web-1");
}
END_TEST

START_TEST(other_tokens_are_refused)
{
    static const char *const bad[] = {
        "{}",
        "{\"authenticated\":false," OURS ",\"user\":{" USER "," EXTRA "}}",
        "{\"authenticated\":\"true\"," OURS ",\"user\":{" USER "," EXTRA "}}",
        /* another audience, none at all */
        "{\"authenticated\":true,\"audiences\":[\"x\"],\"user\":{" USER
        "," EXTRA "}}",
        "{\"authenticated\":true,\"user\":{" USER "," EXTRA "}}",
        "{\"authenticated\":true,\"audiences\":\"tp-manager.tp.internal\","
        "\"user\":{" USER "," EXTRA "}}",
        /* minted without a pod; no service account's */
        "{\"authenticated\":true," OURS ",\"user\":{" USER "}}",
        "{\"authenticated\":true," OURS
        ",\"user\":{\"username\":\"alice\"," EXTRA "}}",
        "{\"authenticated\":true," OURS
        ",\"user\":{\"username\":\"system:serviceaccount:shop\"," EXTRA "}}",
        "{\"authenticated\":true," OURS
        ",\"user\":{\"username\":\"system:serviceaccount:../x:y\"," EXTRA "}}",
        "{\"authenticated\":true," OURS
        ",\"user\":{\"username\":\"system:serviceaccount::y\"," EXTRA "}}",
    };
    struct agent_token token;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(review(bad[i], &token, NULL) == -EACCES, "%s", bad[i]);
    ck_assert_int_eq(review("null", &token, NULL), -EBADMSG);
}
END_TEST

/* Names go into paths: what could lead elsewhere is no name. */
START_TEST(names_that_are_none_are_refused)
{
    static const char *const bad[] = {
        "\"\"",    "\"..\"",      "\"a/b\"", "\"a?b\"",
        "\"%41\"", "\"A\"",       "7",       "\"web-1\",\"web-2\"",
        "",        "[\"web-1\"]", "null",
    };
    struct agent_token token;
    char text[1024];

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        snprintf(text, sizeof(text),
                 "{\"authenticated\":true," OURS ",\"user\":{" USER
                 ",\"extra\":{\"authentication.kubernetes.io/pod-name\":[%s],"
                 "\"authentication.kubernetes.io/pod-uid\":[\"u\"]}}}",
                 bad[i]);
        ck_assert_msg(review(text, &token, NULL) == -EACCES, "%s", bad[i]);
    }
}
END_TEST

START_TEST(a_review_asks_for_our_audience)
{
    struct json_object *obj = agent_token_review("abc");

    ck_assert_str_eq(json_get_str(obj, "spec.token", ""), "abc");
    ck_assert_str_eq(
        json_object_to_json_string_ext(json_get(obj, "spec.audiences"),
                                       JSON_C_TO_STRING_PLAIN),
        "[\"tp-manager.tp.internal\"]");
    json_object_put(obj);
}
END_TEST

/* ---- Pod ------------------------------------------------------------------
 */

#define INJECTED "\"tp.internal/injected\":\"1\""
#define ENV                                                                    \
    "\"env\":[{\"name\":\"A\"},{\"name\":\"TP_AGENT_CONFIG\",\"value\":"       \
    "\"{\\\"ports\\\":[{\\\"container\\\":\\\"app\\\",\\\"port\\\":8080,"      \
    "\\\"protocol\\\":\\\"tcp\\\"}]}\"}]"
#define SPEC                                                                   \
    "\"spec\":{\"containers\":[{\"name\":\"app\"},{\"name\":\"tp-agent\"," ENV \
    "}]}"
#define OWNER(kind)                                                            \
    "\"ownerReferences\":[{\"kind\":\"X\",\"name\":\"x\",\"uid\":\"x\"},"      \
    "{\"controller\":true,\"kind\":\"" kind                                    \
    "\",\"name\":\"web-5f\",\"uid\":\"o-1\"}]"
#define META(more)                                                             \
    "\"metadata\":{\"uid\":\"u-1\",\"annotations\":{" INJECTED "}" more "}"
#define POD(meta, spec)                                                        \
    "{\"kind\":\"Pod\"," meta "," spec                                         \
    ",\"status\":{\"phase\":\"Running\",\"podIP\":\"10.42.0.9\"}}"

static int read_pod(const char *text, struct agent_pod *pod,
                    struct tp_error *err)
{
    static const struct agent_token token = {"shop", "web-5f-1", "u-1"};
    struct json_object *obj = parse(text);
    int rc = agent_pod_parse(pod, &token, obj, err);

    json_object_put(obj);
    return rc;
}

START_TEST(a_pod_tells_workload_address_and_ports)
{
    static const struct engagement_port tcp = {8080, false}, udp = {8080, true},
                                        other = {9090, false};
    struct agent_pod pod;
    struct tp_error err = {0};
    char path[AGENT_PATH_MAX];

    ck_assert_msg(
        read_pod(POD(META("," OWNER("StatefulSet")), SPEC), &pod, &err) == 0,
        "%s", err.text);
    ck_assert_str_eq(pod.workload.ns, "shop");
    ck_assert_str_eq(pod.workload.kind, "StatefulSet");
    ck_assert_str_eq(pod.workload.name, "web-5f");
    ck_assert_str_eq(pod.ip, "10.42.0.9");
    ck_assert(!agent_pod_has_replicaset(&pod, path));
    ck_assert(agent_pod_has_port(&pod, "", &tcp));
    ck_assert(agent_pod_has_port(&pod, "app", &tcp));
    ck_assert(!agent_pod_has_port(&pod, "other", &tcp));
    ck_assert(!agent_pod_has_port(&pod, "", &udp));
    ck_assert(!agent_pod_has_port(&pod, "", &other));
    agent_pod_release(&pod);
}
END_TEST

START_TEST(pods_without_owner_are_their_own_workload)
{
    struct agent_pod pod;

    ck_assert_int_eq(read_pod(POD(META(""), SPEC), &pod, NULL), 0);
    ck_assert_str_eq(pod.workload.kind, "Pod");
    ck_assert_str_eq(pod.workload.name, "web-5f-1");
    agent_pod_release(&pod);
    ck_assert_int_eq(read_pod(POD(META("," OWNER("Node")), SPEC), &pod, NULL),
                     0);
    ck_assert_str_eq(pod.workload.kind, "Pod");
    agent_pod_release(&pod);
}
END_TEST

START_TEST(an_init_container_and_the_annotation_count)
{
    struct agent_pod pod;

    ck_assert_int_eq(
        read_pod(POD(META(""), "\"spec\":{\"initContainers\":[{\"name\":"
                               "\"tp-agent\"," ENV "}]}"),
                 &pod, NULL),
        0);
    ck_assert_uint_eq(json_array_len(json_get_array(pod.config, "ports")), 1);
    agent_pod_release(&pod);
    ck_assert_int_eq(read_pod("{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"u-1\","
                              "\"annotations\":{" INJECTED
                              ",\"tp.internal/agent\":"
                              "\"{\\\"version\\\":7}\"}}}",
                              &pod, NULL),
                     0);
    ck_assert_int_eq(json_get_int(pod.config, "version", 0), 7);
    ck_assert_str_eq(pod.ip, "");
    agent_pod_release(&pod);
}
END_TEST

START_TEST(other_pods_are_refused)
{
    static const char *const bad[] = {
        /* another pod of the same name; at its end */
        "{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"u-2\",\"annotations\":"
        "{" INJECTED "}}," SPEC "}",
        "{\"kind\":\"Pod\"," META("") "," SPEC
                                      ",\"status\":{\"phase\":\"Succeeded\"}}",
        "{\"kind\":\"Pod\"," META("") "," SPEC
                                      ",\"status\":{\"phase\":\"Failed\"}}",
        /* not injected; without an agent; with one of nonsense */
        "{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"u-1\"}," SPEC "}",
        "{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"u-1\",\"annotations\":"
        "{\"tp.internal/injected\":\"\"}}," SPEC "}",
        POD(META(""), "\"spec\":{\"containers\":[{\"name\":\"app\"}]}"),
        POD(META(""), "\"spec\":{\"containers\":[{\"name\":\"tp-agent\","
                      "\"env\":[{\"name\":\"TP_AGENT_CONFIG\",\"value\":"
                      "\"[]\"}]}]}"),
        POD(META(""), "\"spec\":{\"containers\":[{\"name\":\"tp-agent\","
                      "\"env\":[{\"name\":\"TP_AGENT_CONFIG\",\"value\":"
                      "\"{\"}]}]}"),
        /* owners that cannot be named */
        POD(META("," OWNER("AKindWithANameThatIsMuchTooLongForUs")), SPEC),
        POD(META(",\"ownerReferences\":[{\"controller\":true,\"kind\":"
                 "\"ReplicaSet\",\"name\":\"../x\"}]"),
            SPEC),
    };
    struct agent_pod pod;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(read_pod(bad[i], &pod, NULL) == -EACCES, "%s", bad[i]);
        agent_pod_release(&pod);
    }
    ck_assert_int_eq(read_pod("{\"kind\":\"Status\"}", &pod, NULL), -EBADMSG);
    agent_pod_release(&pod);
}
END_TEST

static int set_owner(struct agent_pod *pod, const char *text)
{
    struct json_object *set = parse(text);
    int rc = agent_pod_set_replicaset(pod, set, NULL);

    json_object_put(set);
    return rc;
}

START_TEST(a_replicaset_leads_to_its_deployment)
{
    struct agent_pod pod;
    char path[AGENT_PATH_MAX];

    ck_assert_int_eq(
        read_pod(POD(META("," OWNER("ReplicaSet")), SPEC), &pod, NULL), 0);
    ck_assert(agent_pod_has_replicaset(&pod, path));
    ck_assert_str_eq(path, "/apis/apps/v1/namespaces/shop/replicasets/web-5f");
    /* One of the same name that is not the owner vouches for nobody. */
    ck_assert_int_eq(set_owner(&pod, "{\"metadata\":{\"uid\":\"o-2\"}}"),
                     -EACCES);
    ck_assert_int_eq(set_owner(&pod, "{\"metadata\":{\"uid\":\"o-1\"}}"), 0);
    ck_assert_str_eq(pod.workload.kind, "ReplicaSet");
    ck_assert_int_eq(
        set_owner(&pod, "{\"metadata\":{\"uid\":\"o-1\",\"ownerReferences\":"
                        "[{\"controller\":true,\"kind\":\"Deployment\","
                        "\"name\":\"web\"}]}}"),
        0);
    ck_assert_str_eq(pod.workload.kind, "Deployment");
    ck_assert_str_eq(pod.workload.name, "web");
    agent_pod_release(&pod);
}
END_TEST

/* ---- replicas -------------------------------------------------------------
 */

static void check_replicas(const char *own_list, const char *slices,
                           const char *expected)
{
    struct subnets own = {0};
    char bad[SUBNET_TEXT];
    struct json_object *obj = parse(slices), *list;

    ck_assert_int_eq(subnets_add_list(&own, own_list, bad), 0);
    list = replicas_list(&own, obj);
    ck_assert_str_eq(
        json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN), expected);
    json_object_put(list);
    json_object_put(obj);
    subnets_release(&own);
}

START_TEST(replicas_begin_with_the_own_address)
{
    static const char slices[] =
        "{\"items\":[{\"endpoints\":["
        "{\"addresses\":[\"10.42.0.9\"],\"conditions\":{\"ready\":true}},"
        "{\"addresses\":[\"10.42.0.8\"]},"
        "{\"addresses\":[\"10.42.0.8\"]},"
        "{\"addresses\":[\"10.42.0.3\"],\"conditions\":{\"ready\":false}},"
        "{\"addresses\":[]},{\"addresses\":[\"nonsense\"]},"
        "{\"addresses\":[\"10.42.0.7\"]}]},"
        "{\"endpoints\":[{\"addresses\":[\"fd00::9\"]}]},7]}";

    check_replicas("127.0.0.1,192.168.1.2,10.42.0.8", slices,
                   "[\"10.42.0.8\",\"10.42.0.7\",\"10.42.0.9\"]");
    check_replicas("127.0.0.1,fd00::9", slices, "[\"fd00::9\"]");
    /* Not an endpoint yet. */
    check_replicas("127.0.0.1,::1,fe80::1,10.42.0.1", slices,
                   "[\"10.42.0.1\",\"10.42.0.7\",\"10.42.0.8\",\"10.42.0.9\"]");
    check_replicas("10.42.0.1", "{}", "[\"10.42.0.1\"]");
    check_replicas("", "{}", "[]");
}
END_TEST

static bool take(struct slices *s, enum watch_event event, const char *text)
{
    struct json_object *obj = text ? parse(text) : NULL;
    bool changed = slices_take(s, event, obj);

    json_object_put(obj);
    return changed;
}

#define SLICE(name, address)                                                   \
    "{\"metadata\":{\"name\":\"" name "\"},\"endpoints\":[{"                   \
    "\"addresses\":[\"" address "\"],\"conditions\":{\"ready\":false}}]}"

/* The addresses that are denied. */
static void check_addresses(const struct slices *s, const char *expected)
{
    struct json_object *items = slices_items(s);
    struct subnets list = {0};
    char text[256] = "";

    ck_assert_int_eq(cluster_add_endpoints(&list, items), 0);
    for (size_t i = 0; i < list.count; i++) {
        char one[SUBNET_TEXT];

        subnet_format(&list.items[i], one);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", one);
    }
    ck_assert_str_eq(text, expected);
    subnets_release(&list);
    json_object_put(items);
}

START_TEST(slices_follow_the_watch)
{
    struct slices s = {0};

    ck_assert(!take(&s, WATCH_LIST, NULL));
    ck_assert(!take(&s, WATCH_PUT, SLICE("a", "10.42.0.7")));
    ck_assert(take(&s, WATCH_LISTED, NULL));
    check_addresses(&s, "10.42.0.7/32 ");
    /* A pod that is not ready has its address already. */
    ck_assert(take(&s, WATCH_PUT, SLICE("b", "10.42.0.8")));
    check_addresses(&s, "10.42.0.7/32 10.42.0.8/32 ");
    ck_assert(take(&s, WATCH_PUT, SLICE("a", "10.42.0.9")));
    check_addresses(&s, "10.42.0.9/32 10.42.0.8/32 ");
    ck_assert(take(&s, WATCH_DELETED, SLICE("a", "10.42.0.9")));
    check_addresses(&s, "10.42.0.8/32 ");
    ck_assert(!take(&s, WATCH_TROUBLE, NULL));
    check_addresses(&s, "10.42.0.8/32 ");
    slices_release(&s);
}
END_TEST

START_TEST(slices_that_a_new_list_lacks_are_gone)
{
    struct slices s = {0};

    take(&s, WATCH_LIST, NULL);
    take(&s, WATCH_PUT, SLICE("a", "10.42.0.7"));
    take(&s, WATCH_LISTED, NULL);
    take(&s, WATCH_LIST, NULL);
    take(&s, WATCH_PUT, SLICE("b", "10.42.0.8"));
    check_addresses(&s, "10.42.0.7/32 10.42.0.8/32 "); /* not known yet */
    take(&s, WATCH_LIST, NULL);                        /* that one failed */
    take(&s, WATCH_PUT, SLICE("c", "10.42.0.6"));
    ck_assert(take(&s, WATCH_LISTED, NULL));
    check_addresses(&s, "10.42.0.6/32 ");
    slices_release(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_agent_pod");
    TCase *tc = tcase_create("agent_pod");

    tcase_add_test(tc, a_token_names_its_pod);
    tcase_add_test(tc, other_tokens_are_refused);
    tcase_add_test(tc, names_that_are_none_are_refused);
    tcase_add_test(tc, a_review_asks_for_our_audience);
    tcase_add_test(tc, a_pod_tells_workload_address_and_ports);
    tcase_add_test(tc, pods_without_owner_are_their_own_workload);
    tcase_add_test(tc, an_init_container_and_the_annotation_count);
    tcase_add_test(tc, other_pods_are_refused);
    tcase_add_test(tc, a_replicaset_leads_to_its_deployment);
    tcase_add_test(tc, replicas_begin_with_the_own_address);
    tcase_add_test(tc, slices_follow_the_watch);
    tcase_add_test(tc, slices_that_a_new_list_lacks_are_gone);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
