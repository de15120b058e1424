#include "cli/mounter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/cleanup.h"
#include "cli/mounter_internal.h"

#define CONNS_MAX  24 /* processes; the daemon takes 32 connections */
#define CHECK_MS   20000
#define RECHECK_MS 1000
#define GONE_MAX   3 /* in a row: a daemon that starts again needs a moment */
#define SAID_MAX   2048

struct mounter {
    struct mounter_files files;
    const struct mounter_plan *plan;
    int signals, report, ready, said_fd; /* -1: none */
    pid_t mount;                         /* tp-mount; 0: none, or ended */
    unsigned conns, gone, failures;
    bool mounted, ending, lost;
    char said[SAID_MAX]; /* the last that tp-mount said */
    size_t said_len;
};

/* ---- what is told to whoever started it ---- */

static void end_mount(struct mounter *m)
{
    if (!m->ending && m->mount > 0)
        kill(m->mount, SIGTERM); /* it unmounts, writes and ends */
    m->ending = true;
}

static void report(struct mounter *m, const char *text)
{
    if (m->report < 0)
        return;
    if (write(m->report, text, strlen(text)) < 0)
        end_mount(m); /* nobody waits for it any more */
    close(m->report);
    m->report = -1;
}

static const char *last_said(struct mounter *m)
{
    m->said[m->said_len] = '\0';
    for (size_t i = 0; i < m->said_len; i++) {
        if (m->said[i] == '\n')
            m->said[i] = i + 1 < m->said_len ? ' ' : '\0';
    }
    return m->said_len ? m->said : "tp-mount ended";
}

/* ---- processes ---- */

/* Forks: true in the new process, which has none of tp's signals blocked. */
static bool in_child(struct mounter *m)
{
    sigset_t none;
    pid_t pid = fork();

    if (pid > 0)
        m->conns++;
    if (pid != 0)
        return false;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(m->signals);
    if (m->report >= 0)
        close(m->report);
    if (m->plan->listener >= 0)
        close(m->plan->listener);
    return true;
}

static void start_connection(struct mounter *m)
{
    if (broker_wait(m->files.broker) <= 0) {
        close(m->files.broker);
        m->files.broker = -1;
    } else if (m->conns >= CONNS_MAX) {
        broker_refuse(m->files.broker, "too many connections");
    } else if (in_child(m)) {
        _exit(mounter_carry_mount(&m->files));
    }
}

static void accept_client(struct mounter *m)
{
    int fd = accept4(m->plan->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (m->conns < CONNS_MAX && in_child(m))
        _exit(mounter_carry_client(&m->files, fd));
    close(fd);
}

static void start_check(struct mounter *m)
{
    if (in_child(m))
        _exit(mounter_check(&m->files));
}

static void count_outcome(struct mounter *m, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : MOUNTER_FAILED;

    m->conns--;
    m->failures = code == MOUNTER_CARRIED ? 0 : m->failures + 1;
    m->gone = code == MOUNTER_GONE ? m->gone + 1 : 0;
    m->files.retried = m->failures > 1;
    if (m->gone >= GONE_MAX)
        end_mount(m);
}

static void mount_ended(struct mounter *m, int status)
{
    m->mount = 0;
    m->lost = m->mounted && !(WIFEXITED(status) && !WEXITSTATUS(status));
    m->ending = true;
}

static void reap(struct mounter *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->mount)
            mount_ended(m, status);
        else
            count_outcome(m, status);
    }
}

static void take_signals(struct mounter *m)
{
    struct signalfd_siginfo info;

    while (read(m->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGCHLD)
            end_mount(m);
    }
    reap(m);
}

/* ---- what tp-mount says ---- */

static void read_said(struct mounter *m)
{
    char text[1024];
    ssize_t n = read(m->said_fd, text, sizeof(text));

    if (n <= 0) {
        close(m->said_fd);
        m->said_fd = -1;
        return;
    }
    if (m->said_len + (size_t)n >= sizeof(m->said))
        m->said_len = 0;
    memcpy(m->said + m->said_len, text, (size_t)n);
    m->said_len += (size_t)n;
}

static void read_ready(struct mounter *m)
{
    char status = 1;
    ssize_t n = read(m->ready, &status, 1);

    close(m->ready);
    m->ready = -1;
    if (n != 1 || status != 0)
        return; /* it ends, and has said why */
    m->mounted = true;
    m->said_len = 0;
    report(m, "ok");
}

/* ---- tp-mount ---- */

static void place(int fd, int at)
{
    dup2(fd, at); /* without CLOEXEC */
}

/* In the new process; 3 and 4 are the descriptors of the command line. */
static void exec_mount(const struct mounter_plan *plan, int broker, int ready,
                       int said, pid_t parent)
{
    cleanup_free char *options = NULL;
    const struct mount_record *r = &plan->record;
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent ||
        asprintf(&options, "broker_fd=3,ready_fd=4,fsname=tp-%s%s", plan->id,
                 r->read_only ? ",ro" : "") < 0)
        _exit(1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    broker = fcntl(broker, F_DUPFD_CLOEXEC, 10);
    ready = fcntl(ready, F_DUPFD_CLOEXEC, 10);
    place(said, STDERR_FILENO);
    place(broker, 3);
    place(ready, 4);
    syscall(SYS_close_range, 5U, ~0U, 0U);
    execlp(plan->program, "tp-mount", "-f", "-o", options, "tp@pod:/", r->path,
           (char *)NULL);
    dprintf(STDERR_FILENO, "%s: %s\n", plan->program, strerror(errno));
    _exit(1);
}

