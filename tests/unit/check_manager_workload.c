/* Unit tests of what tp-manager decides about workloads: names, ports, CONFIG,
 * rollouts. All of it is pure; the API server is tested on a cluster. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/rollout.h"
#include "manager/workload.h"
#include "manager/workload_config.h"
#include "manager/workload_ports.h"
#include "agent_pods.h"
#include "quoted.h"
#include "suite.h"

/* ---- names ----------------------------------------------------------------
 */

START_TEST(names_are_read_with_all_aliases)
{
    static const struct {
        const char *text, *kind, *name;
    } cases[] = {
        {"web", NULL, "web"},
        {"deploy/web", "Deployment", "web"},
        {"deployment/web", "Deployment", "web"},
        {"deployments/web", "Deployment", "web"},
        {"sts/db", "StatefulSet", "db"},
        {"statefulset/db-1.x", "StatefulSet", "db-1.x"},
        {"ds/a", "DaemonSet", "a"},
        {"daemonset/a", "DaemonSet", "a"},
        {"rs/a", "ReplicaSet", "a"},
        {"po/a", "Pod", "a"},
        {"pod/a", "Pod", "a"},
        {"job/a", "Job", "a"},
        {"cronjob/a", "!", NULL},
        {"Deployment/web", "!", NULL},
        {"deploy/", "!", NULL},
        {"", "!", NULL},
        {"a/b/c", "!", NULL},
        {"deploy/a/b", "!", NULL},
        {"../x", "!", NULL},
        {"deploy/..", "!", NULL},
        {"Web", "!", NULL},
        {"a b", "!", NULL},
        {"a?x=y", "!", NULL},
        {"-a", "!", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct workload_kind *kind = NULL;
        char name[WORKLOAD_NAME_MAX + 1] = "";
        struct tp_error err = {0};
        int rc = workload_parse(cases[i].text, &kind, name, &err);

        if (!cases[i].name) {
            ck_assert_msg(rc == -EINVAL && *err.text, "%s", cases[i].text);
            continue;
        }
        ck_assert_msg(rc == 0, "%s: %s", cases[i].text, err.text);
        ck_assert_str_eq(name, cases[i].name);
        ck_assert_str_eq(kind ? kind->kind : "none",
                         cases[i].kind ? cases[i].kind : "none");
    }
}
END_TEST

START_TEST(paths_are_those_of_the_api)
{
    char path[WORKLOAD_PATH_MAX];

    workload_path(workload_kind_find("StatefulSet"), "ns", "db", path);
    ck_assert_str_eq(path, "/apis/apps/v1/namespaces/ns/statefulsets/db");
    workload_path(workload_kind_find("Pod"), "ns", "", path);
    ck_assert_str_eq(path, "/api/v1/namespaces/ns/pods");
}
END_TEST

/* ---- selectors ------------------------------------------------------------
 */

START_TEST(selectors_match_as_in_kubernetes)
{
    struct json_object *labels = quoted_parse("{'app':'web','tier':'front'}");
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{'matchLabels':{'app':'web'}}", true},
        {"{'matchLabels':{'app':'web','x':'y'}}", false},
        {"{'matchExpressions':[{'key':'tier','operator':'In',"
         "'values':['a','front']}]}",
         true},
        {"{'matchExpressions':[{'key':'tier','operator':'NotIn',"
         "'values':['front']}]}",
         false},
        {"{'matchExpressions':[{'key':'no','operator':'NotIn',"
         "'values':['front']}]}",
         true},
        {"{'matchExpressions':[{'key':'no','operator':'Exists'}]}", false},
        {"{'matchExpressions':[{'key':'no','operator':'DoesNotExist'}]}", true},
        {"{'matchExpressions':[{'key':'app','operator':'Odd'}]}", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct json_object *selector = quoted_parse(cases[i].selector);

        ck_assert_msg(label_selector_matches(selector, labels) ==
                          cases[i].matches,
                      "%s", cases[i].selector);
        json_object_put(selector);
    }
    json_object_put(labels);
}
END_TEST

START_TEST(pods_are_asked_for_by_the_selector)
{
    struct json_object *w = quoted_parse(
        "{'spec':{'selector':{'matchLabels':{'a/b':'c'},'matchExpressions':["
        "{'key':'t','operator':'In','values':['x','y']},"
        "{'key':'u','operator':'Exists'},"
        "{'key':'v','operator':'DoesNotExist'}]},'template':{'spec':{}}}}");
    struct json_object *pod =
        quoted_parse("{'metadata':{'name':'p'},'spec':{'containers':[]}}");
    struct json_object *none = quoted_parse("{'spec':{'template':{}}}");
    char *path = workload_pods_path("ns", w);

    ck_assert_str_eq(path, "/api/v1/namespaces/ns/pods?limit=500&labelSelector="
                           "a%2Fb%3Dc%2Ct%20in%20%28x%2Cy%29%2Cu%2C%21v");
    free(path);
    path = workload_pods_path("ns", pod);
    ck_assert_str_eq(path, "/api/v1/namespaces/ns/pods?limit=500&fieldSelector="
                           "metadata.name%3Dp");
    free(path);
    ck_assert_ptr_null(workload_pods_path("ns", none));
    json_object_put(w);
    json_object_put(pod);
    json_object_put(none);
}
END_TEST

/* ---- ports ----------------------------------------------------------------
 */

#define APP(ports) "{'name':'app','ports':[" ports "]}"
#define HTTP       "{'name':'http','containerPort':8080}"
#define SVC(name, spec)                                                        \
    "{'metadata':{'name':'" name "'},'spec':{'selector':{'app':'web'}," spec   \
    "}}"

struct ports_case {
    const char *what;
    const char *containers, *services, *policies;
    const char *spec; /* members of ENGAGE */
    const char
        *want; /* container: port/proto mode name servicePort; or ! text */
};

static const struct ports_case ports_cases[] = {
    {"the only port, by name", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "", "",
     "app: 8080/tcp named http 80; "},
    {"an unnamed service port by number", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'ports':[{'remote':'80'}]", "app: 8080/tcp named http 80; "},
    {"numeric targetPort", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':8080}]"), "", "",
     "app: 8080/tcp redirect http 80; "},
    {"no targetPort is the port itself", APP("{'containerPort':80}"),
     SVC("web", "'ports':[{'port':80}]"), "", "", "app: 80/tcp redirect  80; "},
    {"two Services with the same targetPort, both by name", APP(HTTP),
     SVC("a", "'ports':[{'port':80,'targetPort':'http'}]") "," SVC(
         "b", "'ports':[{'port':81,'targetPort':'http'}]"),
     "", "", "app: 8080/tcp named http 80; "},
    {"one of two Services by number: redirect", APP(HTTP),
     SVC("a", "'ports':[{'port':80,'targetPort':'http'}]") "," SVC(
         "b", "'ports':[{'port':81,'targetPort':8080}]"),
     "", "'ports':[{'remote':'80'}]", "app: 8080/tcp redirect http 80; "},
    {"headless: straight to the pod", APP(HTTP),
     SVC("web", "'clusterIP':'None','ports':[{'port':80,'targetPort':'http'}]"),
     "", "", "app: 8080/tcp redirect http 80; "},
    {"no Service, one declared port", APP(HTTP), "", "", "",
     "app: 8080/tcp redirect http 0; "},
    {"no Service, by the container port's name", APP(HTTP), "", "",
     "'ports':[{'remote':'http'}]", "app: 8080/tcp redirect http 0; "},
    {"a number that nobody declares", APP(""), "", "",
     "'ports':[{'remote':'9090'}]", "app: 9090/tcp redirect  0; "},
    {"nothing is known", APP(""), "", "", "", "!no port is declared"},
    {"a Service's number stands before the container's",
     APP(HTTP ",{'containerPort':9090}"),
     SVC("web", "'ports':[{'port':8080,'targetPort':9090}]"), "",
     "'ports':[{'remote':'8080'}]", "app: 9090/tcp redirect  8080; "},
    {"several ports of one Service are listed",
     APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':'grpc'}]"),
     "", "", "!h 80 of service web (container app), g 90 of service web"},
    {"one of several by name",
     APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':'grpc'}]"),
     "", "'ports':[{'remote':'g'}]", "app: 9090/tcp named grpc 90; "},
    {"two at once", APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':9090}]"),
     "", "'ports':[{'remote':'g'},{'remote':'80'}]",
     "app: 9090/tcp redirect grpc 90; 8080/tcp named http 80; "},
    {"TCP and UDP on one number",
     APP("{'name':'dns','containerPort':53,'protocol':'UDP'},"
         "{'name':'dns-tcp','containerPort':53}"),
     SVC("dns", "'ports':[{'name':'u','port':53,'protocol':'UDP',"
                "'targetPort':'dns'},{'name':'t','port':53,'targetPort':53}]"),
     "", "'ports':[{'remote':'53','protocol':'udp'}]",
     "app: 53/udp named dns 53; "},
    {"TCP on that number",
     APP("{'name':'dns','containerPort':53,"
         "'protocol':'UDP'},{'containerPort':53}"),
     SVC("dns", "'ports':[{'name':'u','port':53,'protocol':'UDP',"
                "'targetPort':'dns'},{'name':'t','port':53,'targetPort':53}]"),
     "", "'ports':[{'remote':'53'}]", "app: 53/tcp redirect t 53; "},
    {"ambiguous between Services", APP(HTTP ",{'containerPort':9090}"),
     SVC("a", "'ports':[{'port':80,'targetPort':'http'}]") "," SVC(
         "b", "'ports':[{'port':80,'targetPort':9090}]"),
     "", "'ports':[{'remote':'80'}]", "!--service or --container"},
    {"--service says which", APP(HTTP ",{'containerPort':9090}"),
     SVC("a", "'ports':[{'port':80,'targetPort':'http'}]") "," SVC(
         "b", "'ports':[{'port':80,'targetPort':9090}]"),
     "", "'service':'b','ports':[{'remote':'80'}]",
     "app: 9090/tcp redirect  80; "},
    {"--service that is no way there", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'service':'other'", "!service other does not lead"},
    {"two containers: the Service says which",
     APP(HTTP) ",{'name':'side','ports':[{'name':'m','containerPort':9}]}",
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "", "",
     "app: 8080/tcp named http 80; "},
    {"two containers, undeclared port: --container",
     APP(HTTP) ",{'name':'side'}", "", "", "'ports':[{'remote':'99'}]",
     "!--container: app, side"},
    {"--container for an undeclared port", APP(HTTP) ",{'name':'side'}", "", "",
     "'container':'side','ports':[{'remote':'99'}]",
     "side: 99/tcp redirect  0; "},
    {"ports of two containers",
     APP(HTTP) ",{'name':'side','ports':[{'name':'m','containerPort':9}]}", "",
     "", "'ports':[{'remote':'http'},{'remote':'m'}]", "!two containers"},
    {"no such container", APP(HTTP), "", "", "'container':'nope'",
     "!no container nope"},
    {"the agent is no container of the app",
     "{'name':'tp-agent','ports':[{'name':'http','containerPort':9900}]}," APP(
         HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "", "",
     "app: 8080/tcp named http 80; "},
    {"an unknown name lists what there is", APP(HTTP), "", "",
     "'ports':[{'remote':'x'}]", "!no port x; there is: http 8080"},
    {"the same port twice", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'ports':[{'remote':'80'},{'remote':'8080'}]", "!is there twice"},
    {"a Service of others", APP(HTTP),
     "{'metadata':{'name':'x'},'spec':{'selector':{'app':'y'},'ports':["
     "{'port':80,'targetPort':'http'}]}},{'metadata':{'name':'z'},'spec':{"
     "'ports':[{'port':81}]}}",
     "", "", "app: 8080/tcp redirect http 0; "},
    {"SCTP is none of ours",
     APP("{'name':'s','containerPort':5,'protocol':'SCTP'}," HTTP), "", "", "",
     "app: 8080/tcp redirect http 0; "},
    {"a policy by port: redirect keeps the number", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"),
     "{'metadata':{'name':'np'},'spec':{'podSelector':{},'policyTypes':["
     "'Ingress'],'ingress':[{'ports':[{'port':8080}]}]}}",
     "", "app: 8080/tcp redirect http 80; "},
    {"a policy for other pods", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"),
     "{'metadata':{'name':'np'},'spec':{'podSelector':{'matchLabels':{"
     "'app':'y'}},'policyTypes':['Ingress'],'ingress':[{'ports':[{'port':1}]}]"
     "}}",
     "", "app: 8080/tcp named http 80; "},
    {"switched: by number", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':8080}]"), "", "",
     "app: 8080/tcp service http 80; "},
    {"switched: what goes by name stays named", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "", "",
     "app: 8080/tcp named http 80; "},
    {"switched: one by number, one by name", APP(HTTP),
     SVC("a", "'ports':[{'port':80,'targetPort':8080}]") "," SVC(
         "b", "'ports':[{'port':81,'targetPort':'http'}]"),
     "", "'ports':[{'remote':'80'}]", "app: 8080/tcp service http 80; "},
    {"switched: it is so already", APP(HTTP),
     "{'metadata':{'name':'web','annotations':{'tp.internal/switched-ports':'"
     "[{\\\"port\\\":80,\\\"from\\\":8080,\\\"to\\\":\\\"tp-8080\\\"}]'}},"
     "'spec':{'selector':{'app':'web'},'ports':[{'port':80,'targetPort':"
     "'tp-8080'}]}}",
     "", "'ports':[{'remote':'80'}]", "app: 8080/tcp service http 80; "},
    {"switched: headless", APP(HTTP),
     SVC("web", "'clusterIP':'None','ports':[{'port':8080}]"), "", "",
     "!Service web is headless"},
    {"switched: headless beside one that is not", APP(HTTP),
     SVC("a", "'ports':[{'port':80,'targetPort':8080}]") "," SVC(
         "b", "'clusterIP':'None','ports':[{'port':8080}]"),
     "", "'ports':[{'remote':'80'}]", "!Service b is headless"},
    {"switched: without a Service", APP(HTTP), "", "", "",
     "!no Service leads to port 8080"},
    {"switched: a policy by port", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':8080}]"),
     "{'metadata':{'name':'np'},'spec':{'podSelector':{},'policyTypes':["
     "'Ingress'],'ingress':[{'ports':[{'port':8080}]}]}}",
     "", "!NetworkPolicy np lets port 8080 in by its number"},
    {"switched: a policy that lets agents in, too", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':8080}]"),
     "{'metadata':{'name':'np'},'spec':{'podSelector':{},'policyTypes':["
     "'Ingress'],'ingress':[{'ports':[{'port':8080},{'port':9900,'endPort':"
     "9999}]}]}}",
     "", "app: 8080/tcp service http 80; "},
    {"replace takes all of the container",
     APP(HTTP ",{'name':'m','containerPort':9}"),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'type':'replace'", "app: 8080/tcp direct http 80; 9/tcp direct m 0; "},
    {"replace of a queue's consumer", APP(""), "", "", "'type':'replace'",
     "app: "},
    {"ingest wants a container only", APP(HTTP), "", "", "'type':'ingest'",
     "app: "},
    {"ingest of the one that is served", APP(HTTP) ",{'name':'side'}",
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'type':'ingest'", "app: "},
    {"ingest of two", APP(HTTP) ",{'name':'side'}", "", "", "'type':'ingest'",
     "!--container: app, side"},
    {"mirror as intercept", APP(HTTP), "", "", "'type':'mirror'",
     "app: 8080/tcp redirect http 0; "},
    {"a local port alone is the only port", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'http'}]"), "",
     "'ports':[{'remote':'','local':9999}]", "app: 8080/tcp named http 80; "},
    {"else the one of that number",
     APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':'grpc'}]"),
     "", "'ports':[{'remote':'','local':90}]", "app: 9090/tcp named grpc 90; "},
    {"also the container's number",
     APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':'grpc'}]"),
     "", "'ports':[{'remote':'','local':8080}]",
     "app: 8080/tcp named http 80; "},
    {"else they are listed", APP(HTTP ",{'name':'grpc','containerPort':9090}"),
     SVC("web", "'ports':[{'name':'h','port':80,'targetPort':'http'},"
                "{'name':'g','port':90,'targetPort':'grpc'}]"),
     "", "'ports':[{'remote':'','local':5}]",
     "!say which port with --port LOCAL:REMOTE: h 80 of service web"},
    {"the only one of its protocol",
     APP("{'name':'dns','containerPort':53,'protocol':'UDP'}," HTTP), "", "",
     "'ports':[{'remote':'','local':5,'protocol':'udp'}]",
     "app: 53/udp redirect dns 0; "},
    {"a local port alone, and nothing is known", APP(""), "", "",
     "'ports':[{'remote':'','local':5}]", "!no port is declared"},
    {"two of them cannot be the same port", APP(HTTP), "", "",
     "'ports':[{'remote':'','local':5},{'remote':'','local':6}]",
     "!is there twice"},
    {"a targetPort that nobody has", APP(HTTP),
     SVC("web", "'ports':[{'port':80,'targetPort':'nope'}]"), "", "",
     "app: 8080/tcp redirect http 0; "},
};

static void make_spec(struct engage_spec *spec, const char *members)
{
    char text[1024];
    struct tp_error err = {0};
    struct json_object *obj;

    snprintf(text, sizeof(text),
             "{'id':'abcdefghijklmnopqrstuvwxyz','namespace':'ns',"
             "'workload':'web'%s%s%s}",
             strstr(members, "'type'") ? "" : ",'type':'intercept'",
             *members ? "," : "", members);
    obj = quoted_parse(text);
    ck_assert_msg(engage_spec_parse(spec, json_to_text(obj),
                                    strlen(json_to_text(obj)), &err) == 0,
                  "%s: %s", text, err.text);
    json_object_put(obj);
}

static void describe(const struct resolved *r, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "%s: ", r->container);

    for (size_t i = 0; i < r->count; i++)
        len += (size_t)snprintf(
            out + len, size - len, "%u/%s %s %s %u; ",
            (unsigned)r->ports[i].port, r->ports[i].udp ? "udp" : "tcp",
            port_mode_name(r->ports[i].mode), r->ports[i].name,
            (unsigned)r->ports[i].service_port);
}

static void run_ports_case(const struct ports_case *c)
{
    char text[4096], got[512];
    struct engage_spec spec;
    struct resolved out;
    struct tp_error err = {0};
    struct json_object *world;
    struct ports_question q = {.spec = &spec};

    make_spec(&spec, c->spec);
    snprintf(text, sizeof(text),
             "{'template':{'metadata':{'labels':{'app':'web'}},'spec':{"
             "'containers':[%s]}},'services':{'items':[%s]},"
             "'policies':{'items':[%s]}}",
             c->containers, c->services, c->policies);
    world = quoted_parse(text);
    q.pod_template = json_get(world, "template");
    q.services = json_get(world, "services");
    q.policies = json_get(world, "policies");
    q.switch_services = !strncmp(c->what, "switched:", 9);
    if (ports_resolve(&q, &out, &err) < 0) {
        ck_assert_msg(*c->want == '!' && strstr(err.text, c->want + 1),
                      "%s: %s", c->what, err.text);
    } else {
        describe(&out, got, sizeof(got));
        ck_assert_msg(!strcmp(got, c->want), "%s: got %s, want %s", c->what,
                      got, c->want);
    }
    json_object_put(world);
}

START_TEST(ports_are_found)
{
    run_ports_case(&ports_cases[_i]);
}
END_TEST

/* ---- CONFIG ---------------------------------------------------------------
 */

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

static struct json_object *merge(struct json_object *config,
                                 const struct resolved *ports, bool replace)
{
    struct json_object *tmpl =
        quoted_parse("{'spec':{'containers':[{'name':'app','ports':["
                     "{'containerPort':9900}]}]}}");
    struct config_need need = {.ports = ports, .replace = replace};
    struct json_object *out = NULL;
    struct tp_error err = {0};

    ck_assert_msg(config_merge(&out, config, tmpl, &need, &err) == 0, "%s",
                  err.text);
    ck_assert(config_covers(out, &need));
    json_object_put(tmpl);
    json_object_put(config);
    return out;
}

START_TEST(config_is_made_from_nothing)
{
    struct resolved need;
    struct json_object *config;

    set_need(&need, 8080, PORT_NAMED, "http");
    config = merge(NULL, &need, false);
    /* 9900 is the app's own. */
    ck_assert_str_eq(
        json_to_text(config),
        "{\"version\":1,\"containers\":[\"app\"],\"ports\":[{\"container\":"
        "\"app\",\"port\":8080,\"protocol\":\"tcp\",\"name\":\"http\","
        "\"mode\":\"named\",\"listen\":9901}]}");
    json_object_put(config);
}
END_TEST

START_TEST(config_grows_and_never_drops)
{
    struct resolved a, b;
    struct config_need need_a = {.ports = &a}, need_b = {.ports = &b};
    struct json_object *config;

    set_need(&a, 8080, PORT_NAMED, "http");
    set_need(&b, 9090, PORT_REDIRECT, "");
    config = merge(merge(NULL, &a, false), &b, false);
    ck_assert(config_covers(config, &need_a));
    ck_assert(config_covers(config, &need_b));
    ck_assert_uint_eq(json_array_len(json_get_array(config, "ports")), 2);
    /* Redirection covers what comes by name; not the other way round. */
    set_need(&a, 8080, PORT_REDIRECT, "http");
    ck_assert(!config_covers(config, &need_a));
    config = merge(config, &a, false);
    set_need(&a, 8080, PORT_NAMED, "http");
    ck_assert(config_covers(config, &need_a));
    ck_assert_uint_eq(json_array_len(json_get_array(config, "ports")), 2);
    /* A second container's variables. */
    snprintf(a.container, sizeof(a.container), "side");
    a.count = 0;
    ck_assert(!config_covers(config, &need_a));
    config = merge(config, &a, false);
    ck_assert_uint_eq(json_array_len(json_get_array(config, "containers")), 2);
    json_object_put(config);
}
END_TEST

/* Who is reached by switched Services is reached by name, too; redirection
 * does both. */
START_TEST(config_of_switched_services)
{
    struct resolved need, named, redirect;
    struct config_need by_service = {.ports = &need};
    struct config_need by_name = {.ports = &named};
    struct config_need by_rules = {.ports = &redirect};
    struct json_object *config;

    set_need(&need, 8080, PORT_SERVICE, "http");
    set_need(&named, 8080, PORT_NAMED, "http");
    set_need(&redirect, 8080, PORT_REDIRECT, "http");
    config = merge(merge(NULL, &named, false), &need, false);
    ck_assert_uint_eq(json_array_len(json_get_array(config, "ports")), 1);
    ck_assert(config_covers(config, &by_service));
    ck_assert(config_covers(config, &by_name));
    ck_assert(!config_covers(config, &by_rules));
    config = merge(config, &redirect, false);
    ck_assert(config_covers(config, &by_service));
    ck_assert(config_covers(config, &by_name));
    json_object_put(config);
}
END_TEST

START_TEST(config_covers_udp_and_tcp_apart)
{
    struct resolved a;
    struct config_need need = {.ports = &a};
    struct json_object *config;

    set_need(&a, 53, PORT_REDIRECT, "");
    config = merge(NULL, &a, false);
    a.ports[0].udp = true;
    ck_assert(!config_covers(config, &need));
    config = merge(config, &a, false);
    ck_assert_uint_eq(json_array_len(json_get_array(config, "ports")), 2);
    json_object_put(config);
}
END_TEST

START_TEST(config_has_each_name_once)
{
    struct resolved a;
    struct json_object *config, *ports;

    set_need(&a, 53, PORT_NAMED, "dns");
    config = merge(NULL, &a, false);
    a.ports[0].udp = true; /* of another container */
    snprintf(a.container, sizeof(a.container), "side");
    config = merge(config, &a, false);
    ports = json_get_array(config, "ports");
    ck_assert_str_eq(
        json_get_str(json_object_array_get_idx(ports, 0), "mode", ""), "named");
    ck_assert_str_eq(
        json_get_str(json_object_array_get_idx(ports, 1), "mode", ""),
        "redirect");
    json_object_put(config);
}
END_TEST

START_TEST(config_replaces_and_restores)
{
    struct resolved a, b;
    struct config_need need = {.ports = &a, .replace = true};
    struct json_object *config,
        *tmpl = quoted_parse("{'spec':{'containers':[]}}");
    struct json_object *restored, *other = NULL;
    struct tp_error err = {0};

    set_need(&a, 8080, PORT_DIRECT, "http");
    set_need(&b, 9090, PORT_REDIRECT, "");
    config = merge(merge(NULL, &b, false), &a, true);
    ck_assert_str_eq(json_get_str(config, "replace", ""), "app");
    for (size_t i = 0; i < 2; i++) {
        struct json_object *port =
            json_object_array_get_idx(json_get_array(config, "ports"), i);

        ck_assert_str_eq(json_get_str(port, "mode", ""), "direct");
        ck_assert_int_eq(json_get_int(port, "listen", 0),
                         json_get_int(port, "port", 1));
    }
    snprintf(b.container, sizeof(b.container), "side");
    need.ports = &b;
    ck_assert_int_eq(config_merge(&other, config, tmpl, &need, &err), -EBUSY);
    ck_assert_ptr_null(other);
    restored = config_restore(config);
    ck_assert_str_eq(json_to_text(restored),
                     "{\"version\":1,\"containers\":[\"app\"],\"ports\":[]}");
    json_object_put(restored);
    json_object_put(config);
    json_object_put(tmpl);
}
END_TEST

START_TEST(config_of_a_pod_is_what_its_agent_was_told)
{
    struct json_object *pod = quoted_parse(
        "{'metadata':{'annotations':{'tp.internal/agent':'{}'}},'spec':{"
        "'containers':[{'name':'tp-agent','env':[{'name':'TP_AGENT_CONFIG',"
        "'value':'[1]'}]}]}}");
    struct json_object *env, *config;

    ck_assert_ptr_null(config_of_pod(pod)); /* no object */
    env = json_object_array_get_idx(
        json_get_array(json_object_array_get_idx(
                           json_get_array(pod, "spec.containers"), 0),
                       "env"),
        0);
    json_put_str(env, "value", "{\"version\":1}");
    config = config_of_pod(pod);
    ck_assert_int_eq(json_get_int(config, "version", 0), 1);
    json_object_put(config);
    json_object_put(pod);
    pod = quoted_parse("{'spec':{'containers':[]}}");
    ck_assert_ptr_null(config_of_pod(pod));
    json_object_put(pod);
}
END_TEST

/* ---- rollouts -------------------------------------------------------------
 */

static const struct {
    const char *kind, *workload;
    enum rollout_method method;
    bool interrupts;
} plan_cases[] = {
    {"Deployment", "{'spec':{}}", ROLLOUT_TEMPLATE, false},
    {"Deployment", "{'spec':{'strategy':{'type':'Recreate'}}}",
     ROLLOUT_TEMPLATE, true},
    {"Deployment", "{'spec':{'replicas':0,'strategy':{'type':'Recreate'}}}",
     ROLLOUT_TEMPLATE, false},
    {"Deployment",
     "{'spec':{'strategy':{'type':'RollingUpdate','rollingUpdate':{"
     "'maxSurge':0,'maxUnavailable':1}}}}",
     ROLLOUT_TEMPLATE, true},
    {"Deployment",
     "{'spec':{'replicas':2,'strategy':{'rollingUpdate':{'maxSurge':'25%'}}}}",
     ROLLOUT_TEMPLATE, false},
    {"StatefulSet", "{'spec':{'updateStrategy':{'type':'RollingUpdate'}}}",
     ROLLOUT_TEMPLATE, true},
    {"StatefulSet", "{'spec':{'updateStrategy':{'type':'OnDelete'}}}",
     ROLLOUT_EVICT, true},
    {"DaemonSet",
     "{'kind':'DaemonSet','spec':{},'status':{'desiredNumberScheduled':2}}",
     ROLLOUT_TEMPLATE, true},
    {"DaemonSet",
     "{'kind':'DaemonSet','spec':{'updateStrategy':{'rollingUpdate':{"
     "'maxSurge':1}}},'status':{'desiredNumberScheduled':2}}",
     ROLLOUT_TEMPLATE, false},
    {"DaemonSet",
     "{'kind':'DaemonSet','spec':{'updateStrategy':{'type':'OnDelete'}},"
     "'status':{'desiredNumberScheduled':1}}",
     ROLLOUT_EVICT, true},
    {"ReplicaSet", "{'spec':{}}", ROLLOUT_EVICT, true},
    {"Job", "{'spec':{}}", ROLLOUT_NEVER, false},
    {"Pod", "{'spec':{'containers':[]}}", ROLLOUT_NEVER, false},
};

START_TEST(the_way_depends_on_kind_and_strategy)
{
    struct json_object *w = quoted_parse(plan_cases[_i].workload);
    struct rollout_plan plan;

    rollout_plan(&plan, workload_kind_find(plan_cases[_i].kind), w);
    ck_assert_int_eq(plan.method, plan_cases[_i].method);
    ck_assert(plan.interrupts == plan_cases[_i].interrupts);
    if (plan.method == ROLLOUT_NEVER)
        ck_assert_ptr_nonnull(strstr(plan.reason, "tp.internal/inject"));
    json_object_put(w);
}
END_TEST

static const struct {
    const char *workload;
    bool complete;
    const char *trouble;
} progress_cases[] = {
    {"{'kind':'Deployment','metadata':{'generation':2},'spec':{'replicas':1},"
     "'status':{'observedGeneration':1,'updatedReplicas':1,'replicas':1}}",
     false, ""},
    {"{'kind':'Deployment','metadata':{'generation':2},'spec':{'replicas':1},"
     "'status':{'observedGeneration':2,'updatedReplicas':1,'replicas':2}}",
     false, ""},
    {"{'kind':'Deployment','metadata':{'generation':2},'spec':{'replicas':1},"
     "'status':{'observedGeneration':2,'updatedReplicas':1,'replicas':1}}",
     true, ""},
    {"{'kind':'Deployment','metadata':{'name':'w','generation':2},'spec':{"
     "'paused':true,'replicas':1},'status':{'observedGeneration':2}}",
     false, "kubectl rollout resume deployment/w"},
    {"{'kind':'Deployment','spec':{'replicas':1},'status':{'conditions':[{"
     "'type':'ReplicaFailure','status':'True','reason':'FailedCreate',"
     "'message':'exceeded quota: q'}]}}",
     false, "exceeded quota: q"},
    {"{'kind':'Deployment','spec':{'replicas':1},'status':{'conditions':[{"
     "'type':'Progressing','status':'False','reason':"
     "'ProgressDeadlineExceeded','message':'m'}]}}",
     false, "the rollout is stuck: m"},
    {"{'kind':'StatefulSet','spec':{'replicas':3,'updateStrategy':{"
     "'rollingUpdate':{'partition':2}}},'status':{'updatedReplicas':1}}",
     false, "partition 2"},
    {"{'kind':'ReplicaSet','spec':{}}", true, ""},
};

START_TEST(trouble_is_seen_in_conditions)
{
    struct json_object *w = quoted_parse(progress_cases[_i].workload);
    char text[ROLLOUT_TEXT];

    ck_assert(rollout_is_complete(w) == progress_cases[_i].complete);
    rollout_trouble(w, text);
    if (*progress_cases[_i].trouble)
        ck_assert_ptr_nonnull(strstr(text, progress_cases[_i].trouble));
    else
        ck_assert_str_eq(text, "");
    json_object_put(w);
}
END_TEST

struct judge_case {
    const char *what, *workload, *pods;
    char connected[16]; /* uids */
    enum rollout_method method;
    bool ready, evict;
    const char *message;
};

static const struct judge_case judge_cases[] = {
    {"all have it", "{'kind':'Deployment','spec':{'replicas':1}}",
     POD("a", AGENT(FIT), READY), "a", ROLLOUT_TEMPLATE, true, false, ""},
    {"the agent has not come", "{'kind':'Deployment','spec':{'replicas':1}}",
     POD("a", AGENT(FIT), READY), "", ROLLOUT_TEMPLATE, false, false,
     "waiting for the agents of 1 of 1 pods"},
    {"an old pod is still there", "{'kind':'Deployment','spec':{'replicas':1}}",
     POD("a", AGENT(FIT), READY) "," POD("b", "", READY), "a", ROLLOUT_TEMPLATE,
     false, false, "1 of 1 pods have their agent"},
    {"scaled to 0", "{'kind':'Deployment','spec':{'replicas':0}}", "", "",
     ROLLOUT_TEMPLATE, true, false, "scaled to 0"},
    {"not one is ready", "{'kind':'Deployment','spec':{'replicas':2}}", "", "",
     ROLLOUT_TEMPLATE, false, false, "0 of 2 pods"},
    {"a pod cannot be scheduled", "{'kind':'Deployment','spec':{'replicas':1}}",
     POD("a", "", READY) "," POD(
         "b", "",
         "'status':{'phase':'Pending','conditions':[{'type':'PodScheduled',"
         "'status':'False','reason':'Unschedulable','message':'no cpu'}]}"),
     "", ROLLOUT_TEMPLATE, false, false, "pod b cannot be scheduled: no cpu"},
    {"an image cannot be pulled", "{'kind':'Deployment','spec':{'replicas':1}}",
     POD("b", "",
         "'status':{'phase':'Pending','containerStatuses':[{'name':'tp-agent',"
         "'state':{'waiting':{'reason':'ImagePullBackOff'}}}]}"),
     "", ROLLOUT_TEMPLATE, false, false,
     "pod b, container tp-agent: ImagePullBackOff"},
    {"a pod without agent is evicted",
     "{'kind':'ReplicaSet','spec':{"
     "'replicas':2}}",
     POD("a", AGENT(FIT), READY) "," POD("b", "", READY), "a", ROLLOUT_EVICT,
     false, true, "1 of 2"},
    {"not while another one is missing",
     "{'kind':'ReplicaSet','spec':{"
     "'replicas':3}}",
     POD("a", AGENT(FIT), READY) "," POD("b", "", READY), "a", ROLLOUT_EVICT,
     false, false, "1 of 3"},
    {"no webhook",
     "{'kind':'Deployment','spec':{'replicas':1},'status':{"
     "'updatedReplicas':1,'replicas':1}}",
     POD("a", "", READY), "", ROLLOUT_TEMPLATE, false, false,
     "without an agent"},
    {"one that ends does not count",
     "{'kind':'Deployment','spec':{"
     "'replicas':1}}",
     POD("a", AGENT(FIT), READY) ",{'metadata':{'name':'z','deletionTimestamp'"
                                 ":'x'}," READY "}",
     "a", ROLLOUT_TEMPLATE, true, false, ""},
};

START_TEST(pods_decide_what_is_said)
{
    const struct judge_case *c = &judge_cases[_i];
    struct json_object *w = quoted_parse(c->workload), *pods;
    struct rollout_plan plan = {.method = c->method};
    struct rollout_state state;
    struct pods_view view;
    struct resolved ports;
    struct config_need need = {.ports = &ports};
    char text[4096], connected[16];

    set_need(&ports, 8080, PORT_NAMED, "http");
    snprintf(text, sizeof(text), "{'items':[%s]}", c->pods);
    pods = quoted_parse(text);
    memcpy(connected, c->connected, sizeof(connected));
    pods_look(&view, pods, &need, connected_cb, connected);
    rollout_judge(&state, &plan, w, &view);
    ck_assert_msg(state.ready == c->ready, "%s: %s", c->what, state.message);
    ck_assert_msg(state.evict == c->evict, "%s: %s", c->what, state.message);
    ck_assert_msg(*c->message ? strstr(state.message, c->message) != NULL
                              : !*state.message,
                  "%s: %s", c->what, state.message);
    json_object_put(pods);
    json_object_put(w);
}
END_TEST

#define NOT_READY POD("a", AGENT(FIT), "'status':{'phase':'Running'}")
#define WITHOUT   POD("b", "", "'status':{'phase':'Running'}")
#define GOING     "{'metadata':{'name':'z','deletionTimestamp':'x'}}"
#define FAILED    POD("c", "", "'status':{'phase':'Failed'}")

START_TEST(pods_that_are_not_ready_have_agents_too)
{
    struct json_object *pods = quoted_parse("{'items':[" NOT_READY "," WITHOUT
                                            "," GOING "," FAILED "]}");
    struct resolved ports;
    struct config_need need = {.ports = &ports};
    struct pods_view view;
    char nobody[16] = "";

    set_need(&ports, 8080, PORT_NAMED, "http");
    pods_look(&view, pods, &need, connected_cb, nobody);
    ck_assert_uint_eq(view.alive, 2);
    ck_assert_uint_eq(view.able, 1);
    ck_assert_uint_eq(view.ready, 0);
    json_object_put(pods);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

int main(void)
{
    Suite *suite = suite_create("manager workload");
    TCase *tc = tcase_create("workload");

    tcase_add_test(tc, names_are_read_with_all_aliases);
    tcase_add_test(tc, paths_are_those_of_the_api);
    tcase_add_test(tc, selectors_match_as_in_kubernetes);
    tcase_add_test(tc, pods_are_asked_for_by_the_selector);
    tcase_add_loop_test(tc, ports_are_found, 0, COUNT(ports_cases));
    tcase_add_test(tc, config_is_made_from_nothing);
    tcase_add_test(tc, config_grows_and_never_drops);
    tcase_add_test(tc, config_of_switched_services);
    tcase_add_test(tc, config_covers_udp_and_tcp_apart);
    tcase_add_test(tc, config_has_each_name_once);
    tcase_add_test(tc, config_replaces_and_restores);
    tcase_add_test(tc, config_of_a_pod_is_what_its_agent_was_told);
    tcase_add_loop_test(tc, the_way_depends_on_kind_and_strategy, 0,
                        COUNT(plan_cases));
    tcase_add_loop_test(tc, trouble_is_seen_in_conditions, 0,
                        COUNT(progress_cases));
    tcase_add_test(tc, pods_that_are_not_ready_have_agents_too);
    tcase_add_loop_test(tc, pods_decide_what_is_said, 0, COUNT(judge_cases));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
