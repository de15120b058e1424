/* Unit tests of Services that lead to agents (service_switch.h) and of what
 * NetworkPolicies would drop (network_policy.h). Pure functions on JSON. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/network_policy.h"
#include "manager/service_switch.h"
#include "quoted.h"
#include "suite.h"

/* ---- Services -------------------------------------------------------------
 */

#define READY                                                                  \
    "'status':{'phase':'Running','podIP':'10.0.0.1','conditions':[{'type':"    \
    "'Ready','status':'True'}]}"
#define PLAIN                                                                  \
    "{'metadata':{'name':'plain'},'spec':{'containers':[{'name':'app',"        \
    "'ports':[{'containerPort':8080,'name':'tp-8080'}]}]}," READY "}"
#define NOT_READY                                                              \
    "{'metadata':{'name':'old'},'spec':{'containers':[{'name':'app'}]},"       \
    "'status':{'phase':'Running','podIP':'10.0.0.3'}}"
#define AGENT                                                                  \
    "{'metadata':{'name':'new'},'spec':{'containers':[{'name':'tp-agent',"     \
    "'ports':[{'containerPort':9900,'name':'tp-8080','protocol':'TCP'}]},{"    \
    "'name':'app'}]}," READY "}"
#define REDIRECTED                                                             \
    "{'metadata':{'name':'red'},'spec':{'containers':[{'name':'tp-agent',"     \
    "'env':[{'name':'TP_AGENT_CONFIG','value':'{\\\"ports\\\":[{\\\"port\\\":" \
    "8080,\\\"mode\\\":\\\"redirect\\\"}]}'}]}]}," READY "}"

#define META "'name':'web','namespace':'a','resourceVersion':'7'"
#define NUMERIC                                                                \
    "'metadata':{" META "},'spec':{'selector':{'app':'web'},'ports':["         \
    "{'name':'http','port':80,'targetPort':8080,'nodePort':30080},"            \
    "{'name':'x','port':81,'targetPort':8081}]}"
#define SWITCHED(now)                                                          \
    "'metadata':{" META ",'labels':{'tp.internal/switched':'true'},"           \
    "'annotations':{'tp.internal/switched-ports':'[{\\\"port\\\":80,"          \
    "\\\"protocol\\\":\\\"TCP\\\",\\\"from\\\":8080,\\\"to\\\":\\\"tp-8080"    \
    "\\\"}]'}},'spec':{'selector':{'app':'web'},'ports':[{'name':'http',"      \
    "'port':80,'targetPort':" now ",'nodePort':30080}]}"

/* What is to happen. */
enum { KEEP, SWITCH, BACK, FORGET };