static int start_mount(struct mounter *m, struct tp_error *err)
{
    int broker[2] = {-1, -1}, ready[2] = {-1, -1}, said[2] = {-1, -1};
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker) < 0 ||
        pipe2(ready, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0)
        return tp_error_errno(err, -errno, "tp-mount");
    m->mount = fork();
    if (m->mount < 0)
        return tp_error_errno(err, -errno, "tp-mount");
    if (m->mount == 0)
        exec_mount(m->plan, broker[1], ready[1], said[1], parent);
    close(broker[1]);
    close(ready[1]);
    close(said[1]);
    m->files.broker = broker[0];
    m->ready = ready[0];
    m->said_fd = said[0];
    return 0;
}

/* ---- the process ---- */

static int open_signals(void)
{
    static const int awaited[] = {SIGCHLD, SIGTERM, SIGINT};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(awaited) / sizeof(*awaited); i++)
        sigaddset(&set, awaited[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Until tp-mount has ended, and somebody wanted that. */
static void serve(struct mounter *m)
{
    while (!m->ending || m->mount > 0) {
        struct pollfd p[] = {
            {.fd = m->signals, .events = POLLIN},
            {.fd = m->said_fd, .events = POLLIN},
            {.fd = m->ready, .events = POLLIN},
            {.fd = m->files.broker, .events = POLLIN},
            {.fd = m->ending ? -1 : m->plan->listener, .events = POLLIN}};
        int n = poll(p, sizeof(p) / sizeof(*p),
                     m->gone > 0 ? RECHECK_MS : CHECK_MS);

        if (n == 0 && m->conns == 0)
            start_check(m);
        if (n <= 0)
            continue;
        if (p[1].revents)
            read_said(m);
        if (p[2].revents)
            read_ready(m);
        if (p[3].revents)
            start_connection(m);
        if (p[4].revents)
            accept_client(m);
        if (p[0].revents)
            take_signals(m);
    }
}

static int start(struct mounter *m, struct tp_error *err)
{
    const struct mounter_plan *plan = m->plan;
    cleanup_free char *hostkey = NULL;
    int rc = mount_record_lock(plan->record.dir, err);

    if (rc == 0)
        rc = mount_record_write(plan->record.dir, &plan->record, err);
    if (rc == 0)
        rc = mounter_ask_key(plan, &m->files.key, &hostkey, err);
    if (rc == 0 && plan->listener >= 0)
        rc = mounter_write_files(plan, m->files.key, hostkey, err);
    if (rc == 0 && plan->program)
        return start_mount(m, err);
    if (rc == 0)
        report(m, "ok");
    return rc;
}

/* With losses the directory stays for whoever ends the engagement. */
static void finish(struct mounter *m)
{
    const struct mount_record *r = &m->plan->record;
    char text[SAID_MAX + 100];

    if (m->said_fd >= 0 && fcntl(m->said_fd, F_SETFL, O_NONBLOCK) == 0)
        read_said(m);
    report(m, last_said(m));
    if (m->lost) {
        snprintf(text, sizeof(text),
                 "not all that was written at %s reached the pod: %s", r->path,
                 last_said(m));
        mount_record_lost(r->dir, text);
    }
}

static int run(struct mounter *m)
{
    struct tp_error err = {0};

    m->signals = open_signals();
    if (start(m, &err) < 0) {
        report(m, err.text);
        return 1;
    }
    serve(m);
    finish(m);
    if (!m->lost)
        mount_record_forget(&m->plan->record);
    secret_free(m->files.key);
    return 0;
}

/* Away from the terminal, the directory and the descriptors of tp. */
static void detach(int *report_fd, int *listener)
{
    int null = open("/dev/null", O_RDWR);
    int kept = fcntl(*report_fd, F_DUPFD_CLOEXEC, 64);
    int port = *listener >= 0 ? fcntl(*listener, F_DUPFD_CLOEXEC, 64) : -1;

    setsid();
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "tp-mounter");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    syscall(SYS_close_range, 3U, 63U, 0U);
    *report_fd = kept;
    *listener = port;
    if (chdir("/") < 0)
        _exit(1);
}

/* What it says first, or that it was interrupted. */
static int await(int fd, int cancel_fd, struct tp_error *err)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = cancel_fd, .events = POLLIN}};
    char text[SAID_MAX + 1];
    ssize_t n;

    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (!p[0].revents)
        return tp_error_set(err, -ECANCELED, "interrupted");
    n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    if (!strcmp(text, "ok"))
        return 0;
    return tp_error_set(err, -EIO, "%.400s",
                        *text ? text : "the mounter ended");
}

int mounter_start(const struct mounter_plan *plan, int cancel_fd,
                  struct tp_error *err)
{
    struct mounter_plan its = *plan;
    struct mounter m = {.plan = &its,
                        .files = {.plan = &its, .broker = -1},
                        .signals = -1,
                        .ready = -1,
                        .said_fd = -1};
    int pipe[2], rc;
    pid_t pid;

    if (pipe2(pipe, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return tp_error_errno(err, -errno, "cannot start the mounter");
    if (pid == 0) {
        /* Twice, so that it is nobody's zombie. */
        pid = fork();
        if (pid != 0)
            _exit(pid < 0);
        m.report = pipe[1];
        detach(&m.report, &its.listener);
        _exit(run(&m));
    }
    waitpid(pid, NULL, 0);
    close(pipe[1]);
    rc = await(pipe[0], cancel_fd, err);
    close(pipe[0]);
    return rc;
}
