/* Unit tests of injection: what a pod becomes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#include "inject_world.h"
#include "manager/json_patch.h"
#include "suite.h"

/* ---- a pod and what becomes of it -----------------------------------------
 */

struct expected {
    const char *path; /* JSON pointer */
    const char *json; /* NULL: nothing is there */
};

static void check_value(struct json_object *pod, const struct expected *e)
{
    struct json_object *value = NULL, *wanted;
    char *text;

    if (json_pointer_get(pod, e->path, &value) < 0)
        value = NULL;
    if (!e->json) {
        ck_assert_msg(!value, "%s: %s", e->path, json_object_get_string(value));
        return;
    }
    text = quoted_text(e->json);
    wanted = json_tokener_parse(text); /* not only objects: numbers, too */
    free(text);
    ck_assert_msg(json_object_equal(value, wanted), "%s is %s, not %s", e->path,
                  json_object_get_string(value), e->json);
    json_object_put(wanted);
}

/* Injects into the pod; it is changed in place. */
static void inject_into(struct json_object *pod)
{
    struct json_object *patch;
    struct tp_error why = {0};
    const char *failed;
    int rc = inject_pod(&inject_settings, "default", pod, &patch, &why);

    ck_assert_msg(rc == 1, "%d: %s", rc, why.text);
    failed = json_patch_run(pod, patch);
    ck_assert_msg(!failed, "cannot apply %s", failed);
    json_object_put(patch);
}

/* What holds for each pod that has an agent. */
static void check_common(struct json_object *pod)
{
    struct json_object *patch;
    struct tp_error why = {0};
    static const struct expected always[] = {
        {"/metadata/annotations/tp.internal~1injected", "'" VERSION "'"},
        {"/spec/imagePullSecrets/0/name", "'regcred'"},
    };

    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
        check_value(pod, &always[i]);
    /* a second call finds its own work */
    ck_assert_int_eq(inject_pod(&inject_settings, "default", pod, &patch, &why),
                     0);
    ck_assert_ptr_null(patch);
    ck_assert_str_eq(why.text, "it has its agent");
}

static void expect(const char *text, const struct expected *list, size_t count)
{
    struct json_object *pod = quoted_parse(text);

    inject_into(pod);
    for (size_t i = 0; i < count; i++)
        check_value(pod, &list[i]);
    check_common(pod);
    json_object_put(pod);
}

#define EXPECT(pod, ...)                                                       \
    do {                                                                       \
        static const struct expected list_[] = {__VA_ARGS__};                  \
        expect(pod, list_, sizeof(list_) / sizeof(*list_));                    \
    } while (0)

/* One variable of the agent, by its name. */
static struct json_object *variable(struct json_object *agent, const char *name)
{
    struct json_object *env = json_get_array(agent, "env");

    for (size_t i = 0; i < json_array_len(env); i++) {
        struct json_object *entry = json_object_array_get_idx(env, i);

        if (!strcmp(json_get_str(entry, "name", ""), name))
            return entry;
    }
    return NULL;
}

static struct json_object *agent_of(struct json_object *pod, const char *path)
{
    struct json_object *agent = NULL;

    ck_assert_int_eq(json_pointer_get(pod, path, &agent), 0);
    ck_assert_str_eq(json_get_str(agent, "name", ""), "tp-agent");
    return agent;
}

/* TP_AGENT_CONFIG as the agent reads it. */
static void expect_config(const char *text, const char *path,
                          const char *config)
{
    struct json_object *pod = quoted_parse(text),
                       *wanted = quoted_parse(config), *found;
    struct json_object *agent;

    inject_into(pod);
    agent = agent_of(pod, path);
    found = quoted_parse(
        json_get_str(variable(agent, "TP_AGENT_CONFIG"), "value", ""));
    ck_assert_msg(json_object_equal(found, wanted), "%s",
                  json_object_get_string(found));
    json_object_put(found);
    json_object_put(wanted);
    json_object_put(pod);
}

#define AGENT "/spec/containers/0"
#define APP   "/spec/containers/1"

/* ---- named ports -----------------------------------------------------------
 */

