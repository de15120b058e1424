/* check_kubeconfig.c - kubeconfigs in all their forms, and credential plugins
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/kubeconfig.h"
#include "kube/yaml.h"
#include "suite.h"
#include "tempdir.h"

static char dir[64];

static void setup(void)
{
    static const char *const unset[] = {"HTTPS_PROXY", "https_proxy",
                                        "NO_PROXY", "no_proxy", "KUBECONFIG"};

    for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
        unsetenv(unset[i]);
    tempdir_make(dir);
    setenv("HOME", dir, 1);
}

static void teardown(void)
{
    tempdir_remove(dir);
}

/* Writes dir/name; returns its path, valid until the next call. */
static const char *put(const char *name, const char *text)
{
    static char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    return path;
}

#define PEM "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
#define PEM64                                                                  \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVE"   \
    "UtLS0tLQo="

/* A kubeconfig of one context whose cluster and user have these lines. */
static char *config(const char *cluster, const char *user)
{
    char *text;

    ck_assert_int_gt(
        asprintf(&text,
                 "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                 "contexts:\n- name: c\n  context: {cluster: k, user: u, "
                 "namespace: team-a}\n"
                 "clusters:\n- name: k\n  cluster:\n    server: "
                 "https://h:6443/p/\n%s"
                 "users:\n- name: u\n  user:\n    as: ''\n%s",
                 cluster, user),
        0);
    return text;
}

static int parse(struct kube_context *ctx, const char *cluster,
                 const char *user, struct tp_error *err)
{
    cleanup_free char *text = config(cluster, user);
    struct kube_select sel = {0};

    return kube_context_parse(ctx, &sel, text, strlen(text), dir, err);
}

START_TEST(data_wins_over_files_and_paths_are_relative_to_the_file)
{
    struct kube_context ctx;
    struct tp_error err = {0};

    put("ca.pem", "-----BEGIN CERTIFICATE-----\nfile\n");
    put("key.pem", "-----BEGIN PRIVATE KEY-----\nkey\n");
    ck_assert_msg(parse(&ctx,
                        "    certificate-authority: ca.pem\n"
                        "    certificate-authority-data: " PEM64 "\n"
                        "    tls-server-name: api.test\n",
                        "    client-certificate: ca.pem\n"
                        "    client-key: key.pem\n",
                        &err) == 0,
                  "%s", err.text);
    ck_assert_str_eq(ctx.name, "c");
    ck_assert_str_eq(ctx.cluster, "k");
    ck_assert_str_eq(ctx.user, "u");
    ck_assert_str_eq(ctx.namespace, "team-a");
    ck_assert_str_eq(ctx.endpoint.ca_pem, PEM);
    ck_assert_str_eq(ctx.endpoint.tls_server_name, "api.test");
    ck_assert_ptr_nonnull(strstr(ctx.endpoint.cert_pem, "file"));
    ck_assert_ptr_nonnull(strstr(ctx.endpoint.key_pem, "key"));
    ck_assert_ptr_null(ctx.exec);
    kube_context_release(&ctx);
}
END_TEST

START_TEST(token_file_wins_over_token)
{
    struct kube_context ctx;
    struct tp_error err = {0};

    put("token", "from-file\n");
    ck_assert_int_eq(
        parse(&ctx, "", "    token: inline\n    tokenFile: token\n", &err), 0);
    ck_assert_str_eq(ctx.endpoint.token, "from-file");
    ck_assert_ptr_nonnull(strstr(ctx.endpoint.token_file, "/token"));
    kube_context_release(&ctx);
}
END_TEST

START_TEST(impersonation_and_basic_authentication)
{
    struct kube_context ctx;
    struct tp_error err = {0};
    cleanup_free char *text = config("", "    username: me\n"
                                         "    password: '123'\n"
                                         "    as-groups: [a, b]\n"
                                         "    as-uid: '7'\n"
                                         "    as-user-extra: {k: [v]}\n");
    struct kube_select sel = {.as_user = "bob", .namespace = "other"};

    ck_assert_int_eq(
        kube_context_parse(&ctx, &sel, text, strlen(text), dir, &err), 0);
    ck_assert_str_eq(ctx.endpoint.username, "me");
    ck_assert_str_eq(ctx.endpoint.password, "123");
    ck_assert_str_eq(ctx.endpoint.as_user, "bob");
    ck_assert_str_eq(ctx.endpoint.as_uid, "7");
    ck_assert_str_eq(ctx.endpoint.as_groups[1], "b");
    ck_assert_ptr_null(ctx.endpoint.as_groups[2]);
    ck_assert_str_eq(ctx.endpoint.as_extra_json, "{\"k\":[\"v\"]}");
    ck_assert_str_eq(ctx.namespace, "other");
    kube_context_release(&ctx);
}
END_TEST

/* Each of these ends in one line that holds the given words. */
static const struct bad_case {
    const char *cluster, *user, *words;
} bad_cases[] = {
    {"    server: http://h\n", "", "needs https"},
    {"    server: h:6443\n", "", "not an https:// URL"},
    {"    server: https://h:99999\n", "", "not a URL"},
    {"    server: https://[::1\n", "", "not a URL"},
    {"    server: 'https://user@h'\n", "", "not a URL"},
    {"    server: ''\n", "", "cluster 'k' has no server"},
    {"    server: 7\n", "", "server must be text"},
    {"    certificate-authority-data: '%%%'\n", "", "must be base64"},
    {"    certificate-authority-data: QUJD\n", "", "must be PEM"},
    {"    certificate-authority-data: QUJ=D\n", "", "must be base64"},
    {"    certificate-authority-data: QU=JREVG\n", "", "must be base64"},
    {"    certificate-authority-data: QUJDQQ======\n", "", "must be base64"},
    {"    certificate-authority: nowhere.pem\n", "", "cannot read"},
    {"    insecure-skip-tls-verify: maybe\n", "", "true or false"},
    {"    insecure-skip-tls-verify: true\n"
     "    certificate-authority-data: " PEM64 "\n",
     "", "one must go"},
    {"    proxy-url: socks5://p:1080\n", "", "tp cannot use"},
    {"", "    client-certificate-data: " PEM64 "\n", "without its key"},
    {"", "    token: 12345\n", "token must be text"},
    {"", "    tokenFile: missing\n", "cannot read"},
    {"", "    as-groups: [a]\n", "needs a user"},
    {"", "    as-groups: a\n", "must be a list"},
    {"", "    auth-provider: {name: gcp}\n", "exec plugin"},
    {"", "    exec: {command: x}\n", "exec.apiVersion is missing"},
    {"",
     "    exec: {command: x, apiVersion: client.authentication.k8s.io/v1}\n",
     "interactiveMode"},
    {"", "    exec: {apiVersion: client.authentication.k8s.io/v1beta1}\n",
     "no command"},
    {"",
     "    exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: x,"
     " env: [{name: A}]}\n",
     "name and value"},
    {"", "    exec: 5\n", "must be a mapping"},
    {"", "\t- x\n", "line "},
};

START_TEST(bad_input_is_one_clear_line)
{
    const struct bad_case *c = &bad_cases[_i];
    struct kube_context ctx;
    struct tp_error err = {0};

    ck_assert_int_lt(parse(&ctx, c->cluster, c->user, &err), 0);
    ck_assert_msg(strstr(err.text, c->words) != NULL, "'%s' lacks '%s'",
                  err.text, c->words);
    ck_assert_ptr_null(strchr(err.text, '\n'));
    kube_context_release(&ctx);
}
END_TEST

static int load(struct kube_context *ctx, const char *kubeconfig,
                const char *context, struct tp_error *err)
{
    struct kube_select sel = {.kubeconfig = kubeconfig, .context = context};

    return kube_context_load(ctx, &sel, err);
}

START_TEST(the_first_of_several_files_wins)
{
    struct kube_context ctx;
    struct tp_error err = {0};
    char list[256];

    put("a", "clusters: [{name: k, cluster: {server: 'https://a'}}]\n"
             "contexts: [{name: one, context: {cluster: k}}]\n");
    put("b", "current-context: two\n"
             "clusters: [{name: k, cluster: {server: 'https://b',"
             " tls-server-name: x}}, {name: l, cluster: {server: "
             "'https://l'}}]\n"
             "contexts: [{name: two, context: {cluster: l, user: u}}]\n"
             "users: [{name: u, user: {token: t}}]\n");
    snprintf(list, sizeof(list), "%s/missing::%s/a:%s/b", dir, dir, dir);
    setenv("KUBECONFIG", list, 1);

    ck_assert_msg(load(&ctx, NULL, NULL, &err) == 0, "%s", err.text);
    ck_assert_str_eq(ctx.name, "two");
    ck_assert_str_eq(ctx.endpoint.server, "https://l");
    ck_assert_str_eq(ctx.endpoint.token, "t");
    ck_assert_str_eq(ctx.namespace, "default");
    kube_context_release(&ctx);

    ck_assert_int_eq(load(&ctx, NULL, "one", &err), 0);
    ck_assert_str_eq(ctx.endpoint.server, "https://a");
    ck_assert_ptr_null(ctx.endpoint.tls_server_name);
    kube_context_release(&ctx);
}
END_TEST

START_TEST(missing_files_and_contexts_are_named)
{
    struct kube_context ctx;
    struct tp_error err = {0};
    cleanup_free char *text = config("", "");
    const char *path;

    ck_assert_int_eq(load(&ctx, NULL, NULL, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "no kubeconfig"));
    ck_assert_ptr_nonnull(strstr(err.text, "/.kube/config"));
    ck_assert_int_eq(load(&ctx, "/nonexistent", NULL, &err), -ENOENT);
    setenv("KUBECONFIG", "/nonexistent:/neither", 1);
    ck_assert_int_eq(load(&ctx, NULL, NULL, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "KUBECONFIG=/nonexistent"));
    path = put("config", text);
    ck_assert_int_eq(load(&ctx, path, "nope", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "no context 'nope'"));
    ck_assert_ptr_nonnull(strstr(err.text, "there is: c"));
    kube_context_release(&ctx);
    path = put("config", "contexts: [{name: x, context: {cluster: gone}}]\n");
    ck_assert_int_eq(load(&ctx, path, "x", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "cluster 'gone'"));
    kube_context_release(&ctx);
    ck_assert_int_eq(load(&ctx, path, NULL, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "no current context"));
    kube_context_release(&ctx);
}
END_TEST

START_TEST(proxies_follow_the_rules_of_kubectl)
{
    static const struct {
        const char *no_proxy, *server;
        bool proxied;
    } cases[] = {
        {"", "https://api.corp.test", true},
        {"", "https://127.0.0.1:6443", false},
        {"", "https://localhost:6443", false},
        {"", "https://[::1]:6443", false},
        {"*", "https://api.corp.test", false},
        {"corp.test", "https://api.corp.test", false},
        {"corp.test", "https://corp.test", false},
        {".corp.test", "https://corp.test", true},
        {".corp.test", "https://api.corp.test", false},
        {"*.corp.test", "https://api.corp.test", false},
        {"corp.test", "https://notcorp.test", true},
        {"x, corp.test:6443", "https://api.corp.test:6443", false},
        {"corp.test:443", "https://api.corp.test:6443", true},
        {"10.0.0.0/8", "https://10.1.2.3", false},
        {"10.0.0.0/8", "https://11.1.2.3", true},
        {"10.1.2.3", "https://10.1.2.3:6443", false},
        {"fd00::/8", "https://[fd00::1]", false},
    };

    setenv("HTTPS_PROXY", "proxy.test:3128", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_free char *url = NULL;

        setenv("NO_PROXY", cases[i].no_proxy, 1);
        url = kube_proxy_from_environment(cases[i].server);
        ck_assert_msg(
            !strcmp(url, cases[i].proxied ? "http://proxy.test:3128" : ""),
            "case %zu: %s", i, url);
    }
}
END_TEST

START_TEST(servers_are_split)
{
    cleanup_free char *host = NULL, *path = NULL, *host6 = NULL, *path6 = NULL;
    unsigned short port;

    ck_assert_int_eq(
        kube_server_split("https://h/a/b/", &host, &port, &path, NULL), 0);
    ck_assert_str_eq(host, "h");
    ck_assert_int_eq(port, 443);
    ck_assert_str_eq(path, "/a/b");
    ck_assert_int_eq(kube_server_split("https://[fd00::1]:6443", &host6, &port,
                                       &path6, NULL),
                     0);
    ck_assert_str_eq(host6, "fd00::1");
    ck_assert_int_eq(port, 6443);
    ck_assert_str_eq(path6, "");
}
END_TEST

START_TEST(yaml_bombs_are_refused)
{
    struct tp_error err = {0};
    char bomb[2048] = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n", deep[128];

    for (int i = 1; i < 9; i++) {
        size_t used = strlen(bomb);

        snprintf(bomb + used, sizeof(bomb) - used,
                 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
                 i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                 i - 1);
    }
    ck_assert_ptr_null(yaml_parse_text(bomb, strlen(bomb), false, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "too large"));
    memset(deep, '[', 100);
    deep[100] = '\0';
    ck_assert_ptr_null(yaml_parse_text(deep, 100, false, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "too deep"));
    ck_assert_ptr_null(yaml_parse_text("a: &a [*a]", 10, false, &err));
    ck_assert_ptr_null(yaml_parse_text("a: 1\na: 2", 9, true, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "given twice"));
}
END_TEST

/* Found by fuzzing: the inner value leaked. */
START_TEST(yaml_anchor_given_again_inside_itself)
{
    static const char text[] = "&a {b: &a {c: 1}, d: *a}";
    cleanup_json struct json_object *obj =
        yaml_parse_text(text, strlen(text), true, NULL);

    ck_assert_int_eq(json_get_int(obj, "d.c", 0), 1);
}
END_TEST

START_TEST(yaml_scalars_have_their_types)
{
    static const char text[] = "i: 7\nn: -1\nz: 007\nd: 1.5\nt: true\n"
                               "s: '7'\nv: 1.2.3\ne: ~\nx: &q {y: 1}\nw: *q\n";
    cleanup_json struct json_object *obj =
        yaml_parse_text(text, strlen(text), true, NULL);

    ck_assert_ptr_nonnull(obj);
    ck_assert_str_eq(
        json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN),
        "{\"i\":7,\"n\":-1,\"z\":\"007\",\"d\":1.5,\"t\":true,\"s\":\"7\","
        "\"v\":\"1.2.3\",\"e\":null,\"x\":{\"y\":1},\"w\":{\"y\":1}}");
}
END_TEST

