/* The flags of intercept and the like, environment files, docker run. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/docker_run.h"
#include "cli/engage_options.h"
#include "cli/environment.h"
#include "cli/limits.h"
#include "cli/program.h"
#include "suite.h"
#include "tempdir.h"

/* ---- ports ---- */

static const struct {
    const char *text, *json; /* NULL: an error */
} ports[] = {
    {"8080:http", "{\"local\":8080,\"remote\":\"http\",\"protocol\":\"tcp\"}"},
    {"8080", "{\"local\":8080,\"remote\":\"\",\"protocol\":\"tcp\"}"},
    {"53:53/udp", "{\"local\":53,\"remote\":\"53\",\"protocol\":\"udp\"}"},
    {"1:65535/tcp", "{\"local\":1,\"remote\":\"65535\",\"protocol\":\"tcp\"}"},
    {"0:80", NULL},
    {"http:8080", NULL},
    {"8080:", NULL},
    {"8080:80000", NULL},
    {"8080:HTTP", NULL},
    {"8080:http/sctp", NULL},
    {"", NULL},
    {"8080:a b", NULL},
};

START_TEST(test_ports)
{
    struct tp_error err = {0};
    struct json_object *obj = engage_parse_port(ports[_i].text, &err);

    if (ports[_i].json) {
        ck_assert_msg(obj != NULL, "%s", err.text);
        ck_assert_str_eq(
            json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN),
            ports[_i].json);
    } else {
        ck_assert_ptr_null(obj);
        ck_assert_int_eq(err.code, -EINVAL);
    }
    json_object_put(obj);
}
END_TEST

START_TEST(test_to_pod)
{
    struct tp_error err = {0};
    struct json_object *obj = engage_parse_to_pod("5432", &err);

    ck_assert_str_eq(
        json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN),
        "{\"port\":5432,\"protocol\":\"tcp\"}");
    json_object_put(obj);
    ck_assert_ptr_null(engage_parse_to_pod("db", &err));
}
END_TEST

static const struct {
    const char *text, *workload, *name, *container;
} targets[] = {
    {"web", "web", "web", ""},
    {"web/app", "web", "web", "app"},
    {"deploy/web", "deploy/web", "web", ""},
    {"sts/db/side", "sts/db", "db", "side"},
    {"pod/web-0", "pod/web-0", "web-0", ""},
};

START_TEST(test_targets)
{
    struct engage_target t;
    struct tp_error err = {0};

    ck_assert_int_eq(engage_parse_target(&t, targets[_i].text, &err), 0);
    ck_assert_str_eq(t.workload, targets[_i].workload);
    ck_assert_str_eq(t.name, targets[_i].name);
    ck_assert_str_eq(t.container, targets[_i].container);
    ck_assert_int_lt(engage_parse_target(&t, "a/b/c", &err), 0);
    ck_assert_int_lt(engage_parse_target(&t, "deploy/", &err), 0);
    ck_assert_int_lt(engage_parse_target(&t, "cm/web", &err), 0);
    ck_assert_msg(strstr(err.text, "the kinds are deploy"), "%s", err.text);
    ck_assert_int_eq(engage_parse_target(&t, "deploy/cm/web", &err), 0);
    ck_assert_int_lt(engage_parse_target(&t, "", &err), 0);
}
END_TEST

/* ---- environment ---- */

static struct json_object *hostile_environment(void)
{
    struct json_object *env = json_object_new_object();

    json_put_str(env, "PLAIN", "a b=c");
    json_put_str(env, "EMPTY", "");
    json_put_str(env, "QUOTES", "it's \"so\" \\ $HOME `id` $(touch x)");
    json_put_str(env, "LINES", "one\ntwo\033[31m");
    json_put_str(env, "my.key-1", "dots");
    json_put_str(env, "bad name", "x");
    json_put_str(env, "1ST", "x");
    return env;
}