START_TEST(named_port_agent_is_first_and_app_is_untouched)
{
    EXPECT(
        NAMED, {AGENT "/name", "'tp-agent'"},
        {AGENT "/image", "'r.example/tp-agent:1'"},
        {AGENT "/imagePullPolicy", "'IfNotPresent'"},
        {AGENT "/command", "['/usr/bin/tp-agent']"}, {AGENT "/args", NULL},
        {AGENT "/resources", "{'limits':{'memory':'128Mi'}}"},
        {AGENT "/ports",
         "[{'name':'http','containerPort':9900,'protocol':'TCP'}]"},
        {AGENT "/readinessProbe/exec/command", "['/usr/bin/tp-agent','ready']"},
        {AGENT "/securityContext",
         "{'allowPrivilegeEscalation':false,'readOnlyRootFilesystem':true,"
         "'capabilities':{'drop':['ALL']},"
         "'seccompProfile':{'type':'RuntimeDefault'},'runAsNonRoot':true}"},
        {AGENT "/volumeMounts/1",
         "{'name':'tp-internal-token','mountPath':'/run/tp/token',"
         "'readOnly':true}"},
        {APP,
         "{'name':'app','image':'x','ports': [{'name':'http',"
         "'containerPort':8080}],'readinessProbe':{'httpGet':{'port':'http'}},"
         "'livenessProbe':{'tcpSocket':{'port':8080}}}"},
        {"/spec/initContainers", NULL}, {"/spec/securityContext", NULL},
        {"/spec/volumes",
         "[{'name':'tp-internal-token','projected':{'sources':[{"
         "'serviceAccountToken':{'audience':'tp-manager.tp.internal',"
         "'expirationSeconds':3600,'path':'token'}}]}}]"},
        {"/metadata/annotations/kubectl.kubernetes.io~1default-container",
         "'app'"});
}
END_TEST

#define SERVICE                                                                \
    POD(CONFIG("{\\'container\\':\\'app\\',\\'port\\':8080,\\'name\\':"        \
               "\\'http\\',\\'mode\\':\\'service\\',\\'listen\\':9900},{"      \
               "\\'container\\':\\'app\\',\\'port\\':53,\\'protocol\\':\\'"    \
               "udp\\',"                                                       \
               "\\'mode\\':\\'service\\',\\'listen\\':9901}"),                 \
        SPEC)

/* Only Services that were switched know the agent's own name. */
START_TEST(switched_port_has_a_name_of_its_own)
{
    EXPECT(SERVICE,
           {AGENT "/ports",
            "[{'name':'tp-8080','containerPort':9900,'protocol':'TCP'},"
            "{'name':'http','containerPort':9900,'protocol':'TCP'},"
            "{'name':'tp-53-udp','containerPort':9901,'protocol':'UDP'}]"},
           {AGENT "/securityContext/capabilities", "{'drop':['ALL']}"},
           {"/spec/initContainers", NULL}, {"/spec/securityContext", NULL});
}
END_TEST

START_TEST(config_of_the_agent)
{
    expect_config(
        NAMED, AGENT,
        "{'version':1,'ports':[{'container':'app','port':8080,"
        "'protocol':'tcp','name':'http','mode':'named','listen':9900}],"
        "'containers':['app'],'probes':[],'env':{'app':[]},"
        "'exclude':['AWS_*','S?CRET']}");
}
END_TEST

START_TEST(settings_reach_the_agent)
{
    struct json_object *pod = quoted_parse(NAMED), *agent;

    inject_into(pod);
    agent = agent_of(pod, AGENT);
    ck_assert_str_eq(
        json_get_str(variable(agent, "TP_AGENT_MANAGER"), "value", ""),
        "10.43.0.9:8444");
    ck_assert_str_eq(
        json_get_str(variable(agent, "TP_AGENT_SERVER_NAME"), "value", ""),
        "tp-manager.tp-system.svc");
    ck_assert_str_eq(json_get_str(variable(agent, "TP_AGENT_CA"), "value", ""),
                     "PEM");
    ck_assert_str_eq(
        json_get_str(variable(agent, "TP_AGENT_LOG_LEVEL"), "value", ""),
        "debug");
    ck_assert_str_eq(json_get_str(variable(agent, "TP_AGENT_POD_IPS"),
                                  "valueFrom.fieldRef.fieldPath", ""),
                     "status.podIPs");
    json_object_put(pod);
}
END_TEST

START_TEST(what_the_pod_has_is_kept)
{
    EXPECT("{'metadata':{'annotations':{'tp.internal/inject':'enabled',"
           "'kubectl.kubernetes.io/default-container':'side'}},'spec':{"
           "'imagePullSecrets':[{'name':'regcred'}],'volumes':[{'name':'v'}],"
           "'initContainers':[{'name':'i'}],'containers':[{'name':'app'},"
           "{'name':'side'}]}}",
           {AGENT "/ports", NULL}, {"/spec/containers/2", "{'name':'side'}"},
           {"/spec/imagePullSecrets", "[{'name':'regcred'}]"},
           {"/spec/volumes/0/name", "'v'"},
           {"/spec/volumes/1/name", "'tp-internal-token'"},
           {"/spec/initContainers", "[{'name':'i'}]"},
           {"/metadata/annotations/kubectl.kubernetes.io~1default-container",
            "'side'"});
}
END_TEST