static const struct switch_case {
    const char *what, *service, *pods;
    bool wanted, may_switch, may_end;
    int act;
    bool all;
    const char *reason;
} switch_cases[] = {
    {"all pods have the agent", NUMERIC, AGENT, true, true, true, SWITCH, true,
     ""},
    {"one ready pod has none", NUMERIC, AGENT "," PLAIN, true, true, true, KEEP,
     false, "pod plain behind it has no agent yet"},
    {"the one without is not ready", NUMERIC, AGENT "," NOT_READY, true, true,
     true, SWITCH, true, ""},
    {"not ready counts where it is published",
     "'metadata':{" META "},'spec':{'publishNotReadyAddresses':true,"
     "'selector':{'app':'web'},'ports':[{'port':80,'targetPort':8080}]}",
     AGENT "," NOT_READY, true, true, true, KEEP, false, "pod old"},
    {"no pods", NUMERIC, "", true, true, true, KEEP, true, ""},
    {"redirected by itself", NUMERIC, REDIRECTED, true, true, true, KEEP, true,
     ""},
    {"some redirect, some have a name", NUMERIC, REDIRECTED "," AGENT, true,
     true, true, KEEP, false, "pod red"},
    {"only looked at", NUMERIC, AGENT, true, false, false, KEEP, false,
     "about to become tp-8080"},
    {"nobody wants it", NUMERIC, AGENT, false, true, true, KEEP, true, ""},
    {"headless",
     "'metadata':{" META "},'spec':{'clusterIP':'None','selector':{'app':"
     "'web'},'ports':[{'port':8080,'targetPort':8080}]}",
     AGENT, true, true, true, KEEP, true, ""},
    {"by name", /* agents take it by that name */
     "'metadata':{" META "},'spec':{'selector':{'app':'web'},'ports':[{"
     "'port':80,'targetPort':'http'}]}",
     AGENT, true, true, true, KEEP, true, ""},
    {"another workload's",
     "'metadata':{" META "},'spec':{'selector':{'app':"
     "'other'},'ports':[{'port':80,'targetPort':8080}]}",
     AGENT, true, true, true, KEEP, true, ""},
    {"stays switched", SWITCHED("'tp-8080'"), AGENT, true, true, true, KEEP,
     true, ""},
    {"stays while scaled to 0", SWITCHED("'tp-8080'"), "", true, true, true,
     KEEP, true, ""},
    {"a pod without agent", SWITCHED("'tp-8080'"), AGENT "," PLAIN, true, true,
     true, BACK, false, "pod plain has no agent"},
    {"also by who may not end", SWITCHED("'tp-8080'"), AGENT "," PLAIN, true,
     false, false, BACK, false, "pod plain has no agent"},
    {"nobody wants it any more", SWITCHED("'tp-8080'"), AGENT, false, true,
     true, BACK, true, ""},
    {"nobody that this replica knows", SWITCHED("'tp-8080'"), AGENT, false,
     true, false, KEEP, true, ""},
    {"somebody has put it back", SWITCHED("8080"), AGENT, true, true, true,
     KEEP, false, "somebody else has changed"},
    {"somebody leads it elsewhere", SWITCHED("9090"), AGENT, true, true, true,
     KEEP, false, "somebody else has changed"},
    {"elsewhere it stays at the end", SWITCHED("9090"), AGENT, false, true,
     true, FORGET, true, ""},
};

static struct switch_verdict judge(const struct switch_case *c,
                                   struct json_object **service)
{
    struct json_object *labels = quoted_parse("{'app':'web','more':'x'}");
    struct switch_want want = {"a", labels, 8080, false};
    struct switch_rules rules = {
        .may_switch = c->may_switch,
        .may_end = c->may_end,
    };
    struct json_object *pods;
    struct switch_verdict v;
    char text[4096];

    snprintf(text, sizeof(text), "{%s}", c->service);
    *service = quoted_parse(text);
    snprintf(text, sizeof(text), "{'items':[%s]}", c->pods);
    pods = quoted_parse(text);
    switch_judge(&v, *service, pods, &want, c->wanted, &rules);
    json_object_put(pods);
    json_object_put(labels);
    return v;
}

static void check_patch(const struct switch_case *c, struct json_object *patch,
                        struct json_object *service)
{
    struct json_object *ports = json_get_array(patch, "spec.ports");
    struct json_object *port = json_object_array_get_idx(ports, 0);
    struct json_object *labels = json_get(patch, "metadata.labels");
    const char *target = json_object_get_string(json_get(port, "targetPort"));

    ck_assert_str_eq(json_get_str(patch, "metadata.resourceVersion", ""), "7");
    ck_assert_uint_eq(json_array_len(ports),
                      json_array_len(json_get_array(service, "spec.ports")));
    ck_assert_int_eq(json_get_int(port, "nodePort", 0), 30080);
    ck_assert(json_object_object_get_ex(labels, SWITCH_LABEL, NULL));
    ck_assert_msg((json_member(labels, SWITCH_LABEL) != NULL) ==
                      (c->act == SWITCH),
                  "%s", c->what);
    ck_assert_str_eq(target, c->act == SWITCH ? "tp-8080"
                             : c->act == BACK ? "8080"
                                              : "9090");
}

