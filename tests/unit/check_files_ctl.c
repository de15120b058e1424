/* tp-daemon files: the head line, and bytes both ways at once. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/files_ctl.h"
#include "daemon/join.h"
#include "suite.h"
#include "tempdir.h"

#define BULK (8U << 20)

static char dir[64];

static void set_up(void)
{
    tempdir_make(dir);
    signal(SIGPIPE, SIG_IGN); /* as main() does */
}

static void tear_down(void)
{
    tempdir_remove(dir);
}

static int listen_at(const char *name, struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", dir, name);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    return fd;
}

/* Reads a line, which must hold `wanted`, and answers it. */
static void answer_one(int listener, const char *wanted, const char *text)
{
    int fd = accept(listener, NULL, NULL);
    char line[1024] = "";
    ssize_t n = read(fd, line, sizeof(line) - 1);

    if (n <= 0 || !strstr(line, wanted) ||
        write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(9);
    close(fd);
}

/* Sends BULK bytes before it reads any, then sends back what it got. */
static void echo_late(int fd)
{
    char *data = calloc(1, BULK);
    size_t at = 0;

    for (size_t i = 0; i < BULK; i++)
        data[i] = (char)(i * 7 + i / 4096);
    for (ssize_t n; at < BULK && (n = write(fd, data + at, BULK - at)) > 0;)
        at += (size_t)n;
    for (ssize_t n; (n = read(fd, data, 65536)) > 0;)
        if (write(fd, data, (size_t)n) != n)
            _exit(8);
    free(data);
}

/* Both directions are full at the same time; nobody may wait for the other. */
START_TEST(test_both_ways_at_once)
{
    int up[2], down[2], peer[2];
    char *got = malloc(2 * BULK), *sent = calloc(1, BULK);
    size_t written = 0, have = 0, wrong = 0;
    pid_t echo, joiner;

    for (size_t i = 0; i < BULK; i++)
        sent[i] = (char)(i * 3 + i / 1000);
    ck_assert(!pipe(up) && !pipe(down) &&
              !socketpair(AF_UNIX, SOCK_STREAM, 0, peer));
    echo = fork();
    if (echo == 0) {
        const int others[] = {up[0], up[1], down[0], down[1], peer[0]};

        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
            close(others[i]);
        echo_late(peer[1]);
        _exit(0);
    }
    joiner = fork();
    if (joiner == 0) {
        close(up[1]);
        close(peer[1]);
        _exit(join_run(peer[0], up[0], down[1]) < 0);
    }
    close(up[0]);
    close(down[1]);
    close(peer[0]);
    close(peer[1]);
    fcntl(up[1], F_SETFL, O_NONBLOCK);
    while (have < 2 * BULK) {
        struct pollfd p[2] = {
            {.fd = down[0], .events = POLLIN},
            {.fd = written < BULK ? up[1] : -1, .events = POLLOUT}};
        ssize_t n;

        ck_assert_int_gt(poll(p, 2, 20000), 0);
        if (p[1].revents &&
            (n = write(up[1], sent + written, BULK - written)) > 0)
            written += (size_t)n;
        if (written == BULK && p[1].fd >= 0)
            close(up[1]);
        if (!p[0].revents)
            continue;
        n = read(down[0], got + have, 2 * BULK - have);
        ck_assert_int_gt(n, 0);
        have += (size_t)n;
    }
    for (size_t i = 0; i < BULK; i++)
        wrong += got[i] != (char)(i * 7 + i / 4096);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_int_eq(memcmp(got + BULK, sent, BULK), 0);
    ck_assert_int_eq(read(down[0], got, 1), 0);
    ck_assert_int_eq(waitpid(joiner, &(int){0}, 0), joiner);
    ck_assert_int_eq(waitpid(echo, &(int){0}, 0), echo);
    free(got);
    free(sent);
}
END_TEST

/* Runs it with `answer` as the daemon's; what it printed. */
static int run(const char *answer, char *out, size_t size, struct tp_error *err)
{
    struct sockaddr_un control, files;
    int listener = listen_at("control", &control);
    int conversation = listen_at("files", &files);
    int in[2], printed[2], rc;
    pid_t server;
    ssize_t n;

    server = fork();
    if (server == 0) {
        answer_one(listener, "\"op\":\"files\",\"name\":\"web\"", answer);
        if (!strstr(answer, "error"))
            answer_one(conversation, "SSH-client", "SSH-server");
        _exit(0);
    }
    ck_assert(!pipe(in) && !pipe(printed));
    ck_assert_int_eq(write(in[1], "SSH-client", 10), 10);
    close(in[1]);
    rc = files_ctl_run(control.sun_path, "web", in[0], printed[1], err);
    close(printed[1]);
    n = read(printed[0], out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    close(printed[0]);
    close(in[0]);
    close(listener);
    close(conversation);
    waitpid(server, NULL, 0);
    return rc;
}

START_TEST(test_the_head_and_the_conversation)
{
    struct tp_error err = {0};
    char answer[256], out[512];

    snprintf(answer, sizeof(answer),
             "{\"hostKey\":\"ssh-ed25519 AAAA\",\"id\":\"abc\",\"key\":\"no\","
             "\"mounts\":[],\"socket\":\"%s/files\"}\n",
             dir);
    ck_assert_msg(run(answer, out, sizeof(out), &err) == 0, "%s", err.text);
    ck_assert_str_eq(out, "{\"hostKey\":\"ssh-ed25519 AAAA\",\"id\":\"abc\"}\n"
                          "SSH-server");
}
END_TEST

START_TEST(test_a_refusal_is_a_line)
{
    struct tp_error err = {0};
    char out[512];

    ck_assert_int_eq(run("{\"error\":\"no such one\",\"code\":\"invalid\"}\n",
                         out, sizeof(out), &err),
                     -EPROTO);
    ck_assert_str_eq(out, "{\"error\":\"no such one\",\"code\":\"invalid\"}\n");
}
END_TEST

START_TEST(test_no_daemon)
{
    struct tp_error err = {0};
    char path[128];

    snprintf(path, sizeof(path), "%s/none", dir);
    ck_assert_int_eq(files_ctl_run(path, "web", 0, 1, &err), -ENOENT);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("files-ctl");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_both_ways_at_once);
    tcase_add_test(tc, test_the_head_and_the_conversation);
    tcase_add_test(tc, test_a_refusal_is_a_line);
    tcase_add_test(tc, test_no_daemon);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