/* ---- pre-injection ---------------------------------------------------------
 */

START_TEST(pre_injection_takes_named_ports_of_the_first_container)
{
    const char *pod = ENABLED(
        ",'tp.internal/inject-ports':'7000, 9090/udp'") "{'containers':[{'name'"
                                                        ":'app','ports':["
                                                        "{'name':'http','"
                                                        "containerPort':8080},{"
                                                        "'containerPort':8081},"
                                                        "{'name':'dns','"
                                                        "containerPort':53,'"
                                                        "protocol':'UDP'},"
                                                        "{'name':'sctp','"
                                                        "containerPort':1,'"
                                                        "protocol':'SCTP'},"
                                                        "{'name':'busy','"
                                                        "containerPort':9900}]}"
                                                        ","
                                                        "{'name':'b','ports':[{"
                                                        "'name':'x','"
                                                        "containerPort':7000}]}"
                                                        "]}}";

    expect_config(
        pod, AGENT,
        "{'version':1,'ports':["
        "{'container':'app','port':8080,'protocol':'tcp','name':'http',"
        "'mode':'named','listen':9901},"
        "{'container':'app','port':53,'protocol':'udp','name':'dns',"
        "'mode':'named','listen':9900},"
        "{'container':'app','port':9900,'protocol':'tcp','name':'busy',"
        "'mode':'named','listen':9902},"
        "{'container':'b','port':7000,'protocol':'tcp','name':'x',"
        "'mode':'redirect','listen':9903},"
        "{'container':'app','port':9090,'protocol':'udp',"
        "'mode':'redirect','listen':9901}],"
        "'containers':['app'],'probes':[],'env':{'app':[]},"
        "'exclude':['AWS_*','S?CRET']}");
}
END_TEST

START_TEST(a_further_port_that_has_a_name_is_redirected)
{
    const char *pod = ENABLED(
        ",'tp.internal/inject-ports':'8080'") "{'containers':[{'name':'app','"
                                              "ports':["
                                              "{'name':'http','containerPort':"
                                              "8080}]}]}}";

    expect_config(pod, AGENT,
                  "{'version':1,'ports':["
                  "{'container':'app','port':8080,'protocol':'tcp',"
                  "'name':'http','mode':'redirect','listen':9900}],"
                  "'containers':['app'],'probes':[],'env':{'app':[]},"
                  "'exclude':['AWS_*','S?CRET']}");
}
END_TEST

/* ---- volumes ---------------------------------------------------------------
 */

#define VOLUMES                                                                \
    "'volumes':[{'name':'data','emptyDir':{}},{'name':'tmp','emptyDir':{}},"   \
    "{'name':'conf','configMap':{'name':'c'}},{'name':'token','projected':"    \
    "{'sources':[{'serviceAccountToken':{'path':'token'}}]}}],"
#define MOUNTS                                                                 \
    "'volumeMounts':[{'name':'data','mountPath':'/data/'},"                    \
    "{'name':'tmp','mountPath':'/data/tmp','readOnly':true},"                  \
    "{'name':'conf','mountPath':'/etc//app.conf','subPath':'a.conf'},"         \
    "{'name':'data','mountPath':'/tmp/x','subPathExpr':'$(POD)'},"             \
    "{'name':'absent','mountPath':'/absent'},"                                 \
    "{'name':'tmp','mountPath':'/a/../b'},"                                    \
    "{'name':'token','mountPath':"                                             \
    "'/var/run/secrets/kubernetes.io/serviceaccount','readOnly':true}]"

#define WITH_VOLUMES(more)                                                     \
    ENABLED(more)                                                              \
    "{" VOLUMES "'containers':[{'name':'app'," MOUNTS                          \
    "},{'name':'side','volumeMounts':[{'name':'tmp','mountPath':'/other'}]}]"  \
    "}}"