#define V1 "client.authentication.k8s.io/v1"

START_TEST(exec_credentials_are_checked)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
         "\",\"status\":{\"token\":\"t\",\"expirationTimestamp\":"
         "\"2026-11-23T15:00:00Z\"}}",
         true},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
         "\",\"status\":{\"clientCertificateData\":\"C\","
         "\"clientKeyData\":\"K\"}}",
         true},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
         "\",\"status\":{\"clientCertificateData\":\"C\"}}",
         false},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
         "\",\"status\":{\"token\":\"a\\nb\"}}",
         false},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
         "\",\"status\":{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}}",
         false},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "beta1"
         "\",\"status\":{\"token\":\"t\"}}",
         false},
        {"{\"kind\":\"Other\"}", false},
        {"token", false},
        {"", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kube_credentials c;
        struct tp_error err = {0};
        int rc =
            kube_exec_parse(cases[i].text, strlen(cases[i].text), V1, &c, &err);

        ck_assert_msg((rc == 0) == cases[i].good, "case %zu: %s", i, err.text);
        if (i == 0)
            ck_assert_int_eq(c.expires, 1795446000);
        kube_credentials_release(&c);
    }
}
END_TEST

START_TEST(times_are_read_with_their_zone)
{
    int64_t a, b;

    ck_assert_int_eq(kube_parse_time("2026-11-23T16:00:00+01:00", &a), 0);
    ck_assert_int_eq(kube_parse_time("2026-11-23T15:00:00.123456Z", &b), 0);
    ck_assert_int_eq(a, b);
    ck_assert_int_eq(kube_parse_time("2026-11-23T15:00:00", &a), -EINVAL);
    ck_assert_int_eq(kube_parse_time("2026-11-23T15:00:00+1", &a), -EINVAL);
}
END_TEST

