/* Unit tests of the control socket, with a real session that has nobody to
 * connect to. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/control.h"
#include "daemon/engagement.h"
#include "daemon/ctl.h"
#include "daemon/session.h"
#include "suite.h"
#include "tempdir.h"

static uv_loop_t loop;
static uv_timer_t turn;
static struct session *session;
static struct engagements *engagements;
static struct control *control;
static char dir[64], path[80];

static void turn_cb(uv_timer_t *timer)
{
    (void)timer;
}

static void run_turn(void)
{
    /* Repeating: on a busy machine one that is due before the loop polls would
     * leave the poll without an end. */
    uv_timer_start(&turn, turn_cb, 1, 1);
    uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&turn);
}

#define RUN_UNTIL(condition)                                                   \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            run_turn();                                                        \
        }                                                                      \
    } while (0)

static void setup(void)
{
    struct session_env env = {.loop = &loop, .state_fd = -1};
    struct tp_error err = {0};

    log_set_level(LOG_ERROR);
    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/run/control", dir);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &turn);
    session = session_create(&env);
    engagements = engagements_create(&loop, session, 0);
    control = control_create(&loop, session, engagements, path, &err);
    ck_assert_msg(control != NULL, "%s", err.text);
}

static void teardown(void)
{
    control_destroy(control);
    session_destroy(session, false);
    engagements_destroy(engagements);
    uv_close((uv_handle_t *)&turn, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    tempdir_remove(dir);
}

static int dial(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* The next line as JSON, or NULL at the end. */
static struct json_object *hear(int fd)
{
    static char text[65536];
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(fd, text + len, 1, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return NULL;
        if (n < 0) {
            run_turn();
            continue;
        }
        if (text[len] == '\n')
            break;
        len++;
        ck_assert_uint_lt(len, sizeof(text));
    }
    text[len] = '\0';
    return json_parse_text(text, len, NULL);
}

/* Says one line; the answer must have member = value (NULL: must not exist). */
static void expect(int fd, const char *member, const char *value)
{
    struct json_object *answer = hear(fd);

    ck_assert_msg(answer != NULL, "no answer with %s", member);
    if (value)
        ck_assert_str_eq(json_get_str(answer, member, "(absent)"), value);
    else
        ck_assert_ptr_nonnull(json_get(answer, member));
    json_object_put(answer);
}

static void expect_end(int fd)
{
    ck_assert_ptr_null(hear(fd));
    close(fd);
}

static void expect_reply(const char *request, const char *member,
                         const char *value)
{
    int fd = dial();

    say(fd, request);
    say(fd, "\n");
    expect(fd, member, value);
    expect_end(fd);
}

/* Nobody listens on port 1 of loopback. */
#define SESSION(ns)                                                            \
    "{\"op\": \"connect\", \"session\": {\"name\": \"d\", \"context\": \"c\"," \
    " \"namespace\": \"" ns "\", \"exec\": true, \"server\": {\"host\": "      \
    "\"127.0.0.1\", \"port\": 1, \"url\": \"https://127.0.0.1:1\"}}}"

START_TEST(socket_is_for_its_owner_only)
{
    char parent[80];
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    snprintf(parent, sizeof(parent), "%s/run", dir);
    ck_assert_int_eq(stat(parent, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

/* A user that got past the files' modes is still turned away. */
START_TEST(other_users_are_turned_away)
{
    char parent[80];
    pid_t pid;
    int status = 0;

    if (geteuid() != 0)
        return;
    snprintf(parent, sizeof(parent), "%s/run", dir);
    ck_assert_int_eq(chmod(path, 0777) + chmod(parent, 0777) + chmod(dir, 0777),
                     0);
    pid = fork();
    if (pid == 0) {
        char c;
        int fd;

        if (setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        fd = dial();
        send(fd, "{\"op\": \"status\"}\n", 17, MSG_NOSIGNAL);
        _exit(recv(fd, &c, 1, 0) > 0 ? 1 : 0);
    }
    RUN_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(requests_that_are_none_are_refused)
{
    expect_reply("{\"op\": \"fly\"}", "code", "invalid");
    expect_reply("{}", "code", "invalid");
    expect_reply("[1]", "code", "invalid");
    expect_reply("connect", "code", "invalid");
    expect_reply("{\"op\": \"connect\"}", "code", "invalid");
    expect_reply("{\"op\": \"connect\", \"session\": 7}", "code", "invalid");
    expect_reply("{\"op\": \"wait\"}", "code", "invalid");
    expect_reply("{\"op\": \"credentials\"}", "code", "invalid");
    expect_reply("{\"op\": \"log\", \"level\": \"loud\"}", "code", "invalid");
    expect_reply("{\"op\": \"status\", \"more\": 1}", "state", "idle");
    expect_reply("{\"op\": \"log\", \"level\": \"error\"}", "ok", NULL);
    expect_reply("{\"op\": \"disconnect\"}", "ok", NULL);
}
END_TEST

/* After `docker restart tp-daemon`: not a word of names and links. */
START_TEST(without_a_session_there_is_nothing_to_ask)
{
    static const char *const ops[] = {
        "{\"op\":\"workloads\",\"namespace\":\"\"}",
        "{\"op\":\"workloads\",\"namespace\":\"team-a\"}",
        "{\"op\":\"logs\",\"kind\":\"deploy\",\"name\":\"web\"}",
        "{\"op\":\"disengage\",\"name\":\"web\"}",
        "{\"op\":\"environment\",\"name\":\"web\"}",
    };

    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        expect_reply(ops[i], "error", "not connected: run tp connect");
        expect_reply(ops[i], "code", "not-connected");
    }
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused)
{
    static char chunk[65536];
    int fd = dial();

    memset(chunk, ' ', sizeof(chunk));
    for (size_t sent = 0; sent < CONTROL_LINE_MAX + 1;) {
        ssize_t n = send(fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            run_turn();
        else
            break;
    }
    expect(fd, "code", "invalid");
    expect_end(fd);
}
END_TEST

START_TEST(a_request_may_come_in_pieces)
{
    static const char request[] = "{\"op\": \"status\"}\n";
    int fd = dial();

    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        ck_assert_int_eq(send(fd, request + i, 1, 0), 1);
        run_turn();
    }
    expect(fd, "state", "idle");
    expect_end(fd);
}
END_TEST

START_TEST(too_many_connections_are_refused)
{
    int fds[CONTROL_CONNS_MAX], fd;

    for (int i = 0; i < CONTROL_CONNS_MAX; i++) {
        fds[i] = dial(); /* blocks when the backlog is full: serve it */
        for (int turns = 0; turns < 5; turns++)
            run_turn();
    }
    fd = dial();
    expect(fd, "code", "busy");
    expect_end(fd);
    for (int i = 0; i < CONTROL_CONNS_MAX; i++)
        close(fds[i]);
    for (int i = 0; i < 10; i++)
        run_turn();
    expect_reply("{\"op\": \"status\"}", "state", "idle");
}
END_TEST

START_TEST(one_session_at_a_time)
{
    int fd = dial();

    expect_reply(SESSION("a"), "ok", NULL);
    expect_reply(SESSION("a"), "already", NULL);
    expect_reply(SESSION("b"), "code", "busy");
    RUN_UNTIL(session_state(session) == SESSION_WAITING);
    say(fd, "{\"op\": \"status\"}\n");
    expect(fd, "code", "unreachable");
    expect_end(fd);
    expect_reply("{\"op\": \"disconnect\"}", "ok", NULL);
    expect_reply("{\"op\": \"status\"}", "state", "idle");
    expect_reply(SESSION("b"), "ok", NULL);
}
END_TEST

START_TEST(wait_tells_progress_and_ends)
{
    int fd = dial();
    struct json_object *answer = NULL;
    unsigned progress = 0;

    expect_reply(SESSION("a"), "ok", NULL);
    say(fd, "{\"op\": \"wait\", \"timeout\": 1}\n");
    shutdown(fd, SHUT_WR); /* `docker exec` ends its input early */
    for (;;) {
        json_object_put(answer);
        answer = hear(fd);
        ck_assert_ptr_nonnull(answer);
        if (!json_get(answer, "progress"))
            break;
        progress++;
    }
    ck_assert_uint_gt(progress, 0);
    ck_assert_str_eq(json_get_str(answer, "code", ""), "unreachable");
    json_object_put(answer);
    expect_end(fd);
}
END_TEST

static void need_cb(void *arg)
{
    ++*(unsigned *)arg;
}

START_TEST(helper_gives_credentials_until_a_newer_comes)
{
    int first = dial(), second = dial();

    expect_reply(SESSION("a"), "ok", NULL);
    say(first, "{\"op\": \"credentials\"}\n");
    /* Ended ones are not sent: fresh ones are asked for. */
    say(first, "{\"credentials\": {\"token\": \"old\", \"expires\": 1}}\n");
    expect(first, "need", "credentials");
    say(first, "{\"credentials\": {}}\n");
    expect(first, "code", "invalid");
    say(second, "{\"op\": \"credentials\"}\n");
    expect(first, "code", "busy");
    expect_end(first);
    say(second, "{\"error\": \"the plugin failed\"}\n");
    RUN_UNTIL(session_state(session) == SESSION_REFUSED);
    ck_assert_str_eq(session_error_code(session), "unauthorized");
    expect_reply("{\"op\": \"disconnect\"}", "ok", NULL);
    expect_end(second);
}
END_TEST

START_TEST(helper_is_not_asked_too_often)
{
    struct json_object *stale =
        json_tokener_parse("{\"token\": \"t\", \"expires\": 1}");
    unsigned asked = 0;

    expect_reply(SESSION("a"), "ok", NULL);
    session_set_helper(session, need_cb, &asked);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(session_set_credentials(session, stale, NULL), 0);
        run_turn();
    }
    ck_assert_uint_eq(asked, 1);
    json_object_put(stale);
    session_set_helper(session, NULL, NULL);
}
END_TEST

START_TEST(ctl_joins_and_ends)
{
    int in[2], out[2], status;
    char text[4096] = "";
    pid_t pid;

    ck_assert_int_eq(pipe(in) + pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        close(in[1]);
        _exit(ctl_run(path, in[0], out[1], 1000, NULL) < 0);
    }
    close(in[0]);
    close(out[1]);
    ck_assert_int_eq(write(in[1], "{\"op\": \"status\"}\n", 17), 17);
    close(in[1]);
    RUN_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_gt(read(out[0], text, sizeof(text) - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, "\"state\":\"idle\""));
    close(out[0]);
}
END_TEST

START_TEST(ctl_without_a_daemon_says_so)
{
    struct tp_error err = {0};

    ck_assert_int_eq(ctl_run("/tmp/tp-check-none/control", 0, 1, 100, &err),
                     -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "does not answer"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("control");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, socket_is_for_its_owner_only);
    tcase_add_test(tc, other_users_are_turned_away);
    tcase_add_test(tc, requests_that_are_none_are_refused);
    tcase_add_test(tc, without_a_session_there_is_nothing_to_ask);
    tcase_add_test(tc, a_line_that_is_too_long_is_refused);
    tcase_add_test(tc, a_request_may_come_in_pieces);
    tcase_add_test(tc, too_many_connections_are_refused);
    tcase_add_test(tc, one_session_at_a_time);
    tcase_add_test(tc, wait_tells_progress_and_ends);
    tcase_add_test(tc, helper_gives_credentials_until_a_newer_comes);
    tcase_add_test(tc, helper_is_not_asked_too_often);
    tcase_add_test(tc, ctl_joins_and_ends);
    tcase_add_test(tc, ctl_without_a_daemon_says_so);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