START_TEST(volume_mounts_of_the_container_are_the_agents)
{
    EXPECT(WITH_VOLUMES(""),
           {AGENT "/volumeMounts/2",
            "{'name':'data','mountPath':'/run/tp/files/app/data'}"},
           {AGENT "/volumeMounts/3",
            "{'name':'tmp','mountPath':'/run/tp/files/app/data/tmp',"
            "'readOnly':true}"},
           {AGENT "/volumeMounts/4",
            "{'name':'conf','mountPath':'/run/tp/files/app/etc/app.conf',"
            "'subPath':'a.conf'}"},
           {AGENT "/volumeMounts/5",
            "{'name':'token','mountPath':'/run/tp/files/app/var/run/secrets/"
            "kubernetes.io/serviceaccount','readOnly':true}"},
           {AGENT "/volumeMounts/6", NULL});
    expect_config(WITH_VOLUMES(""), AGENT,
                  "{'version':1,'ports':[],'containers':['app'],'probes':[],"
                  "'env':{'app':[]},'mounts':{'app':["
                  "{'path':'/data','volume':'data'},"
                  "{'path':'/data/tmp','volume':'tmp','readOnly':true},"
                  "{'path':'/etc/app.conf','volume':'conf','subPath':'a.conf'},"
                  "{'path':'/tmp/x','volume':'data','policy':'local'},"
                  "{'path':'/var/run/secrets/kubernetes.io/serviceaccount',"
                  "'volume':'token','readOnly':true,'token':true}]},"
                  "'exclude':['AWS_*','S?CRET']}");
}
END_TEST

/* The pod's rules come before the chart's. */
START_TEST(volumes_follow_the_policy)
{
    inject_settings.volumes =
        quoted_parse("{'default':'remoteReadOnly','rules':[{'path':'/etc',"
                     "'policy':'ignore'},{'volume':'data','policy':'local'}]}");
    EXPECT(WITH_VOLUMES(""),
           {AGENT "/volumeMounts/2/mountPath", "'/run/tp/files/app/data/tmp'"},
           {AGENT "/volumeMounts/3/name", "'token'"},
           {AGENT "/volumeMounts/4", NULL});
    EXPECT(WITH_VOLUMES(",'tp.internal/volumes':'{\\'rules\\':[{\\'path\\':"
                        "\\'/data\\',\\'policy\\':\\'remote\\'},"
                        "{\\'volume\\':\\'token\\',\\'policy\\':"
                        "\\'local\\'}]}'"),
           {AGENT "/volumeMounts/2",
            "{'name':'data','mountPath':'/run/tp/files/app/data'}"},
           {AGENT "/volumeMounts/3/name", "'tmp'"},
           {AGENT "/volumeMounts/4", NULL});
    expect_config(
        WITH_VOLUMES(",'tp.internal/volumes':'{\\'default\\':\\'ignore\\',"
                     "\\'rules\\':[{\\'path\\':\\'/dat\\',\\'policy\\':"
                     "\\'remote\\'}]}'"),
        AGENT,
        "{'version':1,'ports':[],'containers':['app'],'probes':[],"
        "'env':{'app':[]},'exclude':['AWS_*','S?CRET']}");
}
END_TEST

#define IN_MEMORY(more)                                                        \
    ENABLED(more)                                                              \
    "{'volumes':[{'name':'fast','emptyDir':{'medium':'Memory'}}],"             \
    "'containers':[{'name':'app','volumeMounts':[{'name':'fast',"              \
    "'mountPath':'/fast'}]}]}}"

/* Who writes there pays for it, and the agent has little. */
START_TEST(memory_is_written_only_by_a_rule)
{
    static const char read_only[] =
        "{'name':'fast','mountPath':'/run/tp/files/app/fast',"
        "'readOnly':true}";

    EXPECT(IN_MEMORY(""), {AGENT "/volumeMounts/2", read_only});
    EXPECT(IN_MEMORY(",'tp.internal/volumes':'{\\'default\\':\\'remote\\'}'"),
           {AGENT "/volumeMounts/2", read_only});
    EXPECT(IN_MEMORY(",'tp.internal/volumes':'{\\'rules\\':[{\\'volume\\':"
                     "\\'fast\\',\\'policy\\':\\'remote\\'}]}'"),
           {AGENT "/volumeMounts/2",
            "{'name':'fast','mountPath':'/run/tp/files/app/fast'}"});
}
END_TEST

/* A job works with a copy; both are released. */
START_TEST(settings_are_copied_with_the_policy)
{
    char *text = quoted_text("{'image':'i','pullSecrets':['a'],'resources':"
                             "{},'exclude':['b'],'volumes':{'default':"
                             "'local'},'namespaceSelector':{},"
                             "'objectSelector':{}}");
    struct inject_settings from, to;

    ck_assert_int_eq(inject_settings_parse(&from, text, NULL), 0);
    ck_assert_int_eq(inject_settings_copy(&to, &from), 0);
    inject_settings_release(&from);
    ck_assert_str_eq(json_get_str(to.volumes, "default", ""), "local");
    inject_settings_release(&to);
    free(text);
}
END_TEST

