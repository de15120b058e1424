/* What a tp-daemon that was killed left in the directory of sockets. */
#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/engagement_internal.h"
#include "suite.h"
#include "tempdir.h"

#define AN_ID "abcdefghijklmnopqrstuvwx01"

static const struct {
    const char *name;
    bool is_socket, kept;
} cases[] = {
    {AN_ID ".sock", true, false},    {AN_ID ".sock", false, true},
    {AN_ID "x.sock", true, true},    {AN_ID ".socket", true, true},
    {"control.sock", true, true},    {AN_ID, true, true},
    {"A" AN_ID ".sock", true, true},
};

static void make_socket(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(fd);
}

/* The next one takes away what nobody else would; others' files stay. */
START_TEST(test_left)
{
    struct engagements e = {0};
    char dir[64], path[104];

    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/%s", dir, cases[_i].name);
    if (cases[_i].is_socket)
        make_socket(path);
    else
        close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(access(path, F_OK), 0);
    engagements_set_files_dir(&e, dir);
    ck_assert_int_eq(access(path, F_OK) == 0, cases[_i].kept);
    tempdir_remove(dir);
}
END_TEST

/* There may be no such directory yet. */
START_TEST(test_none)
{
    struct engagements e = {0};

    engagements_set_files_dir(&e, "/nonexistent");
    engagements_set_files_dir(&e, NULL);
    ck_assert_ptr_null(e.files_dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engagement: left");
    TCase *tc = tcase_create("left");

    tcase_add_loop_test(tc, test_left, 0, sizeof(cases) / sizeof(*cases));
    tcase_add_test(tc, test_none);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