START_TEST(services_are_switched_and_put_back)
{
    const struct switch_case *c = &switch_cases[_i];
    struct json_object *service;
    struct switch_verdict v = judge(c, &service);

    ck_assert_msg((v.patch != NULL) == (c->act != KEEP), "%s", c->what);
    ck_assert_msg(v.switches == (c->act == SWITCH), "%s", c->what);
    ck_assert_msg(v.all == c->all, "%s: %s", c->what, v.reason);
    ck_assert_msg(*c->reason ? strstr(v.reason, c->reason) != NULL : !*v.reason,
                  "%s: %s", c->what, v.reason);
    if (v.patch)
        check_patch(c, v.patch, service);
    json_object_put(v.patch);
    json_object_put(service);
}
END_TEST

/* Put back, it is what it was: nothing else of the spec has been touched. */
START_TEST(a_switch_and_back_change_nothing)
{
    struct switch_case c = switch_cases[0];
    struct json_object *before, *after;
    struct switch_verdict there = judge(&c, &before), back;
    const char *note = json_member_str(
        json_get(there.patch, "metadata.annotations"), SWITCH_ANNOTATION, NULL);
    struct json_object *quoted = json_object_new_string(note);
    char text[4096];

    ck_assert_ptr_nonnull(note);
    ck_assert_str_eq(json_object_get_string(json_get(
                         json_object_array_get_idx(
                             json_get_array(there.patch, "spec.ports"), 0),
                         "targetPort")),
                     "tp-8080");
    snprintf(text, sizeof(text),
             "'metadata':{" META ",'labels':{'tp.internal/switched':'true'},"
             "'annotations':{'tp.internal/switched-ports':%s}},'spec':{"
             "'selector':{'app':'web'},'ports':%s}",
             json_object_to_json_string(quoted),
             json_to_text(json_get(there.patch, "spec.ports")));
    c.service = text;
    c.wanted = false;
    back = judge(&c, &after);
    ck_assert(json_object_equal(json_get(back.patch, "spec.ports"),
                                json_get(before, "spec.ports")));
    json_object_put(quoted);
    json_object_put(there.patch);
    json_object_put(back.patch);
    json_object_put(before);
    json_object_put(after);
}
END_TEST

/* The annotation is in other people's hands. */
START_TEST(nonsense_in_the_annotation_does_no_harm)
{
    static const char *const texts[] = {
        "",
        "{",
        "{}",
        "[1]",
        "[{}]",
        "[{\\\"port\\\":80}]",
        "[[[[]]]]",
        "[{\\\"port\\\":80,\\\"from\\\":0,\\\"to\\\":\\\"x\\\"}]",
        "[{\\\"port\\\":80,\\\"from\\\":99999,\\\"to\\\":\\\"tp-8080\\\"}]",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct switch_case c = switch_cases[0];
        struct json_object *service;
        struct switch_verdict v;
        char text[2048];

        snprintf(text, sizeof(text),
                 "'metadata':{" META ",'annotations':{'tp.internal/"
                 "switched-ports':'%s'}},'spec':{'selector':{'app':'web'},"
                 "'ports':[{'port':80,'targetPort':8080,'nodePort':30080}]}",
                 texts[i]);
        c.service = text;
        v = judge(&c, &service);
        ck_assert_msg(v.switches, "%s", texts[i]);
        json_object_put(v.patch);
        json_object_put(service);
    }
}
END_TEST

START_TEST(names_of_ports_are_kubernetes)
{
    char name[SWITCH_NAME_MAX];

    switch_port_name(65535, true, name);
    ck_assert_str_eq(name, "tp-65535-udp");
    switch_port_name(80, false, name);
    ck_assert_str_eq(name, "tp-80");
}
END_TEST

/* ---- NetworkPolicies ------------------------------------------------------
 */

#define POLICY(spec)                                                           \
    "{'metadata':{'name':'np'},'spec':{'podSelector':{'matchLabels':{'app':"   \
    "'web'}}," spec "}}"
