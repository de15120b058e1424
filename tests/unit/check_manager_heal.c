/* Agents of a former installation; replaced pods that are rolled back. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/agent_origin.h"
#include "manager/engage_internal.h"
#include "manager/inject.h"
#include "manager/rollout.h"
#include "agent_pods.h"
#include "quoted.h"
#include "suite.h"

static void set_need(struct resolved *r, uint16_t port, enum port_mode mode,
                     const char *name)
{
    memset(r, 0, sizeof(*r));
    snprintf(r->container, sizeof(r->container), "app");
    r->count = 1;
    r->ports[0].port = port;
    r->ports[0].mode = mode;
    snprintf(r->ports[0].name, sizeof(r->ports[0].name), "%s", name);
}

/* ---- agents of a former installation, replaced pods ------------------------
 */

#define TOLD(ca, address)                                                      \
    "{'name':'tp-agent','env':[{'name':'TP_AGENT_CONFIG',"                     \
    "'value':'{\\'containers\\':[\\'app\\'],\\'ports\\':[" FIT                 \
    "]}'},{'name':'TP_AGENT_CA','value':'" ca "'},"                            \
    "{'name':'TP_AGENT_MANAGER','value':'" address "'},"                       \
    "{'name':'TP_AGENT_SERVER_NAME','value':'tp-manager.tp-system.svc'}]}"

static const struct {
    const char *what, *ca, *address, *connected;
    bool stranger;
} strangers[] = {
    {"ours", "CA", "10.43.0.9:8444", "", false},
    {"another authority", "OLD", "10.43.0.9:8444", "", true},
    {"another address", "CA", "10.43.0.1:8444", "", true},
    {"which is here all the same", "OLD", "10.43.0.1:8444", "a", false},
};

START_TEST(agents_of_another_installation_are_unfit)
{
    struct inject_settings settings = {
        .ca = (char *)"CA",
        .server_name = (char *)"tp-manager.tp-system.svc",
        .manager = "10.43.0.9:8444",
    };
    struct json_object *workload =
        quoted_parse("{'kind':'Deployment','spec':{'replicas':1}}");
    struct rollout_plan plan = {.method = ROLLOUT_TEMPLATE};
    struct json_object *pods;
    struct agent_origin origin;
    struct resolved ports;
    struct config_need need = {.ports = &ports, .origin = &origin};
    struct rollout_state state;
    struct pods_view view;
    char text[2048], connected[16];

    snprintf(text, sizeof(text),
             "{'items':[" POD("a", TOLD("%s", "%s"), READY) "]}",
             strangers[_i].ca, strangers[_i].address);
    pods = quoted_parse(text);
    snprintf(connected, sizeof(connected), "%s", strangers[_i].connected);
    agent_origin_now(&origin, &settings);
    set_need(&ports, 8080, PORT_NAMED, "http");
    pods_look(&view, pods, &need, connected_cb, connected);
    ck_assert_uint_eq(view.ready, 1);
    ck_assert_uint_eq(view.strangers, strangers[_i].stranger);
    ck_assert_uint_eq(view.fit, !strangers[_i].stranger);
    rollout_judge(&state, &plan, workload, &view);
    ck_assert_msg(!strangers[_i].stranger ||
                      strstr(state.message, "former installation"),
                  "%s", state.message);
    json_object_put(pods);
    json_object_put(workload);
}
END_TEST

/* What is not known, is no reason: manager's start, agents of tests. */
START_TEST(an_unknown_origin_is_no_stranger)
{
    struct inject_settings settings = {.ca = (char *)"CA"};
    struct agent_origin none, some = {"0123"};
    struct json_object *pod = quoted_parse("{'spec':{'containers':[]}}");

    agent_origin_now(&none, &settings);
    ck_assert_str_eq(none.hash, "");
    ck_assert(!agent_origin_differs(&none, &some));
    agent_origin_of_pod(&none, pod);
    ck_assert(!agent_origin_differs(&some, &none));
    json_object_put(pod);
}
END_TEST

#define REPLACED                                                               \
    "'spec':{'containers':[{'name':'tp-agent','env':[{'name':"                 \
    "'TP_AGENT_CONFIG','value':'{\\'replace\\':\\'app\\'}'}]}]}"
#define OLD_POD "{'metadata':{'name':'o'}," REPLACED "," READY "}"
#define GONE_POD                                                               \
    "{'metadata':{'name':'o','deletionTimestamp':'x'}," REPLACED "}"
#define NEW_POD  POD("n", AGENT(FIT), READY)
#define SLOW_POD POD("n", AGENT(FIT), "'status':{'phase':'Running'}")

static const struct {
    const char *what, *pods;
    int replicas;
    uint64_t leaving_ms;
    bool done;
} restores[] = {
    {"nothing has happened yet", OLD_POD, 1, 0, false},
    {"the new one is not ready", OLD_POD "," SLOW_POD, 1, 0, false},
    {"the old one is still there", OLD_POD "," NEW_POD, 1, 0, false},
    {"it goes", GONE_POD "," NEW_POD, 1, 0, false},
    {"for long", GONE_POD "," NEW_POD, 1, 10000, true},
    {"it is gone", NEW_POD, 1, 0, true},
    {"one is missing", NEW_POD, 2, 60000, false},
    {"scaled to 0", "", 0, 0, true},
};

START_TEST(a_replace_is_over_when_pods_are_restored)
{
    char text[2048];
    struct json_object *pods, *workload;
    struct restore_view view;

    snprintf(text, sizeof(text), "{'items':[%s]}", restores[_i].pods);
    pods = quoted_parse(text);
    snprintf(text, sizeof(text), "{'kind':'Deployment','spec':{'replicas':%d}}",
             restores[_i].replicas);
    workload = quoted_parse(text);
    restore_look(&view, workload, pods);
    ck_assert_msg(restore_is_done(&view, restores[_i].leaving_ms) ==
                      restores[_i].done,
                  "%s", restores[_i].what);
    json_object_put(pods);
    json_object_put(workload);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

int main(void)
{
    Suite *suite = suite_create("manager heal");
    TCase *tc = tcase_create("heal");

    tcase_add_loop_test(tc, agents_of_another_installation_are_unfit, 0,
                        COUNT(strangers));
    tcase_add_test(tc, an_unknown_origin_is_no_stranger);
    tcase_add_loop_test(tc, a_replace_is_over_when_pods_are_restored, 0,
                        COUNT(restores));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