static const char *const bad_policies[] = {
    "'text'",
    "[]",
    "{'more':1}",
    "{'default':'all'}",
    "{'rules':{}}",
    "{'rules':['x']}",
    "{'rules':[{'policy':'local'}]}",
    "{'rules':[{'path':'/a','volume':'b','policy':'local'}]}",
    "{'rules':[{'path':'a','policy':'local'}]}",
    "{'rules':[{'path':'','policy':'local'}]}",
    "{'rules':[{'path':'/a','policy':1}]}",
    "{'rules':[{'path':'/a'}]}",
    "{'rules':[{'path':'/a','policy':'local','more':1}]}",
};

START_TEST(a_bad_policy_is_refused)
{
    struct json_object *pod = quoted_parse(WITH_VOLUMES("")), *patch,
                       *policy = quoted_parse(bad_policies[_i]);
    struct tp_error why = {0};

    json_object_object_add(
        json_get(pod, "metadata.annotations"), "tp.internal/volumes",
        json_object_new_string(json_object_to_json_string(policy)));
    ck_assert_int_lt(inject_pod(&inject_settings, "default", pod, &patch, &why),
                     0);
    ck_assert_msg(strstr(why.text, "tp.internal/volumes"), "%s", why.text);
    json_object_put(policy);
    json_object_put(pod);
}
END_TEST

/* ---- redirect --------------------------------------------------------------
 */

START_TEST(redirect_moves_the_probes_to_the_agent)
{
    const char *pod =
        POD(CONFIG(PORT("app", 8080, "redirect", 9900)),
            "'initContainers':[{'name':'setup'}],'containers':[{'name':'app',"
            "'ports':[{'name':'http','containerPort':8080},"
            "{'name':'other','containerPort':8081}],"
            "'readinessProbe':{'httpGet':{'port':'http','path':'/r'}},"
            "'livenessProbe':{'tcpSocket':{'port':8080}},"
            "'startupProbe':{'grpc':{'port':8080}},"
            "'lifecycle':{'preStop':{'httpGet':{'port':'http'}}}},"
            "{'name':'b','ports':[{'name':'http','containerPort':70}],"
            "'readinessProbe':{'httpGet':{'port':'http'}},"
            "'livenessProbe':{'httpGet':{'port':8080}},"
            "'startupProbe':{'httpGet':{'port':8080,'host':'1.2.3.4'}}},"
            "{'name':'c','readinessProbe':{'exec':{'command':['true']}},"
            "'livenessProbe':{'httpGet':{'port':8081}}}]");

    EXPECT(pod, {AGENT "/ports", NULL},
           {APP "/readinessProbe", "{'httpGet':{'port':9901,'path':'/r'}}"},
           {APP "/livenessProbe/tcpSocket/port", "9901"},
           {APP "/startupProbe/grpc/port", "9901"},
           {APP "/lifecycle/preStop/httpGet/port", "9901"},
           {APP "/ports/0/containerPort", "8080"},
           {"/spec/containers/2/readinessProbe/httpGet/port", "'http'"},
           {"/spec/containers/2/livenessProbe/httpGet/port", "9901"},
           {"/spec/containers/2/startupProbe/httpGet/port", "8080"},
           {"/spec/containers/3/livenessProbe/httpGet/port", "8081"},
           {"/spec/initContainers/0", "{'name':'setup'}"},
           {"/spec/initContainers/1/name", "'tp-agent-init'"},
           {"/spec/initContainers/1/command", "['/usr/bin/tp-agent','init']"},
           {"/spec/initContainers/1/securityContext",
            "{'allowPrivilegeEscalation':false,'readOnlyRootFilesystem':true,"
            "'capabilities':{'drop':['ALL'],'add':['NET_ADMIN']},"
            "'seccompProfile':{'type':'RuntimeDefault'},'runAsUser':0,"
            "'runAsGroup':0,'runAsNonRoot':false}"},
           {"/spec/initContainers/1/env/0/name", "'TP_AGENT_CONFIG'"},
           {"/spec/initContainers/1/env/1/name", "'TP_AGENT_POD_IP'"},
           {"/spec/initContainers/1/env/4", NULL},
           {"/spec/initContainers/2", NULL});
    expect_config(pod, AGENT,
                  "{'version':1,'ports':[{'container':'app','port':8080,"
                  "'protocol':'tcp','mode':'redirect','listen':9900}],"
                  "'containers':[],'probes':[{'port':8080,'listen':9901}],"
                  "'env':{},'exclude':['AWS_*','S?CRET']}");
}
END_TEST