#define IN(rules)  POLICY("'policyTypes':['Ingress'],'ingress':[" rules "]")
#define OUT(rules) POLICY("'policyTypes':['Egress'],'egress':[" rules "]")

static const struct {
    const char *what, *policies;
    bool drops;
} agent_cases[] = {
    {"none", "", false},
    {"by number", IN("{'ports':[{'port':8080}]}"), true},
    {"without policyTypes", POLICY("'ingress':[{'ports':[{'port':8080}]}]"),
     true},
    {"by the name, which is the agent's, too",
     IN("{'ports':[{'port':'http'}]}"), false},
    {"by another name", IN("{'ports':[{'port':'other'}]}"), false},
    {"all ports", IN("{'from':[{'podSelector':{}}]}"), false},
    {"a range with both", IN("{'ports':[{'port':8000,'endPort':9999}]}"),
     false},
    {"a range with the app's only",
     IN("{'ports':[{'port':8000,'endPort':9000}]}"), true},
    {"both, each by its number",
     IN("{'ports':[{'port':8080},{'port':9900,'endPort':9999}]}"), false},
    {"another port", IN("{'ports':[{'port':9090}]}"), false},
    {"the same number of UDP", IN("{'ports':[{'port':8080,'protocol':'UDP'}]}"),
     false},
    {"nothing comes in: there is nothing to lose", IN(""), false},
    {"one rule of two",
     IN("{'ports':[{'port':'http'}]},{'from':[{'ipBlock':{"
        "'cidr':'10.0.0.0/8'}}],'ports':[{'port':8080}]}"),
     true},
    {"other pods",
     "{'metadata':{'name':'np'},'spec':{'podSelector':{'matchLabels':{'app':"
     "'db'}},'policyTypes':['Ingress'],'ingress':[{'ports':[{'port':8080}]}]}}",
     false},
    {"all pods",
     "{'metadata':{'name':'np'},'spec':{'podSelector':{},'policyTypes':["
     "'Ingress'],'ingress':[{'ports':[{'port':8080}]}]}}",
     true},
    {"egress only", OUT("{'ports':[{'port':8080}]}"), false},
};

static struct json_object *policies_of(const char *text)
{
    char all[2048];

    snprintf(all, sizeof(all), "{'items':[%s]}", text);
    return quoted_parse(all);
}

START_TEST(what_would_be_dropped_at_the_agent)
{
    const struct policy_port app = {8080, 8080, "http", false};
    const struct policy_port agent = {9900, 9999, "http", false};
    struct json_object *policies = policies_of(agent_cases[_i].policies);
    struct json_object *labels = quoted_parse("{'app':'web'}");
    const char *name = policy_drops_agent(policies, labels, &app, &agent);

    ck_assert_msg((name != NULL) == agent_cases[_i].drops, "%s",
                  agent_cases[_i].what);
    ck_assert(!name || !strcmp(name, "np"));
    json_object_put(policies);
    json_object_put(labels);
}
END_TEST

#define TP_NS                                                                  \
    "'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':"       \
    "'tp-system'}}"

