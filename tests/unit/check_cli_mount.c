/* Volumes on the command line: flags, the user's own mounts of docker run, and
 * the records of mounts on this host. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/docker_mounts.h"
#include "cli/docker_run.h"
#include "cli/host_mount.h"
#include "cli/mount_record.h"
#include "suite.h"
#include "tempdir.h"

/* ---- --mount ---- */

static const struct {
    const char *text, *path; /* NULL: an error */
    bool read_only;
} paths[] = {
    {"./web", "./web", false}, {"/mnt/web:ro", "/mnt/web", true},
    {"web:rw", "web", false},  {"a:b", "a:b", false},
    {":ro", ":ro", false},     {"x:ro:ro", "x:ro", true},
    {"", NULL, false},         {"true", NULL, false},
    {"false", NULL, false},
};

START_TEST(test_paths)
{
    struct tp_error err = {0};
    bool read_only;
    cleanup_free char *path =
        host_mount_parse_path(paths[_i].text, &read_only, &err);

    if (!paths[_i].path) {
        ck_assert_ptr_null(path);
        ck_assert_int_eq(err.code, -EINVAL);
        return;
    }
    ck_assert_str_eq(path, paths[_i].path);
    ck_assert_int_eq(read_only, paths[_i].read_only);
}
END_TEST

/* ---- docker run ---- */

static const struct {
    const char *name, *value, *path;
} values[] = {
    {"v", "/src:/data", "/data"},
    {"volume", "name:/data/:ro,z", "/data"},
    {"v", "/data", "/data"},
    {"v", "a:/x//y/", "/x/y"},
    {"v", "a:/", "/"},
    {"tmpfs", "/run:rw,size=1m", "/run"},
    {"mount", "type=bind,source=/a,target=/b", "/b"},
    {"mount", "type=volume,dst=/b/,readonly", "/b"},
    {"mount", "Type=tmpfs,Destination=/c", "/c"},
    {"mount", "type=bind,source=/a,\"target=/with,comma\"", "/with,comma"},
    {"mount", "type=bind,source=/target=/x", NULL},
    {"env", "A=/b:/c", NULL},
    {"volumes-from", "other", NULL},
};

START_TEST(test_what_the_user_mounts)
{
    const char *name = values[_i].name;
    cleanup_free char *path =
        docker_mounts_path(name, strlen(name), values[_i].value);

    if (values[_i].path)
        ck_assert_str_eq(path, values[_i].path);
    else
        ck_assert_ptr_null(path);
}
END_TEST

#define SERVED                                                                 \
    "[{'path':'/data','readOnly':false},"                                      \
    "{'path':'/data/nested','readOnly':true},"                                 \
    "{'path':'/database','readOnly':true},"                                    \
    "{'path':'/etc/one.conf','readOnly':true,'file':true},"                    \
    "{'path':'/run/secrets','readOnly':true}]"

static const struct {
    const char *own, *volumes, *users, *files;
} choices[] = {
    {"[]", "/data /database:ro /run/secrets:ro", "", "/etc/one.conf"},
    {"['/data']", "/database:ro /run/secrets:ro", "/data", "/etc/one.conf"},
    {"['/data/deep/er']", "/database:ro /run/secrets:ro", "/data",
     "/etc/one.conf"},
    {"['/run']", "/data /database:ro", "/run/secrets", "/etc/one.conf"},
    {"['/dat','/etc/one']", "/data /database:ro /run/secrets:ro", "",
     "/etc/one.conf"},
    {"['/etc/one.conf']", "/data /database:ro /run/secrets:ro", "/etc/one.conf",
     ""},
    {"['/']", "", "/data /database /etc/one.conf /run/secrets", ""},
    {"['relative']", "/data /database:ro /run/secrets:ro", "", "/etc/one.conf"},
};

static struct json_object *parse(const char *text)
{
    cleanup_free char *copy = strdup(text);

    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return json_tokener_parse(copy);
}

/* "/a /b:ro" of strings or of {"path", "readOnly"}. */
static void flatten(struct json_object *list, char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        bool text = json_object_is_type(item, json_type_string);
        const char *path = text ? json_object_get_string(item)
                                : json_get_str(item, "path", "?");
        size_t used = strlen(out);

        snprintf(out + used, size - used, "%s%s%s", used ? " " : "", path,
                 !text && json_get_bool(item, "readOnly", false) ? ":ro" : "");
    }
}

START_TEST(test_the_users_own_win)
{
    cleanup_json struct json_object *served = parse(SERVED);
    cleanup_json struct json_object *own = parse(choices[_i].own);
    cleanup_json struct json_object *out = docker_mounts_choose(served, own);
    char text[256];

    flatten(json_get_array(out, "volumes"), text, sizeof(text));
    ck_assert_str_eq(text, choices[_i].volumes);
    flatten(json_get_array(out, "own"), text, sizeof(text));
    ck_assert_str_eq(text, choices[_i].users);
    flatten(json_get_array(out, "files"), text, sizeof(text));
    ck_assert_str_eq(text, choices[_i].files);
}
END_TEST

/* A volume whose submount can be written is not mounted read-only. */
START_TEST(test_read_only_only_as_a_whole)
{
    cleanup_json struct json_object *served =
        parse("[{'path':'/a','readOnly':true},"
              "{'path':'/a/b','readOnly':false}]");
    cleanup_json struct json_object *out = docker_mounts_choose(served, NULL);
    char text[64];

    flatten(json_get_array(out, "volumes"), text, sizeof(text));
    ck_assert_str_eq(text, "/a");
}
END_TEST

/* Docker itself refuses it where the driver is not there: it never becomes an
 * empty local volume. */