/* A context whose plugin is this shell script. */
static void load_plugin(struct kube_context *ctx, const char *script)
{
    struct tp_error err = {0};
    char body[1024];

    snprintf(body, sizeof(body), "#!/bin/sh\n%s\n", script);
    ck_assert_int_eq(chmod(put("plugin", body), 0700), 0);
    ck_assert_msg(
        parse(ctx,
              "    extensions:\n    - name: client.authentication.k8s.io/exec\n"
              "      extension: {audience: 7}\n",
              "    exec:\n      apiVersion: " V1 "\n      command: ./plugin\n"
              "      args: ['a b', '$(touch x)']\n"
              "      env: [{name: GREETING, value: hi}]\n"
              "      interactiveMode: Never\n      provideClusterInfo: true\n"
              "      installHint: |\n        get it\n        here\n",
              &err) == 0,
        "%s", err.text);
}

#define ANSWER                                                                 \
    "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1                  \
    "\",\"status\":{\"token\":\"'\"$T\"'\"}}'"

START_TEST(plugin_gets_argv_environment_and_cluster)
{
    struct kube_context ctx;
    struct kube_credentials c;
    struct tp_error err = {0};

    load_plugin(&ctx,
                "case $KUBERNETES_EXEC_INFO in *'\"server\":\"https://h:6443/"
                "p\"'*'\"audience\":7'*'\"interactive\":false'*) ;; *) exit 9"
                ";; esac\n"
                "T=\"$#:$1:$2:$GREETING\"; " ANSWER);
    ck_assert_msg(kube_exec_run(ctx.exec, false, &c, &err) == 0, "%s",
                  err.text);
    ck_assert_str_eq(c.token, "2:a b:$(touch x):hi");
    kube_credentials_release(&c);
    kube_context_release(&ctx);
}
END_TEST

