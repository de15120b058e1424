/*
 * tp-init - PID 1 of the container tp-daemon
 *
 * It owns the network namespace that the developer's containers joined, so it
 * never ends by itself: it starts tp-daemon, starts it again when it dies, and
 * keeps the session in a memory file that each tp-daemon inherits
 * (TP_STATE_FD). It opens no socket and reads no foreign byte.
 *
 *   RUNNING --child ends--> CLOSING (tp-daemon fail-closed) --> RESTING --> ...
 *
 * SIGTERM and SIGINT are handed on and end it; SIGHUP restarts tp-daemon, which
 * is how a copied-in newer program takes over.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DELAY_MIN_MS  200
#define DELAY_MAX_MS  5000
#define GOOD_LIFE_MS  60000 /* a life this long resets the delay */
#define CLOSE_MAX_MS  5000  /* for fail-closed */
#define STOP_MAX_MS   8000  /* below the 10 s that Docker allows */
#define RELOAD_MAX_MS 2000
#define STATE_SIZE    (1 << 21)

enum phase { RUNNING, CLOSING, RESTING, STOPPING };

struct supervisor {
    char **argv; /* of tp-daemon */
    enum phase phase;
    pid_t child;   /* 0: none */
    int64_t born;  /* when the running tp-daemon started, ms */
    int64_t due;   /* when the phase must move on, ms; 0: never */
    int64_t delay; /* before the next start, ms */
    bool reloading;
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Fixed in size, so that nobody who maps it can be hit by SIGBUS. */
static int create_state(void)
{
    char text[16];
    int fd = memfd_create("tp-session", MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, STATE_SIZE) < 0)
        return -1;
    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    snprintf(text, sizeof(text), "%d", fd);
    return setenv("TP_STATE_FD", text, 1);
}

static pid_t spawn(char **argv)
{
    sigset_t none;
    pid_t pid = fork();

    if (pid != 0) {
        if (pid < 0)
            fprintf(stderr, "tp-init: fork: %s\n", strerror(errno));
        return pid < 0 ? 0 : pid;
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(argv[0], argv);
    fprintf(stderr, "tp-init: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void enter(struct supervisor *s, enum phase phase)
{
    char *close_argv[] = {s->argv[0], (char *)"fail-closed", NULL};
    int64_t now = now_ms();

    s->phase = phase;
    s->due = 0;
    if (phase == RUNNING) {
        s->born = now;
        s->child = spawn(s->argv);
        s->due = s->child ? 0 : now + s->delay; /* fork failed: again */
    } else if (phase == CLOSING) {
        s->child = spawn(close_argv);
        s->due = now + (s->child ? CLOSE_MAX_MS : 0);
    } else if (phase == RESTING) {
        s->due = now + (s->reloading ? 0 : s->delay);
        s->delay = s->delay * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : s->delay * 2;
        s->reloading = false;
    } else {
        s->due = now + STOP_MAX_MS;
    }
}

/* The phase's child has ended, or its time is over. */
static void advance(struct supervisor *s)
{
    if (s->phase == RUNNING) {
        if (now_ms() - s->born >= GOOD_LIFE_MS)
            s->delay = DELAY_MIN_MS;
        enter(s, CLOSING);
    } else {
        enter(s, s->phase == CLOSING ? RESTING : RUNNING);
    }
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != s->child)
            continue; /* an orphan of some exec */
        s->child = 0;
        if (s->phase == STOPPING)
            exit(0);
        if (s->phase == RUNNING)
            fprintf(stderr, "tp-init: tp-daemon ended (%s %d)\n",
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status)
                                        : WEXITSTATUS(status));
        advance(s);
    }
}

static void on_signal(struct supervisor *s, int sig)
{
    if (sig == SIGCHLD) {
        reap(s);
    } else if (sig == SIGHUP && s->phase == RUNNING && s->child) {
        s->reloading = true;
        kill(s->child, SIGHUP);
        s->due = now_ms() + RELOAD_MAX_MS;
    } else if (sig == SIGTERM || sig == SIGINT) {
        bool running = s->phase == RUNNING && s->child;

        if (!running && s->phase != STOPPING)
            exit(0); /* the namespace goes, and its rules with it */
        kill(s->child, SIGTERM);
        if (s->phase != STOPPING)
            enter(s, STOPPING);
    }
}

static void on_due(struct supervisor *s)
{
    s->due = 0;
    if (s->child)
        kill(s->child, SIGKILL); /* reap() moves on */
    else
        advance(s);
}

static void run(struct supervisor *s, const sigset_t *set)
{
    for (;;) {
        int64_t left = s->due ? s->due - now_ms() : 3600000;
        struct timespec ts = {left / 1000, (left % 1000) * 1000000};
        int sig = left <= 0 ? 0 : sigtimedwait(set, NULL, &ts);

        if (sig > 0)
            on_signal(s, sig);
        else if (s->due && now_ms() >= s->due)
            on_due(s);
    }
}

int main(int argc, char **argv)
{
    static char *fallback[] = {(char *)"/usr/bin/tp-daemon", NULL};
    struct supervisor s = {.argv = argc > 1 ? argv + 1 : fallback,
                           .delay = DELAY_MIN_MS};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGHUP, SIG_DFL); /* may be ignored (nohup), and children inherit */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* when it is not PID 1: tests */
    if (create_state() < 0)
        fprintf(stderr, "tp-init: memory file: %s\n", strerror(errno));
    enter(&s, RUNNING);
    run(&s, &set);
}
