#include "net/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int pipes_take(struct pipes *p, int pair[2])
{
    if (p->n_idle > 0) {
        p->n_idle--;
        pair[0] = p->idle[p->n_idle][0];
        pair[1] = p->idle[p->n_idle][1];
        return 0;
    }
    if (pipe2(pair, O_NONBLOCK | O_CLOEXEC) < 0) {
        pair[0] = pair[1] = -1;
        return -errno;
    }
    /* May fail beyond the user's share of pipe pages: then it stays small. */
    (void)fcntl(pair[1], F_SETPIPE_SZ, PIPES_SIZE);
    return 0;
}

void pipes_put(struct pipes *p, int pair[2])
{
    if (pair[0] < 0)
        return;
    if (p->n_idle == PIPES_IDLE_MAX) {
        pipes_drop(pair);
        return;
    }
    p->idle[p->n_idle][0] = pair[0];
    p->idle[p->n_idle][1] = pair[1];
    p->n_idle++;
    pair[0] = pair[1] = -1;
}

void pipes_drop(int pair[2])
{
    if (pair[0] >= 0) {
        close(pair[0]);
        close(pair[1]);
    }
    pair[0] = pair[1] = -1;
}

void pipes_release(struct pipes *p)
{
    while (p->n_idle > 0)
        pipes_drop(p->idle[--p->n_idle]);
}
