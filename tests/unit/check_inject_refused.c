/* Unit tests of injection: pods that are left alone; the webhook's answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"
#include "inject_world.h"
#include "manager/json_patch.h"
#include "manager/webhook.h"

/* ---- pods that are left alone ----------------------------------------------
 */

struct refusal {
    const char *pod;
    int sign; /* 0: nothing to do; -1: with a warning */
    const char *why;
};

#define BAD(ports, why)                                                        \
    {                                                                          \
        POD(CONFIG(ports), SPEC), -1, "tp.internal/agent: port 1: " why        \
    }
#define WRONG(ports, why)                                                      \
    {                                                                          \
        POD(CONFIG(ports), SPEC), -1, why                                      \
    }

static const struct refusal refusals[] = {
    {"{'spec':{" SPEC "}}", 0, "no annotation asks for an agent"},
    {"{'metadata':{'annotations':{'tp.internal/inject':'disabled',"
     "'tp.internal/agent':'{}'}},'spec':{" SPEC "}}",
     0, "tp.internal/inject is disabled"},
    {"{'metadata':{'annotations':{'tp.internal/inject':'yes'}},'spec':{" SPEC
     "}}",
     -1, "tp.internal/inject is not enabled or disabled"},
    {ENABLED(",'kubernetes.io/config.mirror':'x'") "{" SPEC "}}", 0,
     "it is a static pod"},
    {ENABLED("") "{'os':{'name':'windows'}," SPEC "}}", 0, "it is for Windows"},
    {ENABLED("") "{'nodeSelector':{'kubernetes.io/os':'windows'}," SPEC "}}", 0,
     "it is for Windows"},
    {ENABLED("") "{'containers':[]}}", 0, "it has no containers"},
    {ENABLED("") "{}}", 0, "it has no containers"},
    {ENABLED(",'tp.internal/inject-ports':'80'") "{'hostNetwork':true," SPEC
                                                 "}}",
     -1, "ports of the node's network (hostNetwork) are not redirected"},
    {ENABLED(",'tp.internal/inject-ports':'http'") "{" SPEC "}}", -1,
     "tp.internal/inject-ports: ports are written as 8080,9090/udp"},
    {ENABLED(",'tp.internal/inject-ports':'70000'") "{" SPEC "}}", -1,
     "tp.internal/inject-ports: ports are written as 8080,9090/udp"},
    {ENABLED(",'tp.internal/inject-ports':'80/sctp'") "{" SPEC "}}", -1,
     "tp.internal/inject-ports: ports are written as 8080,9090/udp"},
    {ENABLED("") "{'containers':[{'name':'app'},{'name':'tp-agent'}]}}", -1,
     "the pod has a container tp-agent of its own"},
    {ENABLED(",'tp.internal/injected':'1'") "{'containers':[{'name':'app'}],'"
                                            "initContainers':[{'name':"
                                            "'tp-agent-init'}]}}",
     -1, "the pod has a container tp-agent-init of its own"},
    {ENABLED("") "{'volumes':[{'name':'tp-internal-token'}]," SPEC "}}", -1,
     "the pod has a volume tp-internal-token of its own"},
    {"{'metadata':{'annotations':{'tp.internal/agent':'{'}},'spec':{" SPEC "}}",
     -1, "tp.internal/agent: not JSON: the text ends too early"},
    {"{'metadata':{'annotations':{'tp.internal/agent':'{}'}},'spec':{" SPEC
     "}}",
     -1, "tp.internal/agent: \"version\" is not 1"},
    {"{'metadata':{'annotations':{'tp.internal/agent':'[]'}},'spec':{" SPEC
     "}}",
     -1, "tp.internal/agent: \"version\" is not 1"},
    BAD("7", "\"mode\" is not named, redirect, direct or service"),
    BAD(PORT("app", 0, "named", 9900), "\"port\" is no port"),
    BAD(PORT("app", 65536, "named", 9900), "\"port\" is no port"),
    BAD(PORT("a b", 8080, "named", 9900), "\"container\" is no name"),
    BAD(PORT("app", 8080, "hijack", 9900),
        "\"mode\" is not named, redirect, direct or service"),
    WRONG(PORT("app", 8080, "redirect", 80),
          "port 1: listen 80 is not from 9900 to 9999"),
    WRONG(PORT("app", 8080, "redirect", 10000),
          "port 1: listen 10000 is not from 9900 to 9999"),
    WRONG(PORT("nope", 8080, "redirect", 9900),
          "port 1: there is no container nope"),
    WRONG(PORT("app", 8080, "named", 9900),
          "port 1: container app has no port (no name) with number 8080"),
    WRONG(PORT("app", 8080, "direct", 8080),
          "port 1: mode direct is for a container that is replaced"),
    WRONG(PORT("app", 8080, "redirect", 9900) "," PORT("app", 8081, "redirect",
                                                       9900),
          "port 2: listen 9900 is there twice"),
    WRONG(PORT("app", 8080, "redirect", 9900) "," PORT("app", 8080, "redirect",
                                                       9901),
          "port 2: port 8080 is there twice"),
    WRONG(PORT("app", 9905, "redirect", 9905),
          "port 1: listen 9905 is a port itself"),
    {POD(CONFIG(PORT("app", 8080, "redirect", 9901)),
         "'containers':[{'name':'app'},{'name':'b','ports':["
         "{'containerPort':9901}]}]"),
     -1, "port 1: listen 9901 is declared by a container"},
    {POD(CONFIG("") ",\\'replace\\':\\'nope\\'", SPEC), -1,
     "there is no container nope"},
    {POD(CONFIG("") ",\\'containers\\':[\\'nope\\']", SPEC), -1,
     "there is no container nope"},
    {POD(CONFIG("") ",\\'containers\\':[\\'a\\u001b\\']", SPEC), -1,
     "tp.internal/agent: \"containers\" holds what is no name"},
    {POD(CONFIG(PORT("app", 8080, "redirect", 9900)) ",\\'replace\\':\\'app\\'",
         SPEC),
     -1, "port 1: container app is replaced: its ports are direct"},
    {POD(CONFIG(PORT("app", 8080, "direct", 8080)) ",\\'replace\\':\\'app\\'",
         "'containers':[{'name':'app'},{'name':'b','ports':["
         "{'containerPort':8080}]}]"),
     -1, "port 1: port 8080 is another container's, too"},
    {POD(CONFIG(PORT("app", 80, "direct", 80)) ",\\'replace\\':\\'app\\'",
         "'hostNetwork':true,'containers':[{'name':'app'}]"),
     -1,
     "port 1: port 80 on the node's network needs a right that the agent has "
     "not"},
    {"{'metadata':{'ownerReferences':[{'apiVersion':'batch/v1','kind':'Job'}],"
     "'annotations':{" CONFIG("") ",\\'replace\\':\\'app\\'}'}},'spec':{" SPEC
                                  "}}",
     -1, "containers of Jobs are not replaced"},
};

