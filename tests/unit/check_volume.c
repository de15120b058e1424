/* The volume plugin: options, which mount, the file of volumes, who uses them,
 * and Docker's protocol. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "plugins/volume/mounting.h"
#include "plugins/volume/options.h"
#include "plugins/volume/requests.h"
#include "plugins/volume/served.h"
#include "plugins/volume/volumes.h"
#include "suite.h"
#include "tempdir.h"

static struct json_object *parse(const char *text)
{
    return json_parse_text(text, strlen(text), NULL);
}

/* ---- options ---- */

static void refused(const char *name, const char *text, const char *why)
{
    cleanup_json struct json_object *opts = parse(text);
    struct volume_options o;
    struct tp_error err = {0};

    ck_assert_int_eq(volume_options_parse(&o, name, opts, &err), -EINVAL);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s: %s", text, err.text);
}

START_TEST(test_options)
{
    cleanup_json struct json_object *opts =
        parse("{\"engagement\":\"web\",\"mount\":\"/data\",\"dir\":\"a/b\","
              "\"ro\":\"\",\"strict\":\"true\",\"async_names\":\"false\","
              "\"timeout\":\"7\"}");
    struct volume_options o;
    struct tp_error err = {0};

    ck_assert_int_eq(volume_options_parse(&o, "v.1_x-y", opts, &err), 0);
    ck_assert_str_eq(o.engagement, "web");
    ck_assert_str_eq(o.mount, "/data");
    ck_assert_str_eq(o.dir, "a/b");
    ck_assert(o.read_only && o.strict && !o.async_names && !o.control);
    ck_assert_uint_eq(o.timeout, 7);
}
END_TEST

START_TEST(test_options_refused)
{
    refused("v", "{}", "engagement=NAME");
    refused("v", "{\"engagement\":\"\"}", "bad value");
    refused("v", "{\"engagement\":\"a\\nb\"}", "bad value");
    refused("v", "{\"engagement\":7}", "bad value");
    refused("v", "{\"engagement\":\"w\",\"key\":\"x\"}", "unknown option");
    refused("v", "{\"engagement\":\"w\",\"dir\":\"a/../../b\"}", "below");
    refused("v", "{\"engagement\":\"w\",\"dir\":\"/etc\"}", "below");
    refused("v", "{\"engagement\":\"w\",\"mount\":\"/a/..\"}", "absolute");
    refused("v", "{\"engagement\":\"w\",\"daemon\":\"../x\"}", "container");
    refused("v", "{\"engagement\":\"w\",\"timeout\":\"3601\"}", "bad value");
    refused("../v", "{\"engagement\":\"w\"}", "no name");
    refused("", "{\"engagement\":\"w\"}", "no name");
    refused("v", "[]", "no object");
}
END_TEST

/* Nobody gets a directory where he could play a daemon by an odd name. */
START_TEST(test_options_of_control_volumes)
{
    cleanup_json struct json_object *opts = parse("{\"control\":\"true\"}");
    struct volume_options o;
    struct tp_error err = {0};

    ck_assert_int_eq(volume_options_parse(&o, "tp-ctl-d", opts, &err), 0);
    ck_assert(o.control);
    refused("v", "{\"control\":\"\"}", "tp-ctl-DAEMON");
    refused("tp-ctl-", "{\"control\":\"\"}", "tp-ctl-DAEMON");
    refused("tp-ctl-d", "{\"engagement\":\"w\"}", "for tp connect");
    refused("tp-ctl-d", "{\"control\":\"\",\"ro\":\"\"}", "no other option");
}
END_TEST

/* ---- which mount ---- */

#define FILES(mounts) "{\"mounts\":[" mounts "],\"left_out\":[]}"
#define MOUNT(path)   "{\"path\":\"" path "\",\"readOnly\":false}"
#define TOKEN         MOUNT("/var/run/secrets/kubernetes.io/serviceaccount")