START_TEST(a_job_gets_a_native_sidecar)
{
    EXPECT("{'metadata':{'annotations':{'tp.internal/inject':'enabled'},"
           "'ownerReferences':[{'apiVersion':'batch/v1','kind':'Job'}]},"
           "'spec':{'containers':[{'name':'app','ports':[{'name':'http',"
           "'containerPort':80}]}]}}",
           {"/spec/containers/0/name", "'app'"}, {"/spec/containers/1", NULL},
           {"/spec/initContainers/0/name", "'tp-agent-init'"},
           {"/spec/initContainers/1/name", "'tp-agent'"},
           {"/spec/initContainers/1/restartPolicy", "'Always'"},
           {"/spec/initContainers/1/ports", NULL},
           {"/spec/initContainers/0/restartPolicy", NULL});
}
END_TEST

#define SPEC2                                                                  \
    "'containers':[{'name':'app','ports':[{'name':'http','containerPort':"     \
    "8080}]},{'name':'side','ports':[{'name':'http','containerPort':8081}]}]"

/* ---- replace ---------------------------------------------------------------
 */

START_TEST(replace_makes_the_container_idle)
{
    const char *pod = POD(
        CONFIG(PORT("app", 8080, "direct", 8080)) ",\\'replace\\':\\'app\\'",
        "'containers':[{'name':'side','image':'s'},{'name':'app','image':'x',"
        "'command':['a'],'args':['b'],'workingDir':'/srv','env':[{'name':'A',"
        "'value':'1'}],'ports':[{'name':'http','containerPort':8080,"
        "'hostPort':88}],'readinessProbe':{'exec':{}},'livenessProbe':{"
        "'httpGet':{'port':8080}},'startupProbe':{},'lifecycle':{},"
        "'securityContext':{'privileged':true,'runAsUser':7},"
        "'volumeMounts':[{'name':'v','mountPath':'/v'}]}]");

    EXPECT(pod,
           {AGENT "/ports",
            "[{'name':'http','containerPort':8080,'hostPort':88}]"},
           {APP, "{'name':'side','image':'s'}"},
           {"/spec/containers/2",
            "{'name':'app','image':'r.example/tp-agent:1',"
            "'imagePullPolicy':'IfNotPresent',"
            "'command':['/usr/bin/tp-agent','idle'],"
            "'env':[{'name':'A','value':'1'}],'securityContext':{"
            "'allowPrivilegeEscalation':false,'readOnlyRootFilesystem':true,"
            "'capabilities':{'drop':['ALL']},"
            "'seccompProfile':{'type':'RuntimeDefault'},'runAsUser':7,"
            "'runAsNonRoot':true},"
            "'volumeMounts':[{'name':'v','mountPath':'/v'}]}"},
           {"/spec/securityContext", NULL});
}
END_TEST

START_TEST(a_name_stays_with_the_port_that_services_mean)
{
    static const char named[] =
        "{\\'container\\':\\'app\\',\\'port\\':8080,\\'name\\':\\'http\\',"
        "\\'mode\\':\\'named\\',\\'listen\\':9900},";
    char pod[1024];

    snprintf(
        pod, sizeof(pod),
        POD(CONFIG("%s" PORT("side", 8081, "direct", 8081)) ",\\'replace"
                                                            "\\':\\'side\\'",
            SPEC2),
        named);
    EXPECT(pod,
           {AGENT "/ports", "[{'name':'http','containerPort':9900,'protocol':"
                            "'TCP'},{'containerPort':8081}]"});
}
END_TEST

START_TEST(a_low_port_is_opened_for_the_agent)
{
#define LOW(security)                                                          \
    POD(CONFIG(PORT("app", 80, "direct", 80)) ",\\'replace\\':\\'app\\'",      \
        security "'containers':[{'name':'app'}]")
    EXPECT(LOW(""), {AGENT "/ports", "[{'containerPort':80,'protocol':'TCP'}]"},
           {"/spec/securityContext",
            "{'sysctls':[{'name':'net.ipv4.ip_unprivileged_port_start',"
            "'value':'0'}]}"});
    EXPECT(LOW("'securityContext':{'fsGroup':3,'sysctls':[{'name':'x'}]},"),
           {"/spec/securityContext",
            "{'fsGroup':3,'sysctls':[{'name':'x'},"
            "{'name':'net.ipv4.ip_unprivileged_port_start','value':'0'}]}"});
    EXPECT(LOW("'securityContext':{'sysctls':[{'name':"
               "'net.ipv4.ip_unprivileged_port_start','value':'1'}]},"),
           {"/spec/securityContext/sysctls",
            "[{'name':'net.ipv4.ip_unprivileged_port_start','value':'1'}]"});
}
END_TEST