START_TEST(test_left_out_are_named)
{
    cleanup_json struct json_object *env = hostile_environment();
    char names[64], little[8];

    environment_left_out(env, "docker", names, sizeof(names));
    ck_assert_str_eq(names, "LINES");
    environment_left_out(env, "sh", names, sizeof(names));
    ck_assert_str_eq(names, "my.key-1");
    environment_left_out(env, "compose", names, sizeof(names));
    ck_assert_str_eq(names, "");
    environment_left_out(env, "sh", little, sizeof(little));
    ck_assert_str_eq(little, "my.key-");
}
END_TEST

START_TEST(test_docker_syntax)
{
    cleanup_json struct json_object *env = hostile_environment();
    size_t skipped;
    cleanup_free char *text = environment_format(env, "docker", &skipped);

    ck_assert_str_eq(text, "PLAIN=a b=c\nEMPTY=\n"
                           "QUOTES=it's \"so\" \\ $HOME `id` $(touch x)\n"
                           "my.key-1=dots\n");
    ck_assert_uint_eq(skipped, 1);
    ck_assert_uint_eq(environment_count_odd(env), 2);
}
END_TEST

START_TEST(test_compose_syntax)
{
    cleanup_json struct json_object *env = json_object_new_object();
    size_t skipped;
    cleanup_free char *text = NULL;

    json_put_str(env, "A", "x\ny \"q\" $B \\");
    text = environment_format(env, "compose", &skipped);
    ck_assert_str_eq(text, "A=\"x\\ny \\\"q\\\" $$B \\\\\"\n");
    ck_assert_uint_eq(skipped, 0);
}
END_TEST

/* A real shell must read back what was written, and run nothing of it. */
START_TEST(test_sh_syntax)
{
    cleanup_json struct json_object *env = hostile_environment();
    char dir[64], path[72], script[256], want[128];
    static char sh[] = "sh", flag[] = "-c";
    char *argv[] = {sh, flag, script, NULL};
    struct tp_error err = {0};
    size_t skipped;
    cleanup_free char *text = environment_format(env, "sh", &skipped);

    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/env", dir);
    ck_assert_int_eq(environment_write(path, text, &err), 0);
    snprintf(script, sizeof(script),
             "cd %s && . ./env && test \"$LINES\" = 'one\n"
             "two\033[31m' && test \"$EMPTY\" = '' && test ! -e x",
             dir);
    ck_assert_int_eq(program_run("sh", argv, NULL, -1, &err), 0);
    snprintf(want, sizeof(want), "export QUOTES='it'\\''s");
    ck_assert_ptr_nonnull(strstr(text, want));
    ck_assert_uint_eq(skipped, 1);
    unlink(path);
    tempdir_remove(dir);
}
END_TEST

/* tp awaits signals itself by then; the program has them as ever. */
START_TEST(test_a_program_has_its_signals)
{
    static char sh[] = "sh", flag[] = "-c", script[] = "kill -TERM $$; exit 3";
    char *argv[] = {sh, flag, script, NULL};
    struct tp_error err = {0};
    sigset_t set, before;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    ck_assert_int_eq(program_run("sh", argv, NULL, -1, &err), 128 + SIGTERM);
    sigprocmask(SIG_SETMASK, &before, NULL);
}
END_TEST

START_TEST(test_files_are_private)
{
    char dir[64], path[72];
    struct tp_error err = {0};
    struct stat st;

    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/env", dir);
    umask(0);
    ck_assert_int_eq(environment_write(path, "A=b\n", &err), 0);
    ck_assert_int_eq(environment_write(path, "A=c\n", &err), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_lt(environment_write("/no/such/dir/x", "", &err), 0);
    unlink(path);
    tempdir_remove(dir);
}
END_TEST

/* ---- docker run ---- */

static struct docker_run built;
static struct tp_error error;
static const struct limits *limits;

static int build(const char *line, struct json_object *env)
{
    cleanup_free char *copy = strdup(line);
    char *words[32], *save = NULL;
    size_t n = 0;

    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    words[n] = NULL;
    ck_assert(docker_run_is(words));
    memset(&error, 0, sizeof(error));
    return docker_run_build(&built, words, "tp-daemon", env, limits, NULL,
                            &error);
}

static void joined(char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0; built.argv[i]; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? " " : "",
                 built.argv[i]);
}