static int choose(struct served *s, const char *mount, const char *dir,
                  const char *files, struct tp_error *err)
{
    struct volume_options o = {.engagement = "web", .mount = mount, .dir = dir};
    cleanup_json struct json_object *obj = parse(files);

    return served_choose(s, &o, "vol", obj, err);
}

static void chosen(const char *mount, const char *dir, const char *files,
                   const char *path)
{
    struct tp_error err = {0};
    struct served s;

    ck_assert_msg(choose(&s, mount, dir, files, &err) == 0, "%s", err.text);
    ck_assert_str_eq(s.path, path);
    ck_assert(!s.read_only);
    served_release(&s);
}

static void not_chosen(const char *mount, const char *files, const char *why)
{
    struct tp_error err = {0};
    struct served s;

    ck_assert_int_lt(choose(&s, mount, NULL, files, &err), 0);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
    served_release(&s);
}

START_TEST(test_served)
{
    chosen(NULL, NULL, FILES(MOUNT("/data")), "/data");
    chosen(NULL, "a", FILES(TOKEN "," MOUNT("/data")), "/data/a");
    chosen("/b/", NULL, FILES(MOUNT("/data") "," MOUNT("/b")), "/b");
    not_chosen(NULL, FILES(MOUNT("/data") "," MOUNT("/b")), "/data, /b");
    not_chosen("/c", FILES(MOUNT("/data")), "does not serve /c");
    not_chosen(NULL, FILES(TOKEN), "give -o mount=PATH");
    not_chosen(NULL, FILES(""), "serves no mount");
    not_chosen(NULL, "{\"error\":\"E\",\"code\":\"no-engagement\"}",
               "run tp intercept web");
    not_chosen(NULL, "{\"error\":\"E\",\"code\":\"x\"}", "web: E");
    not_chosen(NULL, "[]", "does not answer");
}
END_TEST

START_TEST(test_served_read_only)
{
    struct tp_error err = {0};
    struct served s;

    ck_assert_int_eq(choose(&s, NULL, NULL,
                            FILES("{\"path\":\"/d\",\"readOnly\":true}"), &err),
                     0);
    ck_assert(s.read_only);
    served_release(&s);
}
END_TEST

/* ---- the file of volumes ---- */

static char dir[64];
static uv_loop_t loop;
static struct volumes volumes;

static void load(void)
{
    struct tp_error err = {0};

    ck_assert_msg(volumes_load(&volumes, &loop, dir, &err) == 0, "%s",
                  err.text);
}

static void setup(void)
{
    log_set_level(LOG_ERROR);
    tempdir_make(dir);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    load();
}

static void teardown(void)
{
    volumes_release(&volumes);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    tempdir_remove(dir);
}

static int create(const char *name, const char *opts, struct tp_error *err)
{
    cleanup_json struct json_object *obj = parse(opts);

    return volumes_create(&volumes, name, obj, err);
}

static void again(void)
{
    volumes_release(&volumes);
    uv_run(&loop, UV_RUN_NOWAIT);
    load();
}

START_TEST(test_volumes_are_kept)
{
    struct tp_error err = {0};
    struct volume *v;

    ck_assert_int_eq(create("a", "{\"engagement\":\"web\",\"ro\":\"\"}", &err),
                     0);
    ck_assert_int_eq(create("b", "{\"engagement\":\"db\"}", &err), 0);
    ck_assert_int_eq(create("tp-ctl-d", "{\"control\":\"\"}", &err), 0);
    again();
    v = volumes_find(&volumes, "a");
    ck_assert_ptr_nonnull(v);
    ck_assert_str_eq(v->o.engagement, "web");
    ck_assert(v->o.read_only);
    ck_assert_int_eq(volumes_remove(&volumes, v, &err), 0);
    again();
    ck_assert_ptr_null(volumes_find(&volumes, "a"));
    ck_assert_ptr_nonnull(volumes_find(&volumes, "b"));
    ck_assert_ptr_nonnull(volumes_find(&volumes, "tp-ctl-d"));
}
END_TEST