/* ---- the agent's user ------------------------------------------------------
 */

START_TEST(the_agent_is_the_user_of_the_container)
{
#define AS(pod, container)                                                     \
    ENABLED("")                                                                \
    "{" pod "'containers':[{'name':'app'," container "'image':'x'}]}}"
    EXPECT(AS("", "'securityContext':{'runAsUser':0},"),
           {AGENT "/securityContext/runAsUser", "0"},
           {AGENT "/securityContext/runAsNonRoot", "false"},
           {AGENT "/securityContext/capabilities", "{'drop':['ALL']}"});
    EXPECT(AS("'securityContext':{'runAsUser':0},", ""),
           {AGENT "/securityContext/runAsUser", NULL},
           {AGENT "/securityContext/runAsNonRoot", "false"});
    EXPECT(AS("'securityContext':{'runAsUser':0},",
              "'securityContext':{'runAsUser':5,'runAsGroup':6,"
              "'seLinuxOptions':{'level':'s0'},'privileged':true},"),
           {AGENT "/securityContext/runAsUser", "5"},
           {AGENT "/securityContext/runAsGroup", "6"},
           {AGENT "/securityContext/seLinuxOptions", "{'level':'s0'}"},
           {AGENT "/securityContext/privileged", NULL},
           {AGENT "/securityContext/runAsNonRoot", "true"});
}
END_TEST

/* ---- environment -----------------------------------------------------------
 */

static void check_variable(struct json_object *agent, const char *name,
                           const char *json)
{
    struct json_object *found = variable(agent, name), *wanted;

    if (!json) {
        ck_assert_msg(!found, "%s is there", name);
        return;
    }
    wanted = quoted_parse(json);
    json_object_object_add(wanted, "name", json_object_new_string(name));
    ck_assert_msg(json_object_equal(found, wanted), "%s: %s", name,
                  json_object_get_string(found));
    json_object_put(wanted);
}

#define ENV_POD                                                                \
    POD(CONFIG("") ",\\'containers\\':[\\'app\\',\\'b\\']",                    \
        "'containers':[{'name':'app','env':[{'name':'A','value':'$(B) $$ $'}," \
        "{'name':'S','valueFrom':{'secretKeyRef':{'name':'s','key':'k'}}},"    \
        "{'name':'M','valueFrom':{'resourceFieldRef':{'resource':"             \
        "'limits.memory'}}},{'name':'N','valueFrom':{'resourceFieldRef':{"     \
        "'containerName':'b','resource':'limits.cpu'}}},{'name':'E'},"         \
        "{'name':'AWS_KEY','value':'k'},{'name':'SECRET','value':'x'},"        \
        "{'name':'SECRETS','value':'y'}],'envFrom':[{'configMapRef':{'name':"  \
        "'c'}},{'prefix':'P_','secretRef':{'name':'s','optional':true}}]},"    \
        "{'name':'b','env':[{'name':'A','value':'2'}]}]")

START_TEST(variables_are_copied_for_the_kubelet_to_resolve)
{
    struct json_object *pod = quoted_parse(ENV_POD), *agent;
    static const struct expected from = {
        AGENT "/envFrom", "[{'configMapRef':{'name':'c'},'prefix':'TPENV_0_'},"
                          "{'prefix':'TPENV_0_P_','secretRef':{'name':'s',"
                          "'optional':true}}]"};

    inject_into(pod);
    agent = agent_of(pod, AGENT);
    check_variable(agent, "TPENV_0_A", "{'value':'$$(B) $$$$ $$'}");
    check_variable(agent, "TPENV_0_S",
                   "{'valueFrom':{'secretKeyRef':{'name':'s','key':'k'}}}");
    check_variable(agent, "TPENV_0_M",
                   "{'valueFrom':{'resourceFieldRef':{'resource':"
                   "'limits.memory','containerName':'app'}}}");
    check_variable(agent, "TPENV_0_N",
                   "{'valueFrom':{'resourceFieldRef':{'containerName':'b',"
                   "'resource':'limits.cpu'}}}");
    check_variable(agent, "TPENV_0_E", "{'value':''}");
    check_variable(agent, "TPENV_0_AWS_KEY", NULL);
    check_variable(agent, "TPENV_0_SECRET", NULL);
    check_variable(agent, "TPENV_0_SECRETS", "{'value':'y'}");
    check_variable(agent, "TPENV_1_A", "{'value':'2'}");
    check_value(pod, &from);
    json_object_put(pod);
}
END_TEST