START_TEST(pods_that_are_left_alone)
{
    const struct refusal *r = &refusals[_i];
    struct json_object *pod = quoted_parse(r->pod), *patch;
    struct tp_error why = {0};
    int rc = inject_pod(&inject_settings, "default", pod, &patch, &why);

    ck_assert_msg((rc < 0) == (r->sign < 0) && rc <= 0, "%s: %d %s", r->pod, rc,
                  why.text);
    ck_assert_str_eq(why.text, r->why);
    ck_assert_ptr_null(patch);
    json_object_put(pod);
}
END_TEST

static int inject_named(const char *ns, struct tp_error *why)
{
    struct json_object *pod = quoted_parse(NAMED), *patch;
    int rc = inject_pod(&inject_settings, ns, pod, &patch, why);

    json_object_put(patch);
    json_object_put(pod);
    return rc;
}

START_TEST(namespaces_that_are_never_touched)
{
    static const char *const never[] = {"kube-system", "kube-node-lease",
                                        "tp-system", ""};
    struct tp_error why = {0};

    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        ck_assert_int_eq(inject_named(never[i], &why), 0);
    ck_assert_int_eq(inject_named("default", &why), 1);
}
END_TEST

START_TEST(what_the_manager_does_not_know_yet)
{
    struct tp_error why = {0};

    inject_settings.manager[0] = '\0';
    ck_assert_int_lt(inject_named("default", &why), 0);
    ck_assert_str_eq(why.text, "tp-manager cannot inject yet: its Service's "
                               "address is not known");
}
END_TEST

static void expect_refused(const char *text, const char *reason)
{
    struct json_object *pod = quoted_parse(text), *patch;
    struct tp_error why = {0};

    ck_assert_int_lt(inject_pod(&inject_settings, "default", pod, &patch, &why),
                     0);
    ck_assert_str_eq(why.text, reason);
    json_object_put(pod);
}

