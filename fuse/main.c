/*
 * tp-mount - mounts a directory of an SFTP server; see README.md in this
 * directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <config.h>

#include "base/log.h"
#include "fuse/helper.h"
#include "fuse/options.h"
#include "fuse/worker.h"

/* Keys and contents are in this process: no core. */
static void harden(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
}

/* Two processes from here on: the worker confines itself. */
static int run(const struct mount_options *o, int started_fd)
{
    int socks[2];
    pid_t worker;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
        perror("tp-mount: socketpair");
        return EXIT_FAILURE;
    }
    worker = fork();
    if (worker < 0) {
        perror("tp-mount: fork");
        return EXIT_FAILURE;
    }
    if (worker == 0) {
        close(socks[0]);
        if (started_fd >= 0)
            close(started_fd);
        _exit(worker_run(o, socks[1]));
    }
    close(socks[1]);
    if (o->broker_fd >= 0)
        close(o->broker_fd); /* what connects is the worker's alone */
    return helper_run(o, socks[0], worker, started_fd);
}

/* The shell waits until it is mounted, not longer. */
static int run_in_background(const struct mount_options *o)
{
    int started[2];
    char status = 1;
    pid_t pid;

    if (pipe2(started, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        perror("tp-mount");
        return EXIT_FAILURE;
    }
    if (pid == 0) {
        close(started[0]);
        setsid();
        if (chdir("/") < 0)
            perror("tp-mount: /");
        return run(o, started[1]);
    }
    close(started[1]);
    while (read(started[0], &status, 1) < 0 && errno == EINTR)
        ;
    return status;
}

int main(int argc, char **argv)
{
    struct mount_options o;
    struct tp_error err = {0};
    int status = EXIT_SUCCESS;

    harden();
    if (mount_options_parse(&o, argc, argv, &err) < 0) {
        fprintf(stderr, "tp-mount: %s\n", err.text);
        status = 2;
    } else if (o.help) {
        mount_options_help();
    } else if (o.version) {
        puts("tp-mount " VERSION);
    } else {
        status = o.foreground ? run(&o, o.ready_fd) : run_in_background(&o);
    }
    mount_options_release(&o);
    return status;
}