START_TEST(names_of_variables_are_told_in_order)
{
    expect_config(ENV_POD, AGENT,
                  "{'version':1,'ports':[],'containers':['app','b'],"
                  "'probes':[],'env':{'app':['A','=S','=M','=N','E',"
                  "'AWS_KEY','SECRET','SECRETS'],'b':['A']},"
                  "'exclude':['AWS_*','S?CRET']}");
}
END_TEST

/* The kubelet expands $(X) in TP_AGENT_CONFIG as well, and a variable may be
 * called that since Kubernetes 1.32. */
START_TEST(a_variable_with_a_dollar_in_its_name)
{
    struct json_object *pod =
        quoted_parse(ENABLED("") "{'containers':[{'name':'app',"
                                 "'env':[{'name':'$(A)','value':''}]}]}}");
    const char *text;

    inject_into(pod);
    text = json_get_str(variable(agent_of(pod, AGENT), "TP_AGENT_CONFIG"),
                        "value", "");
    ck_assert_ptr_nonnull(strstr(text, "[\"$$(A)\"]"));
    json_object_put(pod);
}
END_TEST

START_TEST(an_environment_beyond_measure_is_not_copied)
{
    struct json_object *pod =
        quoted_parse(ENABLED("") "{'containers':[{'name':'app',"
                                 "'env':[{'name':'A'}]}]}}");
    struct json_object *entry = NULL, *patch;
    struct tp_error why = {0};
    char *big = malloc(130 * 1024);

    memset(big, 'x', 130 * 1024);
    big[130 * 1024 - 1] = '\0';
    json_pointer_get(pod, "/spec/containers/0/env/0", &entry);
    json_put_str(entry, "value", big);
    ck_assert_int_lt(inject_pod(&inject_settings, "default", pod, &patch, &why),
                     0);
    ck_assert_str_eq(why.text, "the environment is too large to copy");
    free(big);
    json_object_put(pod);
}
END_TEST

static TCase *inject_case(void)
{
    TCase *tc = tcase_create("inject");

    tcase_add_checked_fixture(tc, inject_set_up, inject_tear_down);
    tcase_add_test(tc, named_port_agent_is_first_and_app_is_untouched);
    tcase_add_test(tc, switched_port_has_a_name_of_its_own);
    tcase_add_test(tc, config_of_the_agent);
    tcase_add_test(tc, settings_reach_the_agent);
    tcase_add_test(tc, what_the_pod_has_is_kept);
    tcase_add_test(tc, volume_mounts_of_the_container_are_the_agents);
    tcase_add_test(tc, volumes_follow_the_policy);
    tcase_add_test(tc, memory_is_written_only_by_a_rule);
    tcase_add_test(tc, settings_are_copied_with_the_policy);
    tcase_add_loop_test(tc, a_bad_policy_is_refused, 0, COUNT(bad_policies));
    tcase_add_test(tc, pre_injection_takes_named_ports_of_the_first_container);
    tcase_add_test(tc, a_further_port_that_has_a_name_is_redirected);
    tcase_add_test(tc, redirect_moves_the_probes_to_the_agent);
    tcase_add_test(tc, a_job_gets_a_native_sidecar);
    tcase_add_test(tc, replace_makes_the_container_idle);
    tcase_add_test(tc, a_name_stays_with_the_port_that_services_mean);
    tcase_add_test(tc, a_low_port_is_opened_for_the_agent);
    tcase_add_test(tc, the_agent_is_the_user_of_the_container);
    tcase_add_test(tc, variables_are_copied_for_the_kubelet_to_resolve);
    tcase_add_test(tc, names_of_variables_are_told_in_order);
    tcase_add_test(tc, a_variable_with_a_dollar_in_its_name);
    tcase_add_test(tc, an_environment_beyond_measure_is_not_copied);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("inject");

    suite_add_tcase(suite, inject_case());
    suite_add_tcase(suite, inject_refused_case());
    suite_add_tcase(suite, inject_webhook_case());
    suite_add_tcase(suite, inject_template_case());
    return suite_run(suite);
}