START_TEST(test_a_volume_of_the_same_name)
{
    struct tp_error err = {0};

    ck_assert_int_eq(create("a", "{\"engagement\":\"web\"}", &err), 0);
    ck_assert_int_eq(create("a", "{\"engagement\":\"web\"}", &err), 0);
    ck_assert_int_eq(create("a", "{\"engagement\":\"db\"}", &err), -EEXIST);
    ck_assert_uint_eq(volumes.count, 1);
}
END_TEST

static void write_state(const char *text)
{
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/state.json", dir);
    out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

/* A file that is damaged, or from a version that knew more, is no end. */
START_TEST(test_a_damaged_file)
{
    write_state("{\"volumes\":[{\"name\":\"ok\",\"options\":{\"engagement\":"
                "\"web\"}},{\"name\":\"../x\",\"options\":{\"engagement\":"
                "\"web\"}},{\"name\":\"new\",\"options\":{\"colour\":\"r\"}},"
                "7,null]}");
    again();
    ck_assert_uint_eq(volumes.count, 1);
    ck_assert_ptr_nonnull(volumes_find(&volumes, "ok"));
    write_state("{\"volumes\":[{");
    log_set_level(-1);
    again();
    ck_assert_uint_eq(volumes.count, 0);
}
END_TEST

START_TEST(test_which_daemon)
{
    struct tp_error err = {0};
    char want[128], *path;

    ck_assert_ptr_null(volumes_control_dir(&volumes, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "run tp connect"));
    create("tp-ctl-one", "{\"control\":\"\"}", &err);
    path = volumes_control_dir(&volumes, NULL, &err);
    snprintf(want, sizeof(want), "%s/ctl/tp-ctl-one", dir);
    ck_assert_str_eq(path, want);
    free(path);
    create("tp-ctl-two", "{\"control\":\"\"}", &err);
    ck_assert_ptr_null(volumes_control_dir(&volumes, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "one two"));
    create("tp-ctl-tp-daemon", "{\"control\":\"\"}", &err);
    path = volumes_control_dir(&volumes, NULL, &err);
    snprintf(want, sizeof(want), "%s/ctl/tp-ctl-tp-daemon", dir);
    ck_assert_str_eq(path, want);
    free(path);
    ck_assert_ptr_null(volumes_control_dir(&volumes, "three", &err));
    path = volumes_control_dir(&volumes, "two", &err);
    ck_assert_ptr_nonnull(path);
    free(path);
}
END_TEST

/* ---- who uses a volume ---- */

static char broker[96], mounter[96];
static char last[512];
static unsigned answers;

/* A script that says something on descriptor 4 and stays until SIGTERM. */
static const char *script(char path[96], const char *name, const char *text)
{
    FILE *out;

    snprintf(path, 96, "%s/%s", dir, name);
    out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fprintf(out, "#!/bin/sh\necho . >>%s/%s.runs\n%s\n", dir, name, text);
    fclose(out);
    ck_assert_int_eq(chmod(path, 0755), 0);
    return path;
}

static unsigned runs(const char *name)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s.runs", dir, name);
    return stat(path, &st) < 0 ? 0 : (unsigned)st.st_size / 2;
}

static void answered_cb(void *arg, const char *error)
{
    (void)arg;
    answers++;
    snprintf(last, sizeof(last), "%s", error ? error : "");
}

static void await(unsigned count)
{
    while (answers < count)
        uv_run(&loop, UV_RUN_ONCE);
}

#define STAY "trap 'exit 0' TERM; while :; do sleep 0.05; done"

static struct mounting *users_setup(const char *mount_text)
{
    struct tp_error err = {0};

