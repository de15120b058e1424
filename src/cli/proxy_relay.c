#include "cli/proxy_relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/exec.h"

#define CONNECTIONS_MAX 64
#define HEAD_MS         75000 /* tp-daemon's own limit comes first */

/* False if the program says that there is no connection. */
static bool read_head(struct engine_exec *x, struct tp_error *err)
{
    cleanup_free char *line = NULL;
    cleanup_json struct json_object *head = NULL;
    const char *error;
    int rc = engine_exec_read_line(x, HEAD_MS, &line, err);

    if (rc == 0)
        tp_error_set(err, -EPIPE, "%s", engine_exec_stderr(x));
    if (rc <= 0)
        return false;
    head = json_parse_text(line, strlen(line), err);
    error = head ? json_get_str(head, "error", NULL) : NULL;
    if (error)
        tp_error_set(err, -EPIPE, "%s", error);
    return head && !error;
}

static void carry(int fd, const struct proxy_relay_to *to)
{
    struct tp_error err = {0};
    struct engine *e = engine_open(&err);
    struct engine_exec *x =
        e ? engine_exec_start(e, to->container, to->argv, &err) : NULL;

    if (x && (!to->head || read_head(x, &err)))
        engine_exec_join(x, fd, NULL);
    else
        fprintf(stderr, "tp: %s\n", err.text);
    engine_exec_close(x);
    engine_close(e);
}

/* A child that does not outlive its parent. 0 in it. */
static pid_t fork_bound(void)
{
    pid_t parent = getpid(), pid = fork();

    if (pid != 0)
        return pid < 0 ? -errno : pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

/* How many children are left; waits for one if there are too many. */
static unsigned reap(unsigned n)
{
    while (n > 0 && waitpid(-1, NULL, n >= CONNECTIONS_MAX ? 0 : WNOHANG) > 0)
        n--;
    return n;
}

int proxy_relay_run(int listener, const struct proxy_relay_to *to)
{
    unsigned n = 0;

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return -errno;
        if (fd < 0)
            continue;
        n = reap(n);
        switch (fork_bound()) {
        case 0:
            close(listener);
            carry(fd, to);
            _exit(0);
        default:
            n++;
        }
        close(fd);
    }
}

pid_t proxy_relay_start(int listener, const struct proxy_relay_to *to)
{
    pid_t pid = fork_bound();

    if (pid != 0)
        return pid;
    signal(SIGPIPE, SIG_IGN);
    _exit(proxy_relay_run(listener, to) < 0);
}
