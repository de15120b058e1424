/*
 * dial_connect.c - resolves a name and connects to the first address that
 * answers
 *
 * RFC 8305 in small: the addresses of both families in turn, the next one
 * 250 ms after the last or when it failed; who is connected first wins.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sockaddr.h"
#include "net/dial.h"
#include "net/dial_internal.h"

#define MAX_ADDRS  8
#define STAGGER_MS 250

/* The caller's time-out ends an attempt; this one only bounds it. */
#define ATTEMPT_MS 300000

struct attempt {
    struct dial_race *race;
    struct connect_op *op;
};

struct dial_race {
    uv_getaddrinfo_t resolve;
    uv_timer_t timer; /* starts the next attempt, or reports `status` */
    dial_race_cb *cb;
    void *arg;
    union sockaddr_any addrs[MAX_ADDRS];
    struct attempt attempts[MAX_ADDRS];
    unsigned count, started, failed;
    unsigned refs; /* timer, and the request to the thread pool */
    bool resolving, ended;
    int status;       /* of the first address that failed */
    unsigned culprit; /* its index */
    uint32_t mark;
    uint16_t port;
    char host[];
};

static void race_unref(struct dial_race *r)
{
    if (--r->refs == 0)
        free(r);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    race_unref(handle->data);
}

static void race_end(struct dial_race *r)
{
    r->ended = true;
    for (unsigned i = 0; i < r->count; i++) {
        if (r->attempts[i].op)
            connect_cancel(r->attempts[i].op);
        r->attempts[i].op = NULL;
    }
    if (r->resolving) /* its callback comes in any case */
        uv_cancel((uv_req_t *)&r->resolve);
    uv_close((uv_handle_t *)&r->timer, timer_closed_cb);
}

void dial_race_cancel(struct dial_race *r)
{
    race_end(r);
}

static void race_fail(struct dial_race *r, int status, const char *why)
{
    char what[320], text[400];

    dial_race_describe(r, what, sizeof(what));
    snprintf(text, sizeof(text), "%s: %s", what, why);
    race_end(r);
    r->cb(r->arg, status, -1, text);
}

const char *dial_race_describe(const struct dial_race *r, char *text,
                               size_t size)
{
    char addr[SOCKADDR_TEXT];

    if (r->count == 0)
        snprintf(text, size, "resolve %s", r->host);
    else
        snprintf(text, size, "connect to %s",
                 sockaddr_format(&r->addrs[r->culprit], addr));
    return text;
}

/* Starts the next attempt, if there is one. */
static void race_next(struct dial_race *r);

static void connected_cb(void *arg, int status, int fd)
{
    struct attempt *a = arg;
    struct dial_race *r = a->race;

    a->op = NULL;
    if (status == 0) {
        race_end(r);
        r->cb(r->arg, 0, fd, NULL);
        return;
    }
    if (r->failed++ == 0) {
        r->status = status;
        r->culprit = (unsigned)(a - r->attempts);
    }
    if (r->failed == r->count)
        race_fail(r, r->status, strerror(-r->status));
    else if (r->started < r->count)
        race_next(r);
}

static void timer_cb(uv_timer_t *timer)
{
    struct dial_race *r = timer->data;

    if (r->status < 0 && r->started == 0)
        race_fail(r, r->status, strerror(-r->status));
    else
        race_next(r);
}

static void race_next(struct dial_race *r)
{
    struct attempt *a = &r->attempts[r->started];

    a->race = r;
    a->op = connect_start(r->timer.loop, &r->addrs[r->started], r->mark,
                          ATTEMPT_MS, connected_cb, a);
    if (!a->op) {
        race_fail(r, -ENOMEM, strerror(ENOMEM));
        return;
    }
    r->started++;
    if (r->started < r->count)
        uv_timer_start(&r->timer, timer_cb, STAGGER_MS, 0);
    else
        uv_timer_stop(&r->timer);
}

/* The n-th (from 0) address of the family, or NULL. */
static const struct addrinfo *nth(const struct addrinfo *list, int family,
                                  unsigned n)
{
    for (; list; list = list->ai_next) {
        if (list->ai_family == family && n-- == 0)
            return list;
    }
    return NULL;
}

static void add_addr(struct dial_race *r, const struct addrinfo *info)
{
    union sockaddr_any *addr = &r->addrs[r->count];

    if (!info || r->count == MAX_ADDRS || info->ai_addrlen > sizeof(*addr))
        return;
    memcpy(addr, info->ai_addr, info->ai_addrlen);
    sockaddr_set_port(addr, r->port);
    r->count++;
}

/* The families take turns; the resolver's first address decides who starts. */
static void take_addrs(struct dial_race *r, const struct addrinfo *list)
{
    int first = list ? list->ai_family : AF_INET6;
    int second = first == AF_INET ? AF_INET6 : AF_INET;

    for (unsigned i = 0; i < MAX_ADDRS; i++) {
        add_addr(r, nth(list, first, i));
        add_addr(r, nth(list, second, i));
    }
}

static void resolved_cb(uv_getaddrinfo_t *req, int status,
                        struct addrinfo *list)
{
    struct dial_race *r = req->data;

    r->resolving = false;
    if (!r->ended) {
        take_addrs(r, list);
        if (r->count > 0)
            race_next(r);
        else
            race_fail(r, -EHOSTUNREACH,
                      status < 0 ? uv_strerror(status) : "no address");
    }
    uv_freeaddrinfo(list);
    race_unref(r);
}

static int race_resolve(struct dial_race *r)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int rc;

    if (sockaddr_parse(&r->addrs[0], r->host, r->port) == 0) {
        r->count = 1;
        uv_timer_start(&r->timer, timer_cb, 0, 0);
        return 0;
    }
    r->resolve.data = r;
    rc = uv_getaddrinfo(r->timer.loop, &r->resolve, resolved_cb, r->host, NULL,
                        &hints);
    if (rc == 0) {
        r->resolving = true;
        r->refs++;
    }
    return rc;
}

struct dial_race *dial_race_start(uv_loop_t *loop, const char *host,
                                  uint16_t port, uint32_t mark,
                                  dial_race_cb *cb, void *arg)
{
    size_t len = strlen(host) + 1;
    struct dial_race *r = calloc(1, sizeof(*r) + len);

    if (!r)
        return NULL;
    memcpy(r->host, host, len);
    r->port = port;
    r->mark = mark;
    r->cb = cb;
    r->arg = arg;
    r->refs = 1;
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    r->status = race_resolve(r);
    if (r->status < 0)
        uv_timer_start(&r->timer, timer_cb, 0, 0);
    return r;
}