START_TEST(what_the_chart_or_cluster_does_not_allow)
{
    inject_settings.redirect = false;
    expect_refused(POD(CONFIG(PORT("app", 8080, "redirect", 9900)), SPEC),
                   "redirection is off in the chart (agent.redirect)");
    inject_settings.native_sidecars = false;
    expect_refused("{'metadata':{'annotations':{'tp.internal/inject':"
                   "'enabled'},'ownerReferences':[{'apiVersion':'batch/v1',"
                   "'kind':'Job'}]},'spec':{" SPEC "}}",
                   "pods of Jobs need native sidecars (Kubernetes 1.29)");
}
END_TEST

START_TEST(ports_beyond_the_maximum)
{
    char text[16384] = "{'metadata':{'annotations':{'tp.internal/agent':"
                       "'{\\'version\\':1,\\'ports\\':[0";
    size_t used = strlen(text);

    for (int i = 0; i < 64; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, ",%d", i);
    snprintf(text + used, sizeof(text) - used, "]}'}},'spec':{" SPEC "}}");
    expect_refused(text,
                   "tp.internal/agent: \"ports\" has more than 64 entries");
}
END_TEST

/* ---- settings --------------------------------------------------------------
 */

static const char *const bad_settings[] = {
    "{}",
    "[]",
    "{'image':'x','redirect':'ebpf'}",
    "{'image':'x','exclude':'A'}",
    "{'image':'x','exclude':['']}",
    "{'image':'x','pullSecrets':[7]}",
    "{'image':'x','resources':'lots'}",
    "{'image':'x','idleSeconds':-1}",
    "{'image':'x','logLevel':'loud'}",
    "{'image':7}",
    "nonsense",
};

START_TEST(settings_that_are_refused)
{
    struct inject_settings s;
    struct tp_error err = {0};
    char *text = quoted_text(bad_settings[_i]);

    ck_assert_int_lt(inject_settings_parse(&s, text, &err), 0);
    ck_assert_str_ne(err.text, "");
    inject_settings_release(&s);
    free(text);
}
END_TEST

/* ---- the webhook -----------------------------------------------------------
 */

#define REVIEW(operation, kind, pod)                                           \
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview','request':{" \
    "'uid':'u-1','kind':{'group':'','version':'v1','kind':'" kind "'},"        \
    "'operation':'" operation "','namespace':'default','dryRun':true,"         \
    "'object':" pod "}}"

static enum webhook_result ask(const char *review, char **answer)
{
    struct tp_error note = {0};
    char *text = quoted_text(review);
    enum webhook_result result =
        webhook_answer(&inject_settings, text, strlen(text), answer, &note);

    ck_assert_ptr_nonnull(*answer);
    ck_assert_str_ne(note.text, "");
    free(text);
    return result;
}

/* The answer's response; it always lets the pod through. */
static struct json_object *ask_response(const char *review,
                                        enum webhook_result wanted)
{
    struct json_object *obj, *response = NULL;
    char *answer;

    ck_assert_int_eq(ask(review, &answer), wanted);
    obj = quoted_parse(answer);
    ck_assert_str_eq(json_get_str(obj, "kind", ""), "AdmissionReview");
    ck_assert_str_eq(json_get_str(obj, "apiVersion", ""),
                     "admission.k8s.io/v1");
    response = json_object_get(json_get(obj, "response"));
    ck_assert_str_eq(json_get_str(response, "uid", ""), "u-1");
    ck_assert(json_get_bool(response, "allowed", false));
    json_object_put(obj);
    free(answer);
    return response;
}

START_TEST(a_pod_gets_its_patch)
{
    struct json_object *response =
        ask_response(REVIEW("CREATE", "Pod", NAMED), WEBHOOK_PATCHED);
    char *text = base64_decode_text(json_get_str(response, "patch", ""));
    struct json_object *patch = json_tokener_parse(text);
    struct json_object *pod = quoted_parse(NAMED), *name = NULL;

    ck_assert_str_eq(json_get_str(response, "patchType", ""), "JSONPatch");
    ck_assert_ptr_null(json_get(response, "warnings"));
    ck_assert_ptr_null(json_patch_run(pod, patch));
    ck_assert_int_eq(json_pointer_get(pod, "/spec/containers/0/name", &name),
                     0);
    ck_assert_str_eq(json_object_get_string(name), "tp-agent");
    free(text);
    json_object_put(pod);
    json_object_put(patch);
    json_object_put(response);
}
END_TEST

#define PROBE(ns, dry)                                                         \
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview','request':{" \
    "'uid':'u-1','kind':{'group':'','version':'v1','kind':'Pod'},'operation':" \
    "'CREATE','namespace':'" ns "','dryRun':" dry ",'object':{'metadata':{"    \
    "'labels':{'tp.internal/probe':'webhook'}},'spec':{'containers':[{"        \
    "'name':'p'}]}}}}"

