/* agents_none.c - stands in until the agents are there; goes then */
#include <errno.h>

#include "manager/agents.h"

void agents_each(const struct agents *a, const struct workload_ref *workload,
                 agents_each_cb *cb, void *arg)
{
    (void)a;
    (void)workload;
    (void)cb;
    (void)arg;
}

int agents_request(struct agents *a, const struct workload_ref *workload,
                   const char *pod, const char *path, tunnel_response_cb *cb,
                   void *arg)
{
    (void)a;
    (void)workload;
    (void)pod;
    (void)path;
    (void)cb;
    (void)arg;
    return -ENOENT;
}

void agents_announce(struct agents *a)
{
    (void)a;
}
