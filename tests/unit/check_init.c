/* Unit tests of tp-init, run as a child with a script in tp-daemon's place. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"
#include "tempdir.h"

/* Writes "run PID" at each start and "closed" for fail-closed; leaves an orphan
 * behind; says "term" when it is asked to end. */
static const char script[] =
    "#!/bin/sh\n"
    "cd \"$(dirname \"$0\")\" || exit 1\n"
    "if [ \"$1\" = fail-closed ]; then echo closed >>log; exit 0; fi\n"
    "trap 'echo term >>log; exit 0' TERM\n"
    "trap 'echo hup >>log; exit 0' HUP\n"
    "[ -e \"/proc/self/fd/$TP_STATE_FD\" ] && echo state >>log\n"
    "(sleep 0.01 &)\n"
    "echo \"run $$\" >>log\n"
    "while :; do sleep 0.05; done\n";

static char dir[64];
static pid_t init_pid;

static void setup(void)
{
    char path[128];
    FILE *f;

    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/daemon", dir);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(script, f);
    fclose(f);
    ck_assert_int_eq(chmod(path, 0700), 0);
    init_pid = fork();
    ck_assert_int_ge(init_pid, 0);
    if (init_pid == 0) {
        execl("./tp-init", "tp-init", path, (char *)NULL);
        _exit(126);
    }
}

static void teardown(void)
{
    if (init_pid > 0) {
        kill(init_pid, SIGTERM);
        waitpid(init_pid, NULL, 0);
    }
    tempdir_remove(dir);
}

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* How many lines of the log begin with word; *last is the number after the
 * newest one. */
static int count_lines(const char *word, int *last)
{
    char path[128], line[128];
    int n = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/log", dir);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        n++;
        if (last)
            *last = atoi(line + strlen(word));
    }
    if (f)
        fclose(f);
    return n;
}

static int wait_lines(const char *word, int n)
{
    int last = 0;

    for (int i = 0; i < 1500; i++) {
        if (count_lines(word, &last) >= n)
            return last;
        pause_ms(10);
    }
    ck_abort_msg("never saw %d x '%s'", n, word);
}

START_TEST(killed_daemon_is_closed_and_started_again)
{
    int first = wait_lines("run", 1), second;

    ck_assert_int_eq(kill(first, SIGKILL), 0);
    second = wait_lines("run", 2);
    ck_assert_int_ne(first, second);
    ck_assert_int_eq(count_lines("closed", NULL), 1);
    ck_assert_int_eq(count_lines("state", NULL), 2);
}
END_TEST

START_TEST(term_is_handed_on_and_ends_it)
{
    int status;

    wait_lines("run", 1);
    ck_assert_int_eq(kill(init_pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(init_pid, &status, 0), init_pid);
    init_pid = 0;
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(count_lines("term", NULL), 1);
    ck_assert_int_eq(count_lines("closed", NULL), 0);
}
END_TEST

START_TEST(hup_restarts_the_daemon)
{
    wait_lines("run", 1);
    ck_assert_int_eq(kill(init_pid, SIGHUP), 0);
    wait_lines("run", 2);
    ck_assert_int_eq(count_lines("hup", NULL), 1);
    ck_assert_int_eq(kill(init_pid, 0), 0);
}
END_TEST

static int count_zombies(void)
{
    char path[64], line[512];
    const char *state;
    DIR *proc = opendir("/proc");
    struct dirent *e;
    int n = 0, ppid;
    FILE *f;

    ck_assert_ptr_nonnull(proc);
    while ((e = readdir(proc))) {
        snprintf(path, sizeof(path), "/proc/%.20s/stat", e->d_name);
        f = atoi(e->d_name) > 0 ? fopen(path, "r") : NULL;
        if (f && fgets(line, sizeof(line), f) && (state = strrchr(line, ')')) &&
            sscanf(state + 4, "%d", &ppid) == 1 && ppid == init_pid)
            n += state[2] == 'Z';
        if (f)
            fclose(f);
    }
    closedir(proc);
    return n;
}

START_TEST(orphans_are_reaped)
{
    wait_lines("run", 1);
    pause_ms(200); /* the orphan of the script ends */
    for (int i = 0; i < 500 && count_zombies() > 0; i++)
        pause_ms(10);
    ck_assert_int_eq(count_zombies(), 0);
    ck_assert_int_eq(kill(init_pid, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init");
    TCase *tc = tcase_create("supervisor");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, killed_daemon_is_closed_and_started_again);
    tcase_add_test(tc, term_is_handed_on_and_ends_it);
    tcase_add_test(tc, hup_restarts_the_daemon);
    tcase_add_test(tc, orphans_are_reaped);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
