#include "daemon/ctl.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/cleanup.h"
#include "daemon/join.h"

#define STEP_MS 50

static int connect_soon(const char *path, unsigned wait_ms)
{
    const struct timespec step = {0, STEP_MS * 1000000L};

    for (unsigned waited = 0;; waited += STEP_MS) {
        int fd = join_connect(path);

        if (fd >= 0 || waited >= wait_ms ||
            (fd != -ENOENT && fd != -ECONNREFUSED))
            return fd;
        nanosleep(&step, NULL);
    }
}

int ctl_run(const char *path, int in, int out, unsigned wait_ms,
            struct tp_error *err)
{
    cleanup_close int fd = connect_soon(path, wait_ms);
    int rc;

    if (fd < 0)
        return tp_error_errno(err, fd, "tp-daemon does not answer at %s", path);
    rc = join_run(fd, in, out);
    return rc < 0 ? tp_error_errno(err, rc, "control connection") : 0;
}