START_TEST(plugin_that_fails_is_explained)
{
    struct kube_context ctx;
    struct kube_credentials c;
    struct tp_error err = {0};

    load_plugin(&ctx, "exit 3");
    ck_assert_int_lt(kube_exec_run(ctx.exec, true, &c, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "failed with status 3"));
    unlink(ctx.exec->argv[0]);
    ck_assert_int_eq(kube_exec_run(ctx.exec, true, &c, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "get it here"));
    kube_context_release(&ctx);

    load_plugin(&ctx, "yes | head -c 3000000");
    ck_assert_int_lt(kube_exec_run(ctx.exec, true, &c, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "prints more than"));
    ctx.exec->mode = KUBE_EXEC_ALWAYS;
    ck_assert_int_eq(kube_exec_run(ctx.exec, true, &c, &err), -ENOTTY);
    kube_context_release(&ctx);
}
END_TEST

/* However tp ends: nobody would read what the plugin says then. */
START_TEST(plugin_ends_with_tp)
{
    struct kube_context ctx;
    struct kube_credentials c;
    int pid = 0, status = 0;
    char path[256];
    pid_t tp;
    FILE *f;

    load_plugin(&ctx, "echo $$ >pid.new; mv pid.new pid; exec sleep 600");
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    tp = fork();
    if (tp == 0) {
        if (chdir(dir) == 0)
            kube_exec_run(ctx.exec, false, &c, NULL);
        _exit(1);
    }
    snprintf(path, sizeof(path), "%s/pid", dir);
    while (!(f = fopen(path, "r")))
        usleep(1000);
    ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
    fclose(f);
    ck_assert_int_eq(kill(tp, SIGKILL), 0);
    ck_assert_int_eq(waitpid(tp, &status, 0), tp);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    kube_context_release(&ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kubeconfig");
    TCase *tc = tcase_create("kubeconfig");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, data_wins_over_files_and_paths_are_relative_to_the_file);
    tcase_add_test(tc, token_file_wins_over_token);
    tcase_add_test(tc, impersonation_and_basic_authentication);
    tcase_add_loop_test(tc, bad_input_is_one_clear_line, 0,
                        sizeof(bad_cases) / sizeof(bad_cases[0]));
    tcase_add_test(tc, the_first_of_several_files_wins);
    tcase_add_test(tc, missing_files_and_contexts_are_named);
    tcase_add_test(tc, proxies_follow_the_rules_of_kubectl);
    tcase_add_test(tc, servers_are_split);
    tcase_add_test(tc, yaml_bombs_are_refused);
    tcase_add_test(tc, yaml_anchor_given_again_inside_itself);
    tcase_add_test(tc, yaml_scalars_have_their_types);
    tcase_add_test(tc, exec_credentials_are_checked);
    tcase_add_test(tc, times_are_read_with_their_zone);
    tcase_add_test(tc, plugin_gets_argv_environment_and_cluster);
    tcase_add_test(tc, plugin_that_fails_is_explained);
    tcase_add_test(tc, plugin_ends_with_tp);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