static const struct {
    const char *what, *policies;
    bool drops;
} egress_cases[] = {
    {"none", "", false},
    {"nothing goes out", OUT(""), true},
    {"all goes out", OUT("{}"), false},
    {"egress is limited without policyTypes", POLICY("'egress':[]"), true},
    {"DNS only", OUT("{'ports':[{'port':53,'protocol':'UDP'}]}"), true},
    {"the port, to all", OUT("{'ports':[{'port':8444}]}"), false},
    {"the port by its name", OUT("{'ports':[{'port':'agents'}]}"), false},
    {"a protocol alone", OUT("{'ports':[{'protocol':'TCP'}]}"), false},
    {"another protocol", OUT("{'ports':[{'protocol':'UDP'}]}"), true},
    {"the namespace", OUT("{'to':[{" TP_NS "}]}"), false},
    {"the namespace, another port",
     OUT("{'to':[{" TP_NS "}],'ports':[{'port':443}]}"), true},
    {"the namespace, these pods",
     OUT("{'to':[{" TP_NS ",'podSelector':{'matchLabels':{'app':'m'}}}]}"),
     false},
    {"the namespace, other pods",
     OUT("{'to':[{" TP_NS ",'podSelector':{'matchLabels':{'app':'x'}}}]}"),
     true},
    {"pods of the own namespace", OUT("{'to':[{'podSelector':{}}]}"), true},
    {"all namespaces", OUT("{'to':[{'namespaceSelector':{}}]}"), false},
    {"a block", OUT("{'to':[{'ipBlock':{'cidr':'10.42.0.0/16'}}]}"), false},
    {"a block but for it",
     OUT("{'to':[{'ipBlock':{'cidr':'10.42.0.0/16',"
         "'except':['10.42.1.0/24']}}]}"),
     true},
    {"another block", OUT("{'to':[{'ipBlock':{'cidr':'fd00::/8'}}]}"), true},
    {"one policy of two is enough", OUT("") "," OUT("{}"), false},
    {"ingress only", IN(""), false},
};

START_TEST(whether_agents_reach_the_managers)
{
    struct json_object *ns =
        quoted_parse("{'kubernetes.io/metadata.name':'tp-system'}");
    struct json_object *manager = quoted_parse("{'app':'m'}");
    const struct policy_peer to = {"tp-system", ns, manager, "10.42.1.9"};
    const struct policy_port port = {8444, 8444, "agents", false};
    struct json_object *policies = policies_of(egress_cases[_i].policies);
    struct json_object *labels = quoted_parse("{'app':'web'}");
    const char *name = policy_drops_egress(policies, "a", labels, &to, &port);

    ck_assert_msg((name != NULL) == egress_cases[_i].drops, "%s",
                  egress_cases[_i].what);
    json_object_put(policies);
    json_object_put(labels);
    json_object_put(manager);
    json_object_put(ns);
}
END_TEST

START_TEST(whether_the_managers_let_agents_in)
{
    struct json_object *ns = quoted_parse("{'team':'a'}");
    struct json_object *labels = quoted_parse("{'app':'web'}");
    const struct policy_peer from = {"a", ns, labels, NULL};
    const struct policy_port port = {8444, 8444, "agents", false};
    struct json_object *closed = policies_of(IN(""));
    struct json_object *by_team = policies_of(
        IN("{'from':[{'namespaceSelector':{'matchExpressions':[{'key':'team',"
           "'operator':'In','values':['a','b']}]}}]}"));
    struct json_object *by_block =
        policies_of(IN("{'from':[{'ipBlock':{'cidr':'0.0.0.0/0'}}]}"));

    ck_assert_ptr_nonnull(
        policy_drops_ingress(closed, "tp-system", labels, &from, &port));
    ck_assert_ptr_null(
        policy_drops_ingress(by_team, "tp-system", labels, &from, &port));
    /* Where it comes from is not known: no block lets it in. */
    ck_assert_ptr_nonnull(
        policy_drops_ingress(by_block, "tp-system", labels, &from, &port));
    json_object_put(closed);
    json_object_put(by_team);
    json_object_put(by_block);
    json_object_put(labels);
    json_object_put(ns);
}
END_TEST

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

int main(void)
{
    Suite *suite = suite_create("manager services");
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, services_are_switched_and_put_back, 0,
                        COUNT(switch_cases));
    tcase_add_test(tc, a_switch_and_back_change_nothing);
    tcase_add_test(tc, nonsense_in_the_annotation_does_no_harm);
    tcase_add_test(tc, names_of_ports_are_kubernetes);
    tcase_add_loop_test(tc, what_would_be_dropped_at_the_agent, 0,
                        COUNT(agent_cases));
    tcase_add_loop_test(tc, whether_agents_reach_the_managers, 0,
                        COUNT(egress_cases));
    tcase_add_test(tc, whether_the_managers_let_agents_in);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