START_TEST(test_the_driver_is_named)
{
    cleanup_json struct json_object *volume =
        parse("{'name':'n','driver':'tp','path':'/a','readOnly':true}");
    cleanup_json struct json_object *odd =
        parse("{'name':'n','driver':'tp','path':'/a,b','readOnly':false}");
    cleanup_free char *text = docker_mounts_option(volume);
    cleanup_free char *quoted = docker_mounts_option(odd);

    ck_assert_str_eq(text, "type=volume,source=n,target=/a,volume-driver=tp,"
                           "volume-nocopy");
    ck_assert_str_eq(quoted, "type=volume,source=n,\"target=/a,b\","
                             "volume-driver=tp,volume-nocopy");
}
END_TEST

START_TEST(test_docker_run_mounts)
{
    cleanup_json struct json_object *volumes =
        parse("[{'name':'n','driver':'tp','path':'/a'}]");
    char *words[] = {(char[]){"docker"},       (char[]){"run"},
                     (char[]){"-itv"},         (char[]){"x:/one"},
                     (char[]){"-v/s:/two:ro"}, (char[]){"--tmpfs=/three"},
                     (char[]){"--mount"},      (char[]){"type=bind,dst=/four"},
                     (char[]){"img"},          (char[]){"-v"},
                     (char[]){"y:/five"},      NULL};
    struct docker_run run;
    struct tp_error err = {0};
    char text[128];

    ck_assert_int_eq(
        docker_run_build(&run, words, "d", NULL, NULL, volumes, &err), 0);
    flatten(run.own_mounts, text, sizeof(text));
    ck_assert_str_eq(text, "/one /two /three /four");
    ck_assert_str_eq(run.argv[4], "--mount");
    ck_assert_ptr_nonnull(strstr(run.argv[5], "source=n,target=/a"));
    ck_assert_str_eq(run.argv[6], "-itv");
    docker_run_release(&run);
}
END_TEST

/* ---- records ---- */

static char base[64];
static struct cli cli = {.json = true};

static void set_up(void)
{
    tempdir_make(base);
    setenv("XDG_RUNTIME_DIR", base, 1);
}

static void tear_down(void)
{
    tempdir_remove(base);
}

/* A record whose mounter lives (until it is told to end) or was killed. */
static pid_t make_record(const char *id, const char *name, bool lives)
{
    struct tp_error err = {0};
    cleanup_free char *dir = mount_record_directory(id, &err);
    struct mount_record r = {.dir = dir,
                             .container = (char[]){"c0ffee"},
                             .engagement = strdup(name),
                             .port = 22};
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_msg(dir != NULL, "%s", err.text);
    ck_assert_int_eq(mount_record_write(dir, &r, &err), 0);
    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL); /* Check's own ends the whole test */
        if (mount_record_lock(dir, &err) < 0 || write(ready[1], "x", 1) != 1)
            _exit(9);
        pause();
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    free(r.engagement);
    if (!lives) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return pid;
}

static bool is_there(const char *id)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/tp/%s", base, id);
    return access(path, F_OK) == 0;
}

START_TEST(test_only_the_living_are_found)
{
    struct mount_record r;
    struct tp_error err = {0};
    pid_t pid = make_record("one", "web", true);

    make_record("two", "db", false);
    ck_assert_int_eq(mount_record_find(&r, "c0ffee", "web"), 1);
    ck_assert_int_eq(r.pid, pid);
    ck_assert_int_eq(r.port, 22);
    mount_record_release(&r);
    ck_assert_int_eq(mount_record_find(&r, "c0ffee", "db"), 0);
    ck_assert_int_eq(mount_record_find(&r, "other", "web"), 0);
    mount_record_sweep(&cli);
    ck_assert(is_there("one"));
    ck_assert(!is_there("two"));
    ck_assert_int_eq(mount_record_end(&cli, "c0ffee", "web", -1, &err), 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), pid);
    ck_assert(!is_there("one"));
}
END_TEST

START_TEST(test_others_are_left_alone)
{
    struct tp_error err = {0};
    pid_t pid = make_record("one", "web", true);

    ck_assert_int_eq(mount_record_end(&cli, "c0ffee", "db", -1, &err), 0);
    ck_assert_int_eq(mount_record_end(&cli, "beef", NULL, -1, &err), 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
    ck_assert_int_eq(mount_record_end(&cli, "c0ffee", NULL, -1, &err), 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), pid);
}
END_TEST

START_TEST(test_records_are_private)
{
    struct tp_error err = {0};
    cleanup_free char *dir = mount_record_directory("one", &err);
    struct stat st;
    char open_path[128];

    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    ck_assert_int_eq(mount_record_lock(dir, &err), 0);
    snprintf(open_path, sizeof(open_path), "%s/tp/two", base);
    ck_assert_int_eq(mkdir(open_path, 0700), 0);
    ck_assert_int_eq(chmod(open_path, 0777), 0);
    ck_assert_ptr_null(mount_record_directory("two", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "not only yours"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cli-mount");
    TCase *tc = tcase_create("flags"), *records = tcase_create("records");

    tcase_add_loop_test(tc, test_paths, 0, sizeof(paths) / sizeof(*paths));
    tcase_add_loop_test(tc, test_what_the_user_mounts, 0,
                        sizeof(values) / sizeof(*values));
    tcase_add_loop_test(tc, test_the_users_own_win, 0,
                        sizeof(choices) / sizeof(*choices));
    tcase_add_test(tc, test_read_only_only_as_a_whole);
    tcase_add_test(tc, test_the_driver_is_named);
    tcase_add_test(tc, test_docker_run_mounts);
    tcase_add_checked_fixture(records, set_up, tear_down);
    tcase_add_test(records, test_only_the_living_are_found);
    tcase_add_test(records, test_others_are_left_alone);
    tcase_add_test(records, test_records_are_private);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, records);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
