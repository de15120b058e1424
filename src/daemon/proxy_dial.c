#include "daemon/proxy_dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proxy_internal.h"
#include "daemon/proxy_lookup.h"
#include "net/dial.h"

#define DIAL_MS                                                                \
    30000 /* of one address; a silent host's SYN is dropped then               \
           */

struct proxy_dial {
    struct proxy *p;
    proxy_dial_cb *cb;
    void *arg;
    uint16_t port;
    union sockaddr_any addrs[2 * PROXY_LOOKUP_ADDRESSES];
    size_t n, next;
    int status; /* of the last address */
    struct proxy_lookup *lookup;
    struct connect_op *op;
};

static void finish(struct proxy_dial *d, int status, int fd)
{
    proxy_dial_cb *cb = d->cb;
    void *arg = d->arg;

    free(d);
    cb(arg, status, fd);
}

void proxy_dial_cancel(struct proxy_dial *d)
{
    if (d->lookup)
        proxy_lookup_cancel(d->lookup);
    if (d->op)
        connect_cancel(d->op);
    free(d);
}

static void try_next(struct proxy_dial *d);

static void connected_cb(void *arg, int status, int fd)
{
    struct proxy_dial *d = arg;

    d->op = NULL;
    d->status = status;
    if (status == 0)
        finish(d, 0, fd);
    else
        try_next(d);
}

static void try_next(struct proxy_dial *d)
{
    for (; d->next < d->n; d->next++) {
        union sockaddr_any *addr = &d->addrs[d->next];

        sockaddr_set_port(addr, d->port);
        if (!proxy_may_reach(d->p, addr))
            continue;
        d->next++;
        d->op =
            connect_start(d->p->env.loop, addr, 0, DIAL_MS, connected_cb, d);
        if (d->op)
            return;
        d->status = -ENOMEM;
        break;
    }
    finish(d, d->status, -1);
}

static void found_cb(void *arg, int status, const union sockaddr_any *addrs,
                     size_t n)
{
    struct proxy_dial *d = arg;

    d->lookup = NULL;
    if (status < 0) {
        finish(d, status, -1);
        return;
    }
    memcpy(d->addrs, addrs, n * sizeof(*addrs));
    d->n = n;
    try_next(d);
}

/* An address needs no question; its callback comes from the loop, too, as
 * connect_start() does it. */
static bool start_literal(struct proxy_dial *d, const char *host)
{
    union sockaddr_any *addr = &d->addrs[0];

    if (sockaddr_parse(addr, host, d->port) < 0)
        return false;
    sockaddr_unmap(addr);
    if (proxy_may_reach(d->p, addr))
        d->op =
            connect_start(d->p->env.loop, addr, 0, DIAL_MS, connected_cb, d);
    else
        d->op =
            connect_start_fd(d->p->env.loop, -EACCES, addr, 0, connected_cb, d);
    return true;
}

struct proxy_dial *proxy_dial_start(struct proxy *p, const char *host,
                                    uint16_t port, proxy_dial_cb *cb, void *arg)
{
    struct proxy_dial *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->p = p;
    d->cb = cb;
    d->arg = arg;
    d->port = port;
    d->status = -EACCES;
    if (!start_literal(d, host))
        d->lookup = proxy_lookup_start(p->env.loop, p->env.dns, host,
                                       proxy_namespace(p), proxy_domain(p),
                                       found_cb, d);
    if (d->lookup || d->op)
        return d;
    free(d);
    return NULL;
}
