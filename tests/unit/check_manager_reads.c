/* Unit tests of what tp-manager reads from pods, Services and requests when it
 * engages: limits, where calls go, agents that are taken away. All pure. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/destinations.h"
#include "manager/engage_limits.h"
#include "manager/engage_uninstall.h"
#include "manager/uninstall.h"
#include "quoted.h"
#include "suite.h"

/* ---- limits ---------------------------------------------------------------
 */

#define LIMITED(limits)                                                        \
    "{'spec':{'containers':[{'name':'side','resources':{'limits':{'cpu':"      \
    "'9'}}},{'name':'app','resources':{'limits':{" limits "}}}]}}"

START_TEST(limits_are_those_of_a_pod)
{
    struct json_object *pods =
        quoted_parse("{'items':[" LIMITED("'memory':'64Mi'") "]}");
    struct json_object *none = quoted_parse("{'items':[]}");
    struct json_object *template =
        quoted_parse(LIMITED("'cpu':'1','example.com/gpu':'1'"));
    struct json_object *out = limits_of(pods, template, "app");

    ck_assert_str_eq(json_get_str(out, "memory", ""), "64Mi");
    ck_assert_ptr_null(json_get(out, "cpu"));
    json_object_put(out);
    out = limits_of(none, template, "app");
    ck_assert_str_eq(json_get_str(out, "cpu", ""), "1");
    ck_assert_int_eq(json_object_object_length(out), 1);
    json_object_put(out);
    out = limits_of(NULL, NULL, "app");
    ck_assert_int_eq(json_object_object_length(out), 0);
    json_object_put(out);
    json_object_put(pods);
    json_object_put(none);
    json_object_put(template);
}
END_TEST

/* ---- destinations ---------------------------------------------------------
 */

START_TEST(services_and_pods_lead_to_engaged_ports)
{
    static const struct engagement eng = {.ports = {{8080, false}, {53, true}},
                                          .port_count = 2};
    struct json_object *template = quoted_parse(
        "{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':"
        "'app','ports':[{'name':'http','containerPort':8080},{'name':'echo',"
        "'containerPort':9001}]}]}}");
    struct json_object *services = quoted_parse(
        "{'items':["
        "{'metadata':{'name':'web'},'spec':{'selector':{'app':'web'},"
        "'clusterIP':'10.43.0.5','clusterIPs':['10.43.0.5','fd00::5'],"
        "'ports':[{'port':80,'targetPort':'http'},"
        "{'port':9001,'targetPort':'echo'},"
        "{'port':53,'protocol':'UDP'},{'port':53,'protocol':'TCP'}]}},"
        "{'metadata':{'name':'headless'},'spec':{'selector':{'app':'web'},"
        "'clusterIP':'None','clusterIPs':['None'],'ports':[{'port':8080}]}},"
        "{'metadata':{'name':'old','annotations':{'tp.internal/switched-ports':"
        "'[{\\\"port\\\":82,\\\"from\\\":8080,\\\"to\\\":\\\"tp-8080\\\"}]'}},"
        "'spec':{'selector':{'app':'web'},"
        "'clusterIP':'10.43.0.6','ports':[{'port':81,'targetPort':8080},"
        "{'port':82,'targetPort':'tp-8080'},"
        "{'port':83,'targetPort':'tp-x'}]}},"
        "{'metadata':{'name':'other'},'spec':{'selector':{'app':'db'},"
        "'clusterIP':'10.43.0.7','ports':[{'port':80,'targetPort':8080}]}}]}");
    struct json_object *pod = quoted_parse(
        "{'status':{'podIPs':[{'ip':'10.42.0.9'},{'ip':'fd00::9'}]}}");
    struct resolved ports = {.count = 3};
    struct json_object *list = json_object_new_array();

    ports.ports[0] = (struct resolved_port){.port = 8080, .mode = PORT_NAMED};
    ports.ports[1] =
        (struct resolved_port){.port = 53, .udp = true, .mode = PORT_REDIRECT};
    ports.ports[2] = (struct resolved_port){.port = 8081, .mode = PORT_SERVICE};
    destinations_add_services(list, template, services, &eng);
    destinations_add_pod(list, pod, &ports);
    ck_assert_str_eq(
        json_to_text(list),
        "[{\"address\":\"10.43.0.5\",\"port\":80,\"protocol\":\"tcp\","
        "\"to\":8080},"
        "{\"address\":\"fd00::5\",\"port\":80,\"protocol\":\"tcp\","
        "\"to\":8080},"
        "{\"address\":\"10.43.0.5\",\"port\":53,\"protocol\":\"udp\","
        "\"to\":53},"
        "{\"address\":\"fd00::5\",\"port\":53,\"protocol\":\"udp\",\"to\":53},"
        "{\"address\":\"10.43.0.6\",\"port\":81,\"protocol\":\"tcp\","
        "\"to\":8080},"
        "{\"address\":\"10.43.0.6\",\"port\":82,\"protocol\":\"tcp\","
        "\"to\":8080},"
        "{\"address\":\"10.42.0.9\",\"port\":53,\"protocol\":\"udp\","
        "\"to\":53},"
        "{\"address\":\"fd00::9\",\"port\":53,\"protocol\":\"udp\",\"to\":53}"
        "]");
    json_object_put(pod);
    json_object_put(list);
    json_object_put(services);
    json_object_put(template);
}
END_TEST