/* Only a dry run in the managers' own namespace is a question of their own. */
START_TEST(a_probe_comes_back_marked)
{
    static const struct {
        const char *review;
        bool marked;
    } cases[] = {
        {PROBE("tp-system", "true"), true},
        {PROBE("tp-system", "false"), false},
        {PROBE("default", "true"), false},
    };

    for (int i = 0; i < COUNT(cases); i++) {
        struct json_object *response =
            ask_response(cases[i].review, WEBHOOK_NOTHING);
        char *text = base64_decode_text(json_get_str(response, "patch", ""));

        ck_assert_int_eq(strstr(text ? text : "", "tp-webhook-reached") != NULL,
                         cases[i].marked);
        free(text);
        json_object_put(response);
    }
}
END_TEST

START_TEST(a_bad_annotation_is_a_warning)
{
    struct json_object *response = ask_response(
        REVIEW("CREATE", "Pod",
               ENABLED(",'tp.internal/inject-ports':'x'") "{" SPEC "}}"),
        WEBHOOK_WARNED);

    ck_assert_ptr_null(json_get(response, "patch"));
    ck_assert_str_eq(
        json_object_get_string(
            json_object_array_get_idx(json_get(response, "warnings"), 0)),
        "tp: the pod gets no agent: tp.internal/inject-ports: ports are "
        "written as 8080,9090/udp");
    json_object_put(response);
}
END_TEST

static const char *const others[] = {
    REVIEW("UPDATE", "Pod", NAMED),
    REVIEW("CREATE", "Service", NAMED),
    REVIEW("CREATE", "Pod", "null"),
    REVIEW("CREATE", "Pod", "[]"),
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview','request':{"
    "'uid':'u-1','kind':{'group':'x','version':'v1','kind':'Pod'},"
    "'operation':'CREATE','namespace':'default','object':" NAMED "}}",
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview','request':{"
    "'uid':'u-1','kind':{'version':'v1','kind':'Pod'},'subResource':'status',"
    "'operation':'CREATE','namespace':'default','object':" NAMED "}}",
};

START_TEST(what_is_no_new_pod_passes)
{
    struct json_object *response = ask_response(others[_i], WEBHOOK_NOTHING);

    ck_assert_ptr_null(json_get(response, "patch"));
    ck_assert_ptr_null(json_get(response, "warnings"));
    json_object_put(response);
}
END_TEST

static const char *const nonsense[] = {
    "",
    "x",
    "{",
    "[]",
    "null",
    "7",
    "{'kind':'AdmissionReview'}",
    "{'apiVersion':'admission.k8s.io/v1beta1','kind':'AdmissionReview',"
    "'request':{'uid':'u'}}",
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview'}",
    "{'apiVersion':'admission.k8s.io/v1','kind':'AdmissionReview',"
    "'request':{'uid':7}}",
};

START_TEST(what_is_no_review_is_a_bad_request)
{
    char *answer;

    ck_assert_int_eq(ask(nonsense[_i], &answer), WEBHOOK_BAD);
    free(answer);
}
END_TEST

TCase *inject_refused_case(void)
{
    TCase *tc = tcase_create("refused");

    tcase_add_checked_fixture(tc, inject_set_up, inject_tear_down);
    tcase_add_loop_test(tc, pods_that_are_left_alone, 0, COUNT(refusals));
    tcase_add_test(tc, namespaces_that_are_never_touched);
    tcase_add_test(tc, what_the_manager_does_not_know_yet);
    tcase_add_test(tc, what_the_chart_or_cluster_does_not_allow);
    tcase_add_test(tc, ports_beyond_the_maximum);
    tcase_add_loop_test(tc, settings_that_are_refused, 0, COUNT(bad_settings));
    return tc;
}

TCase *inject_webhook_case(void)
{
    TCase *tc = tcase_create("webhook");

    tcase_add_checked_fixture(tc, inject_set_up, inject_tear_down);
    tcase_add_test(tc, a_pod_gets_its_patch);
    tcase_add_test(tc, a_probe_comes_back_marked);
    tcase_add_test(tc, a_bad_annotation_is_a_warning);
    tcase_add_loop_test(tc, what_is_no_new_pod_passes, 0, COUNT(others));
    tcase_add_loop_test(tc, what_is_no_review_is_a_bad_request, 0,
                        COUNT(nonsense));
    return tc;
}