    answers = 0;
    volumes.broker_program =
        script(broker, "broker", "echo '" FILES(MOUNT("/data")) "' >&4; " STAY);
    volumes.mount_program = script(mounter, "mount", mount_text);
    create("tp-ctl-d", "{\"control\":\"\"}", &err);
    ck_assert_int_eq(create("v", "{\"engagement\":\"web\"}", &err), 0);
    return volumes_find(&volumes, "v")->mounting;
}

START_TEST(test_one_mount_for_all)
{
    struct mounting *m = users_setup("printf '\\0' >&4; " STAY);

    mounting_mount(m, "one", answered_cb, NULL);
    mounting_mount(m, "two", answered_cb, NULL);
    await(2);
    ck_assert_str_eq(last, "");
    ck_assert(mounting_is_up(m));
    mounting_mount(m, "two", answered_cb, NULL); /* again: one user still */
    mounting_unmount(m, "one", answered_cb, NULL);
    mounting_unmount(m, "nobody", answered_cb, NULL);
    ck_assert_uint_eq(answers, 5);
    ck_assert(mounting_is_up(m));
    mounting_unmount(m, "two", answered_cb, NULL);
    ck_assert_uint_eq(answers, 5);
    mounting_mount(m, "three", answered_cb, NULL); /* waits for that */
    await(7);
    ck_assert_str_eq(last, "");
    ck_assert_uint_eq(runs("mount"), 2);
    mounting_unmount(m, "three", answered_cb, NULL);
    await(8);
    ck_assert(mounting_is_idle(m));
}
END_TEST

START_TEST(test_a_mount_that_fails_tells_why)
{
    struct mounting *m =
        users_setup("echo 'tp-mount: no such directory' >&2; exit 1");

    mounting_mount(m, "one", answered_cb, NULL);
    mounting_mount(m, "two", answered_cb, NULL);
    await(2);
    ck_assert_str_eq(last, "no such directory");
    ck_assert(mounting_is_idle(m));
    ck_assert_uint_eq(runs("mount"), 1);
}
END_TEST

START_TEST(test_what_could_not_be_written_is_told)
{
    struct mounting *m = users_setup("printf '\\0' >&4; trap 'exit 1' TERM; "
                                     "while :; do sleep 0.05; done");

    mounting_mount(m, "one", answered_cb, NULL);
    mounting_unmount(m, "one", answered_cb, NULL);
    await(2);
    ck_assert_ptr_nonnull(strstr(last, "could not be written"));
    ck_assert(mounting_is_idle(m));
}
END_TEST

START_TEST(test_a_mount_that_dies_can_be_made_again)
{
    struct mounting *m = users_setup("printf '\\0' >&4; sleep 0.1; exit 3");

    mounting_mount(m, "one", answered_cb, NULL);
    await(1);
    while (!mounting_has_ended(m))
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert(!mounting_is_idle(m)); /* "one" has not gone */
    mounting_mount(m, "two", answered_cb, NULL);
    await(2);
    ck_assert_str_eq(last, "");
    while (!mounting_has_ended(m))
        uv_run(&loop, UV_RUN_ONCE);
    mounting_unmount(m, "one", answered_cb, NULL);
    mounting_unmount(m, "two", answered_cb, NULL);
    ck_assert(mounting_is_idle(m));
}
END_TEST

