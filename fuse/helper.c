#include "fuse/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "base/confine.h"
#include "base/log.h"

#define UNMOUNT_MS 5000 /* then the mount is only detached */

extern char **environ;

int helper_send(int sock, enum helper_kind kind, const char *text, int fd)
{
    struct helper_message m = {.kind = kind};
    struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (text)
        snprintf(m.text, sizeof(m.text), "%s", text);
    if (fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL) == sizeof(m) ? 0 : -EPIPE;
}

int helper_receive(int sock, struct helper_message *m, int *fd)
{
    struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    ssize_t n;

    if (fd) {
        *fd = -1;
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
    }
    n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    c = fd ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof(int));
    m->text[sizeof(m->text) - 1] = '\0';
    return n == sizeof(*m) ? 0 : -EPIPE;
}

/* libfuse mounts: by itself as root, by fusermount3 as a user. */
static int do_mount(const struct mount_options *o, struct tp_error *err)
{
    static const struct fuse_lowlevel_ops none;
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char *options = NULL;
    struct fuse_session *se;
    int fd = -1;

    if (asprintf(&options, "-onosuid,nodev,subtype=tp-mount,fsname=%s%s%s%s",
                 o->fsname, o->read_only ? ",ro" : "",
                 o->allow_other ? ",allow_other" : "",
                 o->default_permissions ? ",default_permissions" : "") < 0)
        return tp_error_set(err, -ENOMEM, "out of memory");
    fuse_opt_add_arg(&args, "tp-mount");
    fuse_opt_add_arg(&args, options);
    free(options);
    se = fuse_session_new(&args, &none, sizeof(none), NULL);
    fuse_opt_free_args(&args);
    if (se && fuse_session_mount(se, o->mountpoint) == 0)
        fd = fcntl(fuse_session_fd(se), F_DUPFD_CLOEXEC, 3);
    if (se)
        fuse_session_destroy(se); /* closes its own, does not unmount */
    if (fd < 0)
        return tp_error_set(err, -EPERM, "cannot mount on %s", o->mountpoint);
    return fd;
}

static int run_fusermount(const struct mount_options *o, bool lazy)
{
    char *const argv[] = {"fusermount3", "-u",          lazy ? "-qz" : "-q",
                          "--",          o->mountpoint, NULL};
    sigset_t none;
    posix_spawnattr_t attr;
    int status = -1, rc;
    pid_t pid;

    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawnp(&pid, argv[0], NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    if (rc != 0) {
        log_error("fusermount3: %s", strerror(rc));
        return -rc;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

struct helper {
    const struct mount_options *o;
    int sock, signals;
    pid_t worker;
    bool detached, told; /* unmounted, perhaps lazily; END was sent */
};

/* Users of the mount go on until they are done; but not for ever. */
static void unmount(struct helper *h)
{
    if (h->detached)
        return;
    h->detached = true;
    if (h->o->no_unmount) {
        h->told = true;
        helper_send(h->sock, HELPER_END, NULL, -1);
        return;
    }
    if (run_fusermount(h->o, false) < 0) {
        log_warn("%s is in use: it is detached", h->o->mountpoint);
        run_fusermount(h->o, true);
    }
}

static int status_of(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    log_error("the worker was killed by signal %d", WTERMSIG(status));
    return EXIT_FAILURE;
}

/* Signals and messages until the worker is gone. */
static int watch(struct helper *h)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = h->signals, .events = POLLIN},
                               {.fd = h->sock, .events = POLLIN}};
        int n = poll(fds, h->sock < 0 ? 1 : 2,
                     h->detached && !h->told ? UNMOUNT_MS : -1);
        struct signalfd_siginfo info;
        struct helper_message m;
        int status;

        if (n == 0) {
            h->told = true;
            helper_send(h->sock, HELPER_END, NULL, -1);
        }
        if (n > 0 && fds[0].revents) {
            if (read(h->signals, &info, sizeof(info)) < 0)
                continue;
            if (info.ssi_signo != SIGCHLD)
                unmount(h);
            else if (waitpid(h->worker, &status, WNOHANG) == h->worker)
                return status_of(status);
        }
        if (n > 0 && h->sock >= 0 && fds[1].revents) {
            if (helper_receive(h->sock, &m, NULL) < 0)
                h->sock = -1; /* it ends: SIGCHLD comes */
            else if (m.kind == HELPER_UNMOUNT)
                unmount(h);
        }
    }
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* What the worker says first. */
static int wait_ready(const struct mount_options *o, int sock,
                      struct tp_error *err)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    struct helper_message m;
    int n;

    do {
        n = poll(&p, 1, (int)o->timeout * 1000 + 2000);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return tp_error_set(err, -ETIMEDOUT,
                            "the server did not answer in %u s", o->timeout);
    if (helper_receive(sock, &m, NULL) < 0)
        return tp_error_set(err, -EPIPE, "the worker ended");
    if (m.kind != HELPER_READY)
        return tp_error_set(err, -EIO, "%s", m.text);
    return 0;
}

static int start(struct helper *h, struct tp_error *err)
{
    int rc = wait_ready(h->o, h->sock, err), fd;

    if (rc < 0)
        return rc;
    fd = do_mount(h->o, err);
    if (fd < 0)
        return fd;
    rc = confine_empty_sets(err);
    if (rc == 0)
        rc = helper_send(h->sock, HELPER_DEVICE, NULL, fd);
    close(fd); /* or the mount would outlive the worker */
    return rc;
}

static void tell_starter(int fd, char status)
{
    if (fd < 0)
        return;
    if (write(fd, &status, 1) < 0)
        log_debug("nobody waits");
    close(fd);
}

/* What comes later goes to the system's log, as the worker's does. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
}

int helper_run(const struct mount_options *o, int sock, pid_t worker,
               int started_fd)
{
    struct helper h = {.o = o, .sock = sock, .worker = worker};
    struct tp_error err = {0};
    int rc;

    h.signals = open_signals();
    rc = start(&h, &err);
    if (rc < 0) {
        fprintf(stderr, "tp-mount: %s\n", err.text[0] ? err.text : "failed");
        kill(worker, SIGKILL);
        tell_starter(started_fd, 1);
        return EXIT_FAILURE;
    }
    if (started_fd >= 0 && !o->foreground)
        leave_terminal();
    tell_starter(started_fd, 0);
    rc = watch(&h);
    if (!h.detached && !o->no_unmount)
        run_fusermount(o, true); /* nobody answers there any more */
    return rc;
}
