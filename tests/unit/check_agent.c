/* The agent's settings, the environment it hands out, its small parts. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engaged.h"
#include "agent/environment.h"
#include "agent/expand.h"
#include "agent/idle.h"
#include "agent/logring.h"
#include "agent/ready.h"
#include "agent/settings.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "suite.h"

/* ---- settings ------------------------------------------------------------ */

#define PORT_JSON                                                              \
    "{\"container\":\"app\",\"port\":8080,\"protocol\":\"tcp\",\"name\":"      \
    "\"http\",\"mode\":\"named\",\"listen\":9900}"
#define CONFIG(members) "{\"version\":1," members "}"

START_TEST(settings_take_a_full_config)
{
    static const char text[] =
        CONFIG("\"ports\":[" PORT_JSON ",{\"container\":\"app\",\"port\":53,"
               "\"protocol\":\"udp\",\"mode\":\"redirect\",\"listen\":9900},"
               "{\"port\":81,\"mode\":\"direct\"}],"
               "\"probes\":[{\"port\":8080,\"listen\":9903}],"
               "\"containers\":[\"app\",\"side\"],\"replace\":\"app\","
               "\"env\":{\"app\":[\"A\",\"=B\"]},\"exclude\":[\"*_TOKEN\"],"
               "\"later\":{\"unknown\":1}");
    struct tp_error err = {0};
    struct settings s;

    ck_assert_msg(settings_parse(&s, text, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(s.path.n_ports, 3);
    ck_assert_str_eq(s.path.ports[0].name, "http");
    ck_assert_str_eq(s.path.ports[0].container, "app");
    ck_assert_uint_eq(s.path.ports[0].port, 8080);
    ck_assert_uint_eq(s.path.ports[0].listen, 9900);
    ck_assert(s.path.ports[0].mode == PORT_NAMED && !s.path.ports[0].udp);
    ck_assert(s.path.ports[1].mode == PORT_REDIRECT && s.path.ports[1].udp);
    ck_assert_uint_eq(s.path.ports[2].listen, 81);
    ck_assert_uint_eq(s.path.n_probes, 1);
    ck_assert_uint_eq(s.path.probes[0].listen, 9903);
    ck_assert_uint_eq(s.container_count, 2);
    ck_assert_int_eq(settings_find_container(&s, "side"), 1);
    ck_assert_int_eq(settings_find_container(&s, "no"), -ENOENT);
    ck_assert_uint_eq(json_array_len(s.names[0]), 2);
    ck_assert_ptr_null(s.names[1]);
    ck_assert_uint_eq(json_array_len(s.exclude), 1);
    settings_release(&s);
}
END_TEST

static const struct {
    const char *text, *says;
} bad_configs[] = {
    {"", "not JSON"},
    {"[]", "version"},
    {"{\"version\":2}", "version"},
    {CONFIG("\"ports\":{}"), "ports: not a list"},
    {CONFIG("\"ports\":[1]"), "ports[0]"},
    {CONFIG("\"ports\":[" PORT_JSON "," PORT_JSON "]"), "twice"},
    {CONFIG("\"ports\":[{\"port\":0,\"mode\":\"named\",\"listen\":1}]"),
     "port: not a port"},
    {CONFIG("\"ports\":[{\"port\":65536,\"mode\":\"named\",\"listen\":1}]"),
     "port: not a port"},
    {CONFIG("\"ports\":[{\"port\":\"80\",\"mode\":\"named\",\"listen\":1}]"),
     "port: not a port"},
    {CONFIG("\"ports\":[{\"port\":80,\"mode\":\"named\"}]"), "listen"},
    {CONFIG("\"ports\":[{\"port\":80,\"mode\":\"magic\",\"listen\":1}]"),
     "mode"},
    {CONFIG("\"ports\":[{\"port\":80,\"listen\":1}]"), "mode"},
    {CONFIG("\"ports\":[{\"port\":80,\"mode\":\"direct\",\"listen\":81}]"),
     "direct"},
    {CONFIG("\"ports\":[{\"port\":80,\"mode\":\"named\",\"listen\":1,"
            "\"protocol\":\"sctp\"}]"),
     "protocol"},
    {CONFIG("\"ports\":[{\"port\":80,\"mode\":\"named\",\"listen\":1,"
            "\"name\":\"a-name-too-long-for-k8s\"}]"),
     "name"},
    {CONFIG("\"ports\":[" PORT_JSON "],\"probes\":[{\"port\":1,\"listen\":"
            "9900}]"),
     "probes[0]: listen: 9900"},
    {CONFIG("\"containers\":[\"\"]"), "containers"},
    {CONFIG("\"containers\":[\"a\"],\"env\":{\"a\":[1]}"), "env"},
    {CONFIG("\"exclude\":\"*\""), "exclude"},
};

START_TEST(settings_refuse_what_is_wrong)
{
    struct tp_error err = {0};
    struct settings s;

    ck_assert_int_lt(settings_parse(&s, bad_configs[_i].text, &err), 0);
    ck_assert_msg(strstr(err.text, bad_configs[_i].says), "%s", err.text);
    settings_release(&s);
}
END_TEST

START_TEST(settings_have_a_maximum)
{
    cleanup_free char *text = malloc(SETTINGS_TEXT_MAX + 2);
    struct settings s;
    size_t len;

    memset(text, ' ', SETTINGS_TEXT_MAX + 1);
    text[SETTINGS_TEXT_MAX + 1] = '\0';
    ck_assert_int_eq(settings_parse(&s, text, NULL), -EMSGSIZE);
    settings_release(&s);

    len = (size_t)sprintf(text, "{\"version\":1,\"ports\":[");
    for (int i = 0; i <= AGENT_PORTS_MAX; i++)
        len +=
            (size_t)sprintf(text + len, "%s{\"port\":%d,\"mode\":\"direct\"}",
                            i ? "," : "", i + 1);
    strcpy(text + len, "]}");
    ck_assert_int_eq(settings_parse(&s, text, NULL), -EINVAL);
    settings_release(&s);
}
END_TEST

static void set_variables(void)
{
    setenv("TP_AGENT_CONFIG", CONFIG("\"ports\":[" PORT_JSON "]"), 1);
    setenv("TP_AGENT_MANAGER", "10.43.0.9:8444", 1);
    setenv("TP_AGENT_SERVER_NAME", "tp-manager.tp-system.svc", 1);
    setenv("TP_AGENT_CA", "PEM", 1);
    setenv("TP_AGENT_POD_IP", "10.42.0.5", 1);
    setenv("TP_AGENT_POD_IPS", "10.42.0.5,fd00::5", 1);
    setenv("TP_AGENT_LOG_LEVEL", "debug", 1);
}

static int read_all(struct settings *s, struct tp_error *err)
{
    int rc = settings_read(s, err);

    return rc < 0 ? rc : settings_read_links(s, err);
}

START_TEST(settings_come_from_the_environment)
{
    static const struct {
        const char *name, *value;
    } bad[] = {
        {"TP_AGENT_CONFIG", ""},
        {"TP_AGENT_MANAGER", "tp-manager:8444"},
        {"TP_AGENT_MANAGER", "10.43.0.9"},
        {"TP_AGENT_SERVER_NAME", ""},
        {"TP_AGENT_CA", ""},
        {"TP_AGENT_POD_IPS", "10.42.0.5,nonsense"},
        {"TP_AGENT_LOG_LEVEL", "loud"},
    };
    struct tp_error err = {0};
    struct settings s;
    char text[SOCKADDR_TEXT];

    set_variables();
    ck_assert_msg(read_all(&s, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(sockaddr_port(&s.manager), 8444);
    ck_assert_str_eq(s.server_name, "tp-manager.tp-system.svc");
    ck_assert_str_eq(s.token_file, "/run/tp/token/token");
    ck_assert_str_eq(sockaddr_format_ip(&s.path.pod_ip4, text), "10.42.0.5");
    ck_assert_str_eq(sockaddr_format_ip(&s.path.pod_ip6, text), "fd00::5");
    ck_assert_int_eq(s.log_level, LOG_DEBUG);
    settings_release(&s);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set_variables();
        setenv(bad[i].name, bad[i].value, 1);
        ck_assert_int_lt(read_all(&s, &err), 0);
        ck_assert_msg(strstr(err.text, bad[i].name), "%s", err.text);
        settings_release(&s);
    }
    set_variables();
    unsetenv("TP_AGENT_MANAGER"); /* the pod's ports do without */
    unsetenv("TP_AGENT_POD_IPS");
    ck_assert_int_eq(settings_read(&s, &err), 0);
    ck_assert_str_eq(sockaddr_format_ip(&s.path.pod_ip4, text), "10.42.0.5");
    settings_release(&s);
}
END_TEST

/* ---- expansion ----------------------------------------------------------- */

static const char *lookup(void *arg, const char *name, size_t len)
{
    (void)arg;
    if (len == 1 && *name == 'A')
        return "va";
    if (len == 1 && *name == 'D')
        return "$(A)";
    return len == 5 && !memcmp(name, "EMPTY", 5) ? "" : NULL;
}

/* k8s.io/kubernetes third_party/forked/golang/expansion/expand_test.go */
static const struct {
    const char *in, *out;
} expansions[] = {
    {"", ""},
    {"plain", "plain"},
    {"$(A)", "va"},
    {"x$(A)y", "xvay"},
    {"$(A)$(A)", "vava"},
    {"$(EMPTY)|", "|"},
    {"$(NONE)", "$(NONE)"},
    {"$$(A)", "$(A)"},
    {"$$$(A)", "$va"},
    {"$$$$(A)", "$$(A)"},
    {"$$$$$$(A)", "$$$(A)"},
    {"$$", "$"},
    {"$$$", "$$"},
    {"$", "$"},
    {"foo$", "foo$"},
    {"$A", "$A"},
    {"${A}", "${A}"},
    {"$(A", "$(A"},
    {"$(A$(A)", "$(A$(A)"}, /* a name may hold anything but ')' */
    {"$()", "$()"},
    {"$(D)", "$(A)"}, /* not looked at again */
    {"$(A)$", "va$"},
    {"f000-$$(A)", "f000-$(A)"},
    {"$?$(A)", "$?va"},
    {"$\xc3\xa9", "$\xc3\xa9"},
};

START_TEST(expansion_is_kubernetes)
{
    struct buf out;

    buf_init(&out, 1024);
    ck_assert_int_eq(expand_value(&out, expansions[_i].in, lookup, NULL), 0);
    ck_assert_int_eq(buf_append(&out, "", 1), 0);
    ck_assert_str_eq((char *)buf_head(&out), expansions[_i].out);
    buf_release(&out);
}
END_TEST

START_TEST(expansion_has_a_maximum)
{
    struct buf out;

    buf_init(&out, 3);
    ck_assert_int_eq(expand_value(&out, "$(A)$(A)", lookup, NULL), -ENOBUFS);
    buf_release(&out);
}
END_TEST

/* ---- environment --------------------------------------------------------- */

static struct json_object *build(char *const *environ_, const char *names,
                                 const char *exclude, struct tp_error *err)
{
    cleanup_json struct json_object *n = json_tokener_parse(names);
    cleanup_json struct json_object *x = json_tokener_parse(exclude);
    struct environment_source source = {
        .environ = environ_,
        .index = 1,
        .names = n,
        .exclude = x,
        .hostname = "from-kernel",
    };

    return environment_build(&source, err);
}

#define E(text) (char *)(text)

/* What the kubelet makes of the spec, and what the agent must. */
static const struct {
    const char *what, *names, *exclude, *want;
    int excluded;
    char *environ_[12];
} environments[] = {
    {"values are expanded in order",
     "[\"B\",\"A\",\"C\"]",
     "[]",
     "{\"B\":\"$(A)\",\"A\":\"1\",\"C\":\"1-$(A)\",\"HOSTNAME\":\"pod\"}",
     0,
     {E("TPENV_1_A=1"), E("TPENV_1_B=$(A)"), E("TPENV_1_C=$(A)-$$(A)"),
      E("HOSTNAME=pod")}},
    {"sources are not expanded",
     "[\"A\",\"=S\",\"U\"]",
     "[]",
     "{\"A\":\"1\",\"S\":\"pa$$$(A)\",\"U\":\"pa$$$(A)!\",\"HOSTNAME\":"
     "\"from-kernel\"}",
     0,
     {E("TPENV_1_A=1"), E("TPENV_1_S=pa$$$(A)"), E("TPENV_1_U=$(S)!")}},
    {"envFrom comes first and is not expanded; env hides it",
     "[\"A\"]",
     "[]",
     "{\"F\":\"$$f\",\"A\":\"$$f\",\"HOSTNAME\":\"from-kernel\"}",
     0,
     {E("TPENV_1_F=$$f"), E("TPENV_1_A=$(F)")}},
    {"service links, where nothing hides them",
     "[\"U\",\"WEB_PORT\"]",
     "[]",
     "{\"U\":\"10.43.0.1:8080\",\"WEB_PORT\":\"mine\",\"HOSTNAME\":"
     "\"from-kernel\",\"KUBERNETES_SERVICE_HOST\":\"10.43.0.1\","
     "\"KUBERNETES_PORT_443_TCP_ADDR\":\"10.43.0.1\",\"WEB_SERVICE_HOST\":"
     "\"10.43.0.2\",\"WEB_SERVICE_PORT_HTTP\":\"8080\"}",
     0,
     {E("KUBERNETES_SERVICE_HOST=10.43.0.1"),
      E("KUBERNETES_PORT_443_TCP_ADDR=10.43.0.1"),
      E("WEB_SERVICE_HOST=10.43.0.2"), E("WEB_SERVICE_PORT_HTTP=8080"),
      E("WEB_PORT=tcp://10.43.0.2:8080"), E("PATH=/usr/bin"),
      E("TP_AGENT_CA=pem"), E("HTTP_PROXY_PORT=1"),
      E("TPENV_1_U=$(KUBERNETES_SERVICE_HOST):$(WEB_SERVICE_PORT_HTTP)"),
      E("TPENV_1_WEB_PORT=mine")}},
    {"another container's variables are not this one's",
     "[\"A\"]",
     "[]",
     "{\"A\":\"mine\",\"HOSTNAME\":\"from-kernel\"}",
     0,
     {E("TPENV_0_A=his"), E("TPENV_11_A=his"), E("TPENV_1_A=mine"),
      E("TPENV_0_SERVICE_HOST=x"), E("TPENV_0_SERVICE_PORT=x"),
      E("TPENV_A=x")}},
    {"excluded ones exist for nobody",
     "[\"DB_PASSWORD\",\"URL\",\"GONE_TOKEN\"]",
     "[\"*_TOKEN\",\"DB_PASS*\",\"WEB_*\"]",
     "{\"URL\":\"pg://$(DB_PASSWORD)$(A_TOKEN)$(WEB_PORT)\",\"HOSTNAME\":"
     "\"from-kernel\"}",
     5,
     {E("TPENV_1_DB_PASSWORD=x"), E("TPENV_1_A_TOKEN=x"),
      E("TPENV_1_URL=pg://$(DB_PASSWORD)$(A_TOKEN)$(WEB_PORT)"),
      E("WEB_SERVICE_HOST=1"), E("WEB_PORT=1")}},
    {"an optional key that is not there",
     "[\"=OPTIONAL\",\"A\"]",
     "[]",
     "{\"A\":\"$(OPTIONAL)\",\"HOSTNAME\":\"from-kernel\"}",
     0,
     {E("TPENV_1_A=$(OPTIONAL)")}},
    {"the spec's HOSTNAME wins",
     "[\"HOSTNAME\"]",
     "[]",
     "{\"HOSTNAME\":\"spec\"}",
     0,
     {E("TPENV_1_HOSTNAME=spec"), E("HOSTNAME=pod")}},
    {"odd names and values stay, broken UTF-8 does not",
     "[\"a.b-c\"]",
     "[]",
     "{\"1x\":\"n\\nl\",\"a.b-c\":\"\\u00e9\\u0001\",\"HOSTNAME\":"
     "\"from-kernel\"}",
     0,
     {E("TPENV_1_1x=n\nl"), E("TPENV_1_a.b-c=\xc3\xa9\x01"),
      E("TPENV_1_BAD=\xff"), E("TPENV_1_SURROGATE=\xed\xa0\x80"),
      E("TPENV_1_OVERLONG=\xc0\xaf"), E("TPENV_1_\xe9=x"),
      E("TPENV_1_CUT=\xe2\x82"), E("TPENV_1_BEYOND=\xf4\x90\x80\x80")}},
};

START_TEST(environment_is_the_kubelets)
{
    cleanup_json struct json_object *want =
        json_tokener_parse(environments[_i].want);
    cleanup_json struct json_object *got =
        build(environments[_i].environ_, environments[_i].names,
              environments[_i].exclude, NULL);

    ck_assert_ptr_nonnull(want);
    ck_assert_msg(json_object_equal(json_get(got, "environment"), want),
                  "%s: %s", environments[_i].what,
                  json_object_to_json_string(got));
    ck_assert_int_eq(json_get_int(got, "excluded", -1),
                     environments[_i].excluded);
}
END_TEST

/* Each variable doubles the one before: 2^20 KiB if nobody looked. */
START_TEST(environment_has_a_maximum)
{
    char *variables[22] = {0}, names[200] = "[";
    struct tp_error err = {0};
    char text[1100];

    memset(text, 'x', 1024);
    text[1024] = '\0';
    ck_assert_int_gt(asprintf(&variables[0], "TPENV_1_A=%s", text), 0);
    strcat(names, "\"A\"");
    for (int i = 1; i < 21; i++) {
        ck_assert_int_gt(asprintf(&variables[i], "TPENV_1_%c=$(%c)$(%c)",
                                  'A' + i, 'A' + i - 1, 'A' + i - 1),
                         0);
        sprintf(names + strlen(names), ",\"%c\"", 'A' + i);
    }
    strcat(names, "]");
    ck_assert_ptr_null(build(variables, names, "[]", &err));
    ck_assert_int_eq(err.code, -EMSGSIZE);
    for (int i = 0; i < 21; i++)
        free(variables[i]);
}
END_TEST

/* ---- engagements --------------------------------------------------------- */

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbb"

static void update(struct engaged *list, const char *text, uint64_t *clock)
{
    cleanup_json struct json_object *array = json_tokener_parse(text);

    ck_assert_int_eq(engaged_update(list, array, NULL, clock), 0);
}

START_TEST(engagements_are_parsed)
{
    struct engaged list = {0};
    uint64_t clock = 0;

    update(&list,
           "[{\"id\":\"" ID_A "\",\"type\":\"mirror\",\"ports\":[{\"port\":80,"
           "\"protocol\":\"tcp\"},{\"port\":53,\"protocol\":\"udp\"},"
           "{\"port\":0},{\"port\":1,\"protocol\":\"sctp\"},7]},"
           "{\"id\":\"short\",\"type\":\"mirror\"},"
           "{\"id\":\"AAAAAAAAAAAAAAAAAAAAAAAAAA\",\"type\":\"mirror\"},"
           "{\"id\":\"" ID_B "\",\"type\":\"steal\"},"
           "{\"id\":\"" ID_A "\",\"type\":\"intercept\"},3]",
           &clock);
    ck_assert_uint_eq(list.n, 1);
    ck_assert_str_eq(list.entries[0].engagement.id, ID_A);
    ck_assert_int_eq(list.entries[0].engagement.type, AGENT_MIRROR);
    ck_assert_uint_eq(list.entries[0].engagement.n_ports, 2);
    ck_assert_uint_eq(list.entries[0].engagement.ports[1].port, 53);
    ck_assert(list.entries[0].engagement.ports[1].udp);
    engaged_clear(&list);
}
END_TEST

#define ONE(id, type) "{\"id\":\"" id "\",\"type\":\"" type "\"}"

START_TEST(engagements_belong_to_the_newest)
{
    struct engaged a = {0}, b = {0};
    struct engaged_entry merged[4];
    uint64_t clock = 0;
    size_t n;

    update(&a, "[" ONE(ID_A, "intercept") "]", &clock);
    update(&b, "[" ONE(ID_A, "replace") "," ONE(ID_B, "ingest") "]", &clock);
    n = engaged_merge(&b, merged, engaged_merge(&a, merged, 0));
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(merged[0].engagement.type, AGENT_REPLACE);
    /* the same list again changes nothing, in whatever order */
    update(&a, "[" ONE(ID_A, "intercept") "]", &clock);
    n = engaged_merge(&a, merged, engaged_merge(&b, merged, 0));
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(merged[0].engagement.type, AGENT_REPLACE);
    /* gone and back: newer */
    update(&a, "[]", &clock);
    update(&a, "[" ONE(ID_A, "intercept") "]", &clock);
    n = engaged_merge(&a, merged, engaged_merge(&b, merged, 0));
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(merged[0].engagement.type, AGENT_INTERCEPT);
    engaged_clear(&a);
    engaged_clear(&b);
}
END_TEST

/* ---- small parts --------------------------------------------------------- */

START_TEST(log_ring_keeps_the_last_lines)
{
    struct logring *r = logring_create();
    cleanup_free char *text = NULL;

    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    for (int i = 0; i < 5000; i++)
        log_info("line %d \xc3\xa9", i);
    text = logring_text(r);
    ck_assert_uint_le(strlen(text), LOGRING_SIZE);
    ck_assert_uint_gt(strlen(text), LOGRING_SIZE - 200);
    ck_assert_ptr_nonnull(strstr(text, "line 4999 ??\n"));
    ck_assert_ptr_null(strstr(text, "line 1 "));
    ck_assert_int_eq(strncmp(text, "20", 2), 0); /* begins with a whole line */
    logring_destroy(r);
    log_info("to nobody");
}
END_TEST

static int listen_somewhere(int type, uint16_t *port)
{
    union sockaddr_any addr = {.in4 = {.sin_family = AF_INET}};
    socklen_t len = sizeof(addr.in4);
    int fd = socket(AF_INET, type, 0);

    ck_assert_int_eq(bind(fd, &addr.sa, len), 0);
    if (type == SOCK_STREAM)
        ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, &addr.sa, &len), 0);
    *port = sockaddr_port(&addr);
    return fd;
}

START_TEST(ready_when_all_listen)
{
    struct agent_port_config ports[2] = {0};
    struct agent_probe_config probes[1] = {0};
    struct agent_path_config config = {
        .ports = ports, .n_ports = 2, .probes = probes, .n_probes = 1};
    struct tp_error err = {0};
    int tcp, udp, probe;

    tcp = listen_somewhere(SOCK_STREAM, &ports[0].listen);
    udp = listen_somewhere(SOCK_DGRAM, &ports[1].listen);
    ports[1].udp = true;
    probe = listen_somewhere(SOCK_STREAM, &probes[0].listen);
    ck_assert_msg(ready_check(&config, &err) == 0, "%s", err.text);
    close(probe);
    ck_assert_int_eq(ready_check(&config, &err), -EAGAIN);
    config.n_probes = 0;
    ck_assert_int_eq(ready_check(&config, &err), 0);
    close(udp);
    ck_assert_int_eq(ready_check(&config, &err), -EAGAIN);
    config.n_ports = 1;
    close(tcp);
    ck_assert_int_eq(ready_check(&config, &err), -EAGAIN);
    config.n_ports = 0;
    ck_assert_int_eq(ready_check(&config, &err), 0);
}
END_TEST

START_TEST(idle_ends_at_sigterm)
{
    int status, pipe_fds[2];
    pid_t pid;
    char c;

    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            _exit(3); /* a child to be reaped */
        (void)!write(pipe_fds[1], "x", 1);
        _exit(idle_run());
    }
    ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
    usleep(50000);
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
    kill(pid, SIGTERM);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static TCase *settings_case(void)
{
    TCase *c = tcase_create("settings");

    tcase_add_test(c, settings_take_a_full_config);
    tcase_add_loop_test(c, settings_refuse_what_is_wrong, 0,
                        COUNT(bad_configs));
    tcase_add_test(c, settings_have_a_maximum);
    tcase_add_test(c, settings_come_from_the_environment);
    return c;
}

static TCase *environment_case(void)
{
    TCase *c = tcase_create("environment");

    tcase_add_loop_test(c, expansion_is_kubernetes, 0, COUNT(expansions));
    tcase_add_test(c, expansion_has_a_maximum);
    tcase_add_loop_test(c, environment_is_the_kubelets, 0, COUNT(environments));
    tcase_add_test(c, environment_has_a_maximum);
    return c;
}

int main(void)
{
    Suite *suite = suite_create("agent");
    TCase *c = tcase_create("parts");

    tcase_add_test(c, engagements_are_parsed);
    tcase_add_test(c, engagements_belong_to_the_newest);
    tcase_add_test(c, log_ring_keeps_the_last_lines);
    tcase_add_test(c, ready_when_all_listen);
    tcase_add_test(c, idle_ends_at_sigterm);
    suite_add_tcase(suite, settings_case());
    suite_add_tcase(suite, environment_case());
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