static const struct {
    const char *line, *result, *error;
} runs[] = {
    {"docker run --rm -it img psql -p 5432",
     "docker run --network container:tp-daemon --rm -it img psql -p 5432",
     NULL},
    {"/usr/bin/docker container run -v a:b --name=x img",
     "/usr/bin/docker container run --network container:tp-daemon -v a:b "
     "--name=x img",
     NULL},
    {"docker run --memory 1g img --network host",
     "docker run --network container:tp-daemon --memory 1g img --network host",
     NULL},
    {"docker run -p 80:80 img", NULL, "tp connect --publish"},
    {"docker run -itp80:80 img", NULL, "tp connect --publish"},
    {"docker run --publish=80 img", NULL, "tp connect --publish"},
    {"docker run --rm --network host img", NULL, "session's network"},
    {"docker run -h me img", NULL, "tp connect --hostname"},
    {"docker run --dns 8.8.8.8 img", NULL, "cluster's"},
    {"docker run --rm", NULL, "no image"},
    {"docker run -v", NULL, "no image"},
};

START_TEST(test_docker_run)
{
    char text[512];
    int rc = build(runs[_i].line, NULL);

    if (runs[_i].result) {
        ck_assert_msg(rc == 0, "%s", error.text);
        joined(text, sizeof(text));
        ck_assert_str_eq(text, runs[_i].result);
    } else {
        ck_assert_int_eq(rc, -EINVAL);
        ck_assert_msg(strstr(error.text, runs[_i].error), "%s", error.text);
    }
    docker_run_release(&built);
}
END_TEST

START_TEST(test_detached_is_seen)
{
    ck_assert_int_eq(build("docker run -dit img", NULL), 0);
    ck_assert(built.detached);
    docker_run_release(&built);
    ck_assert_int_eq(build("docker run --detach=false img -d", NULL), 0);
    ck_assert(!built.detached);
    docker_run_release(&built);
}
END_TEST

/* What comes from the cluster must not steer the docker program. */
START_TEST(test_environment_of_docker)
{
    cleanup_json struct json_object *env = json_object_new_object();
    char text[1024];

    json_put_str(env, "SECRET", "hunter2");
    json_put_str(env, "KEY", "line\nline");
    json_put_str(env, "LD_PRELOAD", "/evil.so\n");
    json_put_str(env, "DOCKER_HOST", "tcp://evil");
    setenv("DOCKER_HOST", "unix:///mine", 1);
    ck_assert_int_eq(build("docker run img", env), 0);
    joined(text, sizeof(text));
    ck_assert_ptr_null(strstr(text, "hunter2"));
    ck_assert_ptr_nonnull(strstr(text, "-e KEY "));
    ck_assert_ptr_null(strstr(text, "LD_PRELOAD"));
    ck_assert_uint_eq(built.left_out, 1);
    for (size_t i = 0; built.envp[i]; i++) {
        ck_assert_str_ne(built.envp[i], "DOCKER_HOST=tcp://evil");
        ck_assert_ptr_ne(strstr(built.envp[i], "LD_PRELOAD=/evil"),
                         built.envp[i]);
    }
    docker_run_release(&built);
}
END_TEST

static const struct {
    const char *line, *result;
} limited[] = {
    {"docker run img", "--cpus 0.500 --memory 134217728 img"},
    {"docker run --cpus=1 img", "--memory 134217728 --cpus=1 img"},
    {"docker run --cpu-quota 9 img", "--memory 134217728 --cpu-quota 9 img"},
    {"docker run -m 1g img", "--cpus 0.500 -m 1g img"},
    {"docker run -itm1g img", "--cpus 0.500 -itm1g img"},
    {"docker run --memory 1g img", "--cpus 0.500 --memory 1g img"},
    {"docker run --memory-swap 1g img",
     "--cpus 0.500 --memory 134217728 --memory-swap 1g img"},
    {"docker run img --cpus 1 -m 2",
     "--cpus 0.500 --memory 134217728 img --cpus 1 -m 2"},
};