/* What is mounted stays, and can connect again. */
START_TEST(test_a_broker_that_dies_is_started_again)
{
    struct mounting *m = users_setup("printf '\\0' >&4; " STAY);
    struct tp_error err = {0};

    volumes.broker_program =
        script(broker, "broker",
               "test -z \"$4\" || { echo $4 >>again; " STAY "; }\n"
               "echo '" FILES(MOUNT("/data")) "' >&4; sleep 0.1; exit 5");
    ck_assert_msg(chdir(dir) == 0, "%s", err.text);
    mounting_mount(m, "one", answered_cb, NULL);
    await(1);
    ck_assert_str_eq(last, "");
    while (access("again", F_OK) < 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert(mounting_is_up(m));
    mounting_unmount(m, "one", answered_cb, NULL);
    await(2);
    ck_assert_str_eq(last, "");
    ck_assert(mounting_is_idle(m));
    ck_assert_uint_eq(runs("mount"), 1);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(test_the_end_of_the_plugin)
{
    struct mounting *m = users_setup("printf '\\0' >&4; " STAY);

    mounting_mount(m, "one", answered_cb, NULL);
    await(1);
    mounting_end(m);
    while (!mounting_has_ended(m))
        uv_run(&loop, UV_RUN_ONCE);
    mounting_mount(m, "two", answered_cb, NULL);
    ck_assert_ptr_nonnull(strstr(last, "being disabled"));
    mounting_unmount(m, "one", answered_cb, NULL);
}
END_TEST

/* ---- Docker's protocol ---- */

static struct server *server;
static char sock[96];
static uv_timer_t turn;

static void turn_cb(uv_timer_t *timer)
{
    (void)timer;
}

static void server_setup(void)
{
    struct tp_error err = {0};

    setup();
    snprintf(sock, sizeof(sock), "%s/sock", dir);
    server = server_create(&loop, sock, requests_handle, &volumes, &err);
    ck_assert_msg(server != NULL, "%s", err.text);
    uv_timer_init(&loop, &turn);
    uv_timer_start(&turn, turn_cb, 2, 2);
}

static void server_teardown(void)
{
    server_close(server);
    uv_close((uv_handle_t *)&turn, NULL);
    teardown();
}

static int dial(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, sock);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* One answer, head and body (which is short), or "" at the end. */
static const char *hear(int fd)
{
    static char text[65536];
    size_t len = 0;

    memset(text, 0, sizeof(text));
    for (;;) {
        const char *body = strstr(text, "\r\n\r\n");
        const char *field = strstr(text, "Content-Length: ");
        ssize_t n;

        if (body && field && strlen(body + 4) >= (size_t)atoi(field + 16))
            return text;
        n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
        if (n == 0)
            return text;
        if (n > 0)
            len += (size_t)n;
        else
            uv_run(&loop, UV_RUN_ONCE);
    }
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
                     (ssize_t)strlen(text));
}

static const char *ask(int fd, const char *path, const char *body)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    say(fd, text);
    return hear(fd);
}

#define expect(fd, path, body, part)                                           \
    ck_assert_ptr_nonnull(strstr(ask(fd, path, body), part))

START_TEST(test_calls)
{
    int fd = dial();

    expect(fd, "/Plugin.Activate", "", "\"VolumeDriver\"");
    expect(fd, "/VolumeDriver.Capabilities", "{}", "\"Scope\":\"local\"");
    expect(fd, "/VolumeDriver.Create",
           "{\"Name\":\"v\",\"Opts\":{\"engagement\":\"web\"}}",
           "\"Err\":\"\"");
    expect(fd, "/VolumeDriver.Create", "{\"Name\":\"w\",\"Opts\":{}}",
           "engagement=NAME");
    expect(fd, "/VolumeDriver.Create",
           "{\"Name\":\"tp-ctl-d\",\"Opts\":{\"control\":\"\"}}",
           "\"Err\":\"\"");
    expect(fd, "/VolumeDriver.Get", "{\"Name\":\"v\"}", "\"Name\":\"v\"");
    expect(fd, "/VolumeDriver.Get", "{\"Name\":\"w\"}", "no such volume");
    expect(fd, "/VolumeDriver.List", "{}", "tp-ctl-d");
    expect(fd, "/VolumeDriver.Path", "{\"Name\":\"v\"}", "/mnt/v\"");
    expect(fd, "/VolumeDriver.Mount", "{\"Name\":\"tp-ctl-d\",\"ID\":\"1\"}",
           "/ctl/tp-ctl-d\"");
    expect(fd, "/VolumeDriver.Unmount", "{\"Name\":\"tp-ctl-d\",\"ID\":\"1\"}",
           "\"Err\":\"\"");
    expect(fd, "/VolumeDriver.Remove", "{\"Name\":\"v\"}", "\"Err\":\"\"");
    expect(fd, "/VolumeDriver.Remove", "{\"Name\":\"v\"}", "no such volume");
    expect(fd, "/VolumeDriver.Fly", "{}", "404");
    close(fd);
}
END_TEST