/* ---- agents are taken away ------------------------------------------------
 */

#define TEMPLATE(annotations)                                                  \
    "'template':{'metadata':{'annotations':{" annotations "}}}"

static const struct {
    const char *kind, *workload;
    bool restarted;
    enum uninstall_step step;
} uninstall_cases[] = {
    {"Deployment",
     "{'kind':'Deployment','spec':{'replicas':1," TEMPLATE(
         "'tp.internal/agent':'{}'") "}}",
     false, UNINSTALL_TEMPLATE},
    /* its pods asked for it by themselves */
    {"Deployment",
     "{'kind':'Deployment','spec':{'replicas':1," TEMPLATE(
         "'tp.internal/inject':'enabled'") "},'status':{'replicas':1,"
                                           "'updatedReplicas':1}}",
     false, UNINSTALL_RESTART},
    {"Deployment",
     "{'kind':'Deployment','spec':{'replicas':1," TEMPLATE(
         "") "},'status':{'replicas':1,'updatedReplicas':1}}",
     true, UNINSTALL_WAIT},
    /* the rollout is under way */
    {"Deployment",
     "{'kind':'Deployment','spec':{'replicas':1," TEMPLATE(
         "") "},'status':{'replicas':2,'updatedReplicas':1}}",
     false, UNINSTALL_WAIT},
    {"ReplicaSet",
     "{'kind':'ReplicaSet','spec':{'replicas':2," TEMPLATE(
         "") "},'status':{'readyReplicas':2}}",
     false, UNINSTALL_EVICT},
    {"ReplicaSet",
     "{'kind':'ReplicaSet','spec':{'replicas':2," TEMPLATE(
         "") "},'status':{'readyReplicas':1}}",
     false, UNINSTALL_WAIT},
    {"StatefulSet",
     "{'kind':'StatefulSet','spec':{'replicas':1,'updateStrategy':{'type':"
     "'OnDelete'}," TEMPLATE("'tp.internal/agent':'{}'") "}}",
     false, UNINSTALL_TEMPLATE},
    {"DaemonSet",
     "{'kind':'DaemonSet','spec':{'updateStrategy':{'type':'OnDelete'}"
     "," TEMPLATE(
         "") "},'status':{'desiredNumberScheduled':1,'numberReady':1}}",
     false, UNINSTALL_EVICT},
};

START_TEST(agents_are_taken_away_by_kind)
{
    struct json_object *w = quoted_parse(uninstall_cases[_i].workload);
    struct workload_ref ref = {{0}, {0}, {0}};

    snprintf(ref.kind, sizeof(ref.kind), "%s", uninstall_cases[_i].kind);
    ck_assert_int_eq(uninstall_judge(&ref, w, uninstall_cases[_i].restarted),
                     uninstall_cases[_i].step);
    json_object_put(w);
}
END_TEST

static const struct {
    const char *body, *error; /* NULL: good */
} uninstall_bodies[] = {
    {"{'namespace':'a','workload':'deploy/web'}", NULL},
    {"{'namespace':'a','workload':'deployment/web','yes':true}", NULL},
    {"{'namespace':'a','workload':'web'}", "KIND/NAME"},
    {"{'namespace':'a/b','workload':'deploy/web'}", "namespace"},
    {"{'workload':'deploy/web'}", "namespace"},
    {"{'namespace':'a','workload':'deploy/../x'}", ""},
    {"{'namespace':'a'}", ""},
    {"[]", "namespace"},
};

START_TEST(what_is_to_be_uninstalled_is_read_strictly)
{
    struct json_object *obj = quoted_parse(uninstall_bodies[_i].body);
    const char *text = json_to_text(obj);
    struct uninstall_spec spec;
    struct tp_error err = {0};
    int rc = uninstall_spec_parse(&spec, text, strlen(text), &err);

    ck_assert_int_eq(rc, uninstall_bodies[_i].error ? -EINVAL : 0);
    if (uninstall_bodies[_i].error)
        ck_assert_msg(strstr(err.text, uninstall_bodies[_i].error), "%s",
                      err.text);
    else
        ck_assert_str_eq(spec.workload.kind, "Deployment");
    json_object_put(obj);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

int main(void)
{
    Suite *suite = suite_create("manager reads");
    TCase *tc = tcase_create("reads");

    tcase_add_test(tc, limits_are_those_of_a_pod);
    tcase_add_test(tc, services_and_pods_lead_to_engaged_ports);
    tcase_add_loop_test(tc, agents_are_taken_away_by_kind, 0,
                        COUNT(uninstall_cases));
    tcase_add_loop_test(tc, what_is_to_be_uninstalled_is_read_strictly, 0,
                        COUNT(uninstall_bodies));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