/* The user's own flags win. */
START_TEST(test_limits_of_docker)
{
    static const struct limits half = {500, 128 * 1024 * 1024};
    static const char head[] = "docker run --network container:tp-daemon ";
    char text[512];

    limits = &half;
    ck_assert_int_eq(build(limited[_i].line, NULL), 0);
    limits = NULL;
    joined(text, sizeof(text));
    ck_assert_int_eq(strncmp(text, head, strlen(head)), 0);
    ck_assert_str_eq(text + strlen(head), limited[_i].result);
    docker_run_release(&built);
}
END_TEST

static const struct {
    const char *text;
    int64_t scale, value; /* -1: an error */
} quantities[] = {
    {"500m", 1000, 500},
    {"2", 1000, 2000},
    {"0.1", 1000, 100},
    {"1.5", 1000, 1500},
    {".5", 1000, 500},
    {"100u", 1000, 1},
    {"1n", 1000, 1}, /* rounded up */
    {"0", 1000, 0},
    {"128Mi", 1, 134217728},
    {"1G", 1, 1000000000},
    {"1.5Gi", 1, 1610612736},
    {"1e3", 1, 1000},
    {"12E2", 1, 1200},
    {"1E", 1, 1000000000000000000},
    {"128974848", 1, 128974848},
    {"128974848000m", 1, 128974848},
    {"", 1, -1},
    {"Mi", 1, -1},
    {"-1", 1, -1},
    {"1.2.3", 1, -1},
    {"0x10", 1, -1},
    {"1mi", 1, -1},
    {"1e", 1, -1},
    {"1e99", 1, -1},
    {"1 Mi", 1, -1},
    {"99E", 1000, -1},
    {"1111111111111111111111111111111", 1, -1},
};

START_TEST(test_quantities)
{
    int64_t value = -1;
    int rc = limits_parse_quantity(quantities[_i].text, quantities[_i].scale,
                                   &value);

    ck_assert_int_eq(rc, quantities[_i].value < 0 ? -EINVAL : 0);
    ck_assert_msg(value == quantities[_i].value, "%s: %lld",
                  quantities[_i].text, (long long)value);
}
END_TEST

START_TEST(test_limits)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    struct limits l;

    ck_assert_int_eq(limits_parse(&l, obj, &error), 0);
    ck_assert(l.millicpus == 0 && l.memory == 0);
    json_put_str(obj, "cpu", "5m");
    json_put_str(obj, "memory", "1Mi");
    ck_assert_int_eq(limits_parse(&l, obj, &error), 0);
    limits_raise(&l);
    ck_assert(l.millicpus == 10 && l.memory == 6 * 1024 * 1024);
    json_put_str(obj, "memory", "much");
    ck_assert_int_eq(limits_parse(&l, obj, &error), -EINVAL);
    ck_assert_msg(strstr(error.text, "memory: 'much'"), "%s", error.text);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cli-engage");
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_ports, 0, sizeof(ports) / sizeof(*ports));
    tcase_add_test(tc, test_to_pod);
    tcase_add_loop_test(tc, test_targets, 0,
                        sizeof(targets) / sizeof(*targets));
    tcase_add_test(tc, test_left_out_are_named);
    tcase_add_test(tc, test_docker_syntax);
    tcase_add_test(tc, test_compose_syntax);
    tcase_add_test(tc, test_sh_syntax);
    tcase_add_test(tc, test_files_are_private);
    tcase_add_loop_test(tc, test_docker_run, 0, sizeof(runs) / sizeof(*runs));
    tcase_add_test(tc, test_detached_is_seen);
    tcase_add_test(tc, test_a_program_has_its_signals);
    tcase_add_test(tc, test_environment_of_docker);
    tcase_add_loop_test(tc, test_limits_of_docker, 0,
                        sizeof(limited) / sizeof(*limited));
    tcase_add_loop_test(tc, test_quantities, 0,
                        sizeof(quantities) / sizeof(*quantities));
    tcase_add_test(tc, test_limits);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
