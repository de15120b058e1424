#include "cli/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_AFTER_MS 10000

extern char **environ;

static void awaited_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
}

static int spawn(const char *program, char *const *argv, char *const *envp,
                 const sigset_t *mask, pid_t *pid)
{
    posix_spawnattr_t attr;
    sigset_t defaults;
    int rc;

    awaited_signals(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, mask);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawnp(pid, program, NULL, &attr, argv, envp ? envp : environ);
    posix_spawnattr_destroy(&attr);
    return -rc;
}

/* The terminal's signals (SI_KERNEL) reach the program by themselves. */
static void pass_on(pid_t pid, int signals)
{
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
            kill(pid, (int)info.ssi_signo);
    }
}

static int wait_for(pid_t pid, int signals, int idle_fd)
{
    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                            {.fd = idle_fd, .events = POLLIN}};
    int timeout = -1, status;

    for (;;) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        int n;

        if (done == pid)
            break;
        if (done < 0 && errno != EINTR)
            return -errno;
        n = poll(fds, 2, timeout);
        pass_on(pid, signals);
        if (n == 0) {
            kill(pid, SIGKILL);
            timeout = -1;
        } else if (n > 0 && fds[1].revents) {
            fds[1].fd = -1;
            kill(pid, SIGTERM);
            timeout = KILL_AFTER_MS;
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int program_run(const char *program, char *const *argv, char *const *envp,
                int idle_fd, struct tp_error *err)
{
    sigset_t set, before, its;
    pid_t pid;
    int rc, signals;

    awaited_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    /* The caller may have blocked them, too: they are the program's own. */
    its = before;
    for (int signal = 1; signal < NSIG; signal++) {
        if (sigismember(&set, signal) == 1)
            sigdelset(&its, signal);
    }
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    rc = signals < 0 ? -errno : spawn(program, argv, envp, &its, &pid);
    if (rc == 0)
        rc = wait_for(pid, signals, idle_fd);
    if (signals >= 0)
        close(signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc < 0 ? tp_error_errno(err, rc, "cannot run %s", program) : rc;
}
