/*
 * engagement_shortcut.c - addresses in the cluster that lead back here
 *
 * The manager tells which addresses and ports lead to the ports that an
 * intercept or replace has taken over: those of Services and of pods. It says
 * so at each change and again every now and then; what was not repeated for a
 * while does not hold any more. A mirror has none: the cluster answers.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "daemon/engagement_internal.h"

#define DESTINATIONS_MAX 1024
#define HOLD_MS          100000 /* the manager repeats it each 30 s */

struct destination {
    union sockaddr_any addr;
    bool udp;
    uint16_t to; /* port of the container */
};

struct destinations {
    struct destination *list;
    size_t count;
    uint64_t until;           /* uv_now() */
    union sockaddr_any local; /* --address; family 0: not resolved */
};

/* --address is a name: a look-up that outlives the engagement if need be. */
struct look_up {
    LIST_ENTRY(look_up) entry;
    uv_getaddrinfo_t req;
    struct engagements *e; /* NULL: gone */
    char id[ENGAGEMENT_ID_LEN + 1];
};

static void resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct look_up *look_up = req->data;
    struct engagement *eng = look_up->e && status == 0 && res
                                 ? engagements_by_id(look_up->e, look_up->id)
                                 : NULL;

    if (look_up->e)
        LIST_REMOVE(look_up, entry);
    if (eng && eng->destinations)
        memcpy(&eng->destinations->local, res->ai_addr, res->ai_addrlen);
    uv_freeaddrinfo(res);
    free(look_up);
}

static void resolve(struct engagement *eng)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct look_up *look_up;

    if (sockaddr_parse(&eng->destinations->local, eng->spec.address, 1) == 0)
        return;
    look_up = calloc(1, sizeof(*look_up));
    if (!look_up)
        return;
    look_up->e = eng->e;
    look_up->req.data = look_up;
    memcpy(look_up->id, eng->id, sizeof(eng->id));
    if (uv_getaddrinfo(eng->e->loop, &look_up->req, resolved_cb,
                       eng->spec.address, NULL, &hints) < 0)
        free(look_up);
    else
        LIST_INSERT_HEAD(&eng->e->look_ups, look_up, entry);
}

void engagement_shortcut_close(struct engagements *e)
{
    struct look_up *look_up;

    while ((look_up = LIST_FIRST(&e->look_ups))) {
        LIST_REMOVE(look_up, entry);
        look_up->e = NULL;
    }
}

/* {"address", "port", "protocol", "to"} */
static bool take_one(struct destination *out, struct json_object *item)
{
    int64_t port = json_get_int(item, "port", 0);
    int64_t to = json_get_int(item, "to", 0);

    if (port < 1 || port > 65535 || to < 1 || to > 65535 ||
        sockaddr_parse(&out->addr, json_get_str(item, "address", ""),
                       (uint16_t)port) < 0)
        return false;
    out->udp = !strcmp(json_get_str(item, "protocol", "tcp"), "udp");
    out->to = (uint16_t)to;
    return true;
}

void engagement_shortcut_take(struct engagement *eng, struct json_object *list)
{
    size_t n =
        json_object_is_type(list, json_type_array) ? json_array_len(list) : 0;
    struct destinations *d = eng->destinations;

    if (!d)
        d = eng->destinations = calloc(1, sizeof(*d));
    if (!d)
        return;
    if (n > DESTINATIONS_MAX)
        n = DESTINATIONS_MAX;
    free(d->list);
    d->count = 0;
    d->list = calloc(n ? n : 1, sizeof(*d->list));
    for (size_t i = 0; d->list && i < n; i++)
        d->count +=
            take_one(&d->list[d->count], json_object_array_get_idx(list, i));
    d->until = uv_now(eng->e->loop) + HOLD_MS;
    resolve(eng);
}

void engagement_shortcut_forget(struct engagement *eng)
{
    if (eng->destinations)
        free(eng->destinations->list);
    free(eng->destinations);
    eng->destinations = NULL;
}

/* The local port, or 0. */
static uint16_t local_port(const struct engagement *eng,
                           const union sockaddr_any *dst, bool udp)
{
    const struct destinations *d = eng->destinations;
    uint16_t to = 0;

    for (size_t i = 0; i < d->count && !to; i++) {
        if (d->list[i].udp == udp && sockaddr_equal(&d->list[i].addr, dst))
            to = d->list[i].to;
    }
    for (size_t i = 0; to && i < eng->port_count; i++) {
        if (eng->ports[i].udp == udp && eng->ports[i].remote == to)
            return eng->ports[i].local;
    }
    return 0;
}

static bool is_usable(const struct engagement *eng)
{
    const struct destinations *d = eng->destinations;

    return d && eng->state == ENG_READY && !eng->spec.no_shortcut &&
           d->local.sa.sa_family && uv_now(eng->e->loop) < d->until &&
           (!strcmp(eng->spec.type, "intercept") ||
            !strcmp(eng->spec.type, "replace"));
}

bool engagements_shortcut(void *arg, const union sockaddr_any *dst, bool udp,
                          struct shortcut *out)
{
    struct engagements *e = arg;
    const struct engagement *eng;

    if (!e->tunnel)
        return false;
    TAILQ_FOREACH(eng, &e->list, entry)
    {
        uint16_t port = is_usable(eng) ? local_port(eng, dst, udp) : 0;

        if (!port)
            continue;
        out->addr = eng->destinations->local;
        sockaddr_set_port(&out->addr, port);
        out->mark = sockaddr_is_loopback(&out->addr) ? 0 : e->mark;
        return true;
    }
    return false;
}