START_TEST(test_what_is_no_call)
{
    static const char *const texts[] = {
        "GET /VolumeDriver.List HTTP/1.1\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST /VolumeDriver.List HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /VolumeDriver.List HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "99999999\r\n\r\n",
        "POST /VolumeDriver.List HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "3\r\n\r\n[1]",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        int fd = dial();

        say(fd, texts[i]);
        ck_assert_ptr_nonnull(strstr(hear(fd), "HTTP/1.1 400"));
        close(fd);
    }
}
END_TEST

START_TEST(test_calls_in_pieces_and_in_a_row)
{
    static const char text[] =
        "POST /VolumeDriver.Get HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "12\r\n\r\n{\"Name\":\"a\"}POST /Plugin.Activate HTTP/1.1\r\nHost: "
        "x\r\nContent-Length: 0\r\n\r\n";
    int fd = dial();
    unsigned got = 0;

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        ck_assert_int_eq(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    while (got < 2) {
        const char *heard = hear(fd);

        got += strstr(heard, "no such volume") != NULL;
        got += strstr(heard, "VolumeDriver") != NULL;
        ck_assert_uint_gt(strlen(heard), 0);
    }
    close(fd);
}
END_TEST

/* Who has gone cannot be told that his mount is there: it is taken back. */
START_TEST(test_a_mount_nobody_waits_for)
{
    struct mounting *m = users_setup("sleep 0.2; printf '\\0' >&4; " STAY);
    int fd = dial();

    say(fd, "POST /VolumeDriver.Mount HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "21\r\n\r\n{\"Name\":\"v\",\"ID\":\"i\"}");
    while (mounting_is_idle(m))
        uv_run(&loop, UV_RUN_ONCE);
    close(fd);
    while (!mounting_is_idle(m))
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_uint_eq(runs("mount"), 1);
}
END_TEST

static void add_users(Suite *suite)
{
    TCase *tc = tcase_create("users");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_one_mount_for_all);
    tcase_add_test(tc, test_a_mount_that_fails_tells_why);
    tcase_add_test(tc, test_what_could_not_be_written_is_told);
    tcase_add_test(tc, test_a_mount_that_dies_can_be_made_again);
    tcase_add_test(tc, test_a_broker_that_dies_is_started_again);
    tcase_add_test(tc, test_the_end_of_the_plugin);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("volume");
    TCase *tc = tcase_create("options");

    tcase_add_test(tc, test_options);
    tcase_add_test(tc, test_options_refused);
    tcase_add_test(tc, test_options_of_control_volumes);
    tcase_add_test(tc, test_served);
    tcase_add_test(tc, test_served_read_only);
    suite_add_tcase(suite, tc);
    tc = tcase_create("file");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_volumes_are_kept);
    tcase_add_test(tc, test_a_volume_of_the_same_name);
    tcase_add_test(tc, test_a_damaged_file);
    tcase_add_test(tc, test_which_daemon);
    suite_add_tcase(suite, tc);
    add_users(suite);
    tc = tcase_create("protocol");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, server_setup, server_teardown);
    tcase_add_test(tc, test_calls);
    tcase_add_test(tc, test_what_is_no_call);
    tcase_add_test(tc, test_calls_in_pieces_and_in_a_row);
    tcase_add_test(tc, test_a_mount_nobody_waits_for);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
